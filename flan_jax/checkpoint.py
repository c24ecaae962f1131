"""Saving and restoring training, with Orbax underneath.

Each `MODEL_DIR/checkpoint_<step>` holds three items: `params` (the parameters, alone so that
evaluation reads nothing else), `train` (step and optimizer state) and `meta` (JSON: data position
and whatever else the run keeps). A run with frozen parameters saves the trained ones, and in `meta`
where the others come from. Arrays are written by all processes in the background and can be read
onto any mesh.
"""

import base64
import contextlib
import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gin
import jax
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint.checkpoint_managers import preservation_policy

from flan_jax import checkpoint_arrays as stored
from flan_jax import checkpoint_files as files
from flan_jax.checkpoint_files import check_writable as check_writable
from flan_jax.checkpoint_params import Base, base_in, find_checkpoint
from flan_jax.checkpoint_params import restore_params as restore_params
from flan_jax.errors import CheckpointError, ConfigError, NotFoundError, suggest
from flan_jax.interop import carry
from flan_jax.sharding import path_name

_ITEMS = ("params", "train", "meta")
# With several processes the clock of the first decides for all, which costs a message; so the
# time is looked at only on steps that are a multiple of this.
_CLOCK_STEPS = 16


@gin.configurable(module="utils")
@dataclasses.dataclass(frozen=True)
class SaveCheckpointConfig:
    """When to save and what to keep.

    Attributes:
      period: save every so many steps; None for no saving by steps.
      keep: how many of the newest checkpoints to keep, at least 2: with one, a damaged file or a
        kill during the next save would lose the run.
      keep_period: also keep every checkpoint whose step is a multiple of this, for good.
      time_period_s: also save when this many seconds have passed since the last save.
      checksums: whether the manifest has checksums besides sizes; costs one reading of each file
        after writing, in the background, and one before restoring.
    """

    period: int | None = 1000
    keep: int = 3
    keep_period: int | None = None
    time_period_s: float | None = None
    checksums: bool = True

    def __post_init__(self):
        if not isinstance(self.keep, int) or self.keep < 2:
            raise ConfigError(
                f"SaveCheckpointConfig.keep is {self.keep!r}: at least 2 checkpoints are kept, so "
                "that a damaged one does not end the run. Set keep = 2 or more."
            )
        for name in ("period", "keep_period", "time_period_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(
                    f"SaveCheckpointConfig.{name} must be above 0, or None for off: {value!r}."
                )
        if self.period and self.keep_period and self.keep_period % self.period:
            raise ConfigError(
                f"SaveCheckpointConfig.keep_period={self.keep_period} is not a multiple of "
                f"period={self.period}, so there would seldom be such a checkpoint. Nearest: "
                f"{max(1, round(self.keep_period / self.period)) * self.period}."
            )


@gin.configurable(module="utils")
@dataclasses.dataclass(frozen=True)
class RestoreCheckpointConfig:
    """Which checkpoint a run starts from.

    What lies at `path` is told by its files: a checkpoint of ours, of T5X (either format), or a
    Hugging Face directory. Only parameters are taken; each one that is not simply read gets a line.

    Attributes:
      path: a MODEL_DIR of ours or T5X's, one of its `checkpoint_<step>` directories, or a Hugging
        Face directory; None to start afresh.
      mode: 'latest' takes the newest whole checkpoint in `path`; 'specific' takes `path` itself.
      strict: whether the checkpoint must have exactly the model's parameters. If not, parameters
        it lacks keep their initial values and those it has besides are left; shapes must agree.
      base_path: where the base of a checkpoint that holds only trained parameters lies now, if it
        was moved: its directory or the one that is in.
      grow_vocabulary: what new tokens start from where the model has more than the checkpoint:
        'mean' of all tokens or 'init', their initial values. None refuses.
    """

    path: str | None = None
    mode: str = "latest"
    strict: bool = True
    base_path: str | None = None
    grow_vocabulary: str | None = None

    def __post_init__(self):
        carry.check_growth(self.grow_vocabulary)
        modes = ("latest", "specific")
        if self.mode not in modes:
            raise NotFoundError(
                f"RestoreCheckpointConfig.mode is {self.mode!r}; it is one of "
                f"{', '.join(map(repr, modes))}." + suggest(str(self.mode), modes)
            )

    def find(self, say: Callable[[str], None] = print) -> epath.Path | None:
        """Returns the checkpoint directory meant; raises CheckpointError as `find_checkpoint`."""
        if self.path is None:
            return None
        directory = find_checkpoint(self.path, say=say)
        if self.mode == "specific" and directory != epath.Path(self.path):
            raise CheckpointError(
                f"{self.path} is not one checkpoint but a directory of them. With "
                f"mode='specific' give one, such as {directory}; or set mode='latest'."
            )
        return directory


@gin.configurable(module="utils")
@dataclasses.dataclass(frozen=True)
class CheckpointConfig:
    """Saving and restoring; `None` turns either off.

    Attributes:
      save: when to save and what to keep.
      restore: where the run starts if MODEL_DIR has no checkpoint of its own.
    """

    save: SaveCheckpointConfig | None = dataclasses.field(default_factory=SaveCheckpointConfig)
    restore: RestoreCheckpointConfig | None = None


@dataclasses.dataclass(frozen=True)
class Restored:
    """What a checkpoint gave back.

    Attributes:
      state: the train state, on the shardings asked for.
      data_state: position of the data stream.
      extra: the JSON object given to `save`.
      step: step of the checkpoint.
      base: the checkpoint that has the frozen parameters, if there are any.
    """

    state: Any
    data_state: bytes
    extra: dict[str, Any]
    step: int
    base: Base | None = None


class Checkpointer:
    """Writes and reads the checkpoints of one MODEL_DIR. All processes must make the same calls."""

    def __init__(
        self,
        model_dir: epath.PathLike,
        save_cfg: SaveCheckpointConfig | None = None,
        say: Callable[[str], None] = print,
    ):
        """Opens a MODEL_DIR; nothing is written or removed before the first save.

        Args:
          model_dir: absolute path.
          save_cfg: when to save and what to keep; None for saving only when forced.
          say: receives sentences about checkpoints that were passed over.
        """
        self.model_dir = epath.Path(model_dir)
        self._cfg = save_cfg or SaveCheckpointConfig(period=None)
        self._say = say if jax.process_index() == 0 else lambda _: None
        self._manager: ocp.CheckpointManager | None = None
        # Newest whole step and newer damaged ones, as last read: files are not checked twice.
        self._newest: tuple[int | None, dict[int, str]] | None = None
        self._writing_step = -1
        self._last_step = -1
        self._last_save_s = time.monotonic()

    def __enter__(self) -> "Checkpointer":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def latest_valid_step(self) -> int | None:
        """Returns the step of the newest whole checkpoint, or None; says which were passed over."""
        self.wait()
        self._newest = None
        return files.agree(self._survey)

    def should_save(self, step: int) -> bool:
        """Whether a checkpoint is due at this step; the same answer on all processes."""
        if step <= 0 or step == self._last_step:
            return False
        if self._cfg.period and step % self._cfg.period == 0:
            return True
        if self._cfg.time_period_s is None:
            return False
        if jax.process_count() > 1 and step % _CLOCK_STEPS:
            return False
        due = time.monotonic() - self._last_save_s >= self._cfg.time_period_s
        return files.agree(lambda: due)

    def save(
        self,
        step: int,
        state: Any,
        data_state: bytes,
        extra: Mapping[str, Any],
        force: bool = False,
        base: Base | None = None,
    ) -> bool:
        """Saves in the background, if due or forced. Arrays are copied before this returns.

        Args:
          step: number of steps done.
          state: pytree of arrays with a `params` field; other fields (step, optimizer state) are
            stored beside them.
          data_state: position of the data stream after this step.
          extra: JSON object, stored as it is.
          force: save even if not due.
          base: the checkpoint that has the frozen parameters, where `state` lacks some.

        Returns:
          Whether a checkpoint is being written; False too if this step has one.

        Raises:
          CheckpointError: MODEL_DIR has a newer checkpoint, or this or an earlier save failed.
        """
        if not (force or self.should_save(step)):
            return False
        manager = self._open()
        latest = max(manager.all_steps(), default=-1)
        if step == latest:
            return False
        if step < latest:
            raise CheckpointError(
                f"{self.model_dir} has a checkpoint of step {latest}, later than step {step} of "
                "this run: the two would be mixed. Use another MODEL_DIR, or move it away."
            )
        self.wait()
        self._check_space(state)
        params, train = stored.split(state)
        meta = {"data_state": base64.b64encode(data_state).decode(), "extra": dict(extra)}
        if base is not None:
            meta["base"] = dataclasses.asdict(base)
        self._writing_step, self._newest = step, None
        with self._explained():
            manager.save(
                step,
                args=ocp.args.Composite(
                    params=ocp.args.StandardSave(stored.nested(params)),
                    train=ocp.args.StandardSave(stored.nested(train)),
                    meta=ocp.args.JsonSave(meta),
                ),
                force=True,
            )
        self._last_step = step
        self._last_save_s = time.monotonic()
        return True

    def restore(self, abstract_state: Any, shardings: Any, step: int | None = None) -> Restored:
        """Restores a train state onto the given shardings; values are bit-identical.

        Args:
          abstract_state: the state's pytree with `ShapeDtypeStruct` leaves (arrays do too).
          shardings: the same structure with a sharding per array, or one sharding for all.
          step: step wanted; None for the newest whole checkpoint.

        Raises:
          CheckpointError: there is no such checkpoint, it is damaged, or its arrays differ in name,
            shape or dtype from those of the model.
        """
        self.wait()
        directory = self._find(step)
        if not (directory / "train").exists():
            raise CheckpointError(
                f"{directory} holds parameters alone, as flan-jax import writes them: a place to "
                "start from, not a run to go on with. Name another MODEL_DIR, and this one as "
                f"INITIAL_CHECKPOINT_PATH: --gin.INITIAL_CHECKPOINT_PATH=\"'{self.model_dir}'\""
            )
        wanted = dict(zip(("params", "train"), stored.split(abstract_state), strict=True))
        differences = []
        for item, arrays in wanted.items():
            differences += stored.compare(
                stored.saved_arrays(directory, item), arrays, check_dtype=True
            )
        stored.raise_if_different(directory, differences)
        placed = stored.with_shardings(abstract_state, shardings)
        found: dict[str, Any] = {}
        for item, arrays in zip(("params", "train"), stored.split(placed), strict=True):
            found |= stored.flat(stored.read(directory, item, stored.nested(arrays)))
        leaves, treedef = jax.tree_util.tree_flatten_with_path(abstract_state)
        state = jax.tree_util.tree_unflatten(treedef, [found[path_name(p)] for p, _ in leaves])
        meta = stored.read_meta(directory)
        return Restored(
            state=state,
            data_state=base64.b64decode(meta["data_state"]),
            extra=meta["extra"],
            step=files.read_manifest(directory)["step"],
            base=base_in(meta),
        )

    def wait(self) -> None:
        """Waits for the save in the background; raises CheckpointError if it failed."""
        if self._manager is not None:
            with self._explained():
                self._manager.wait_until_finished()

    def close(self) -> None:
        """Finishes the save in the background and lets go of MODEL_DIR."""
        if self._manager is not None:
            self.wait()
            self._manager.close()
            self._manager = None

    def _survey(self) -> int | None:
        """Returns the newest whole step, looking at the files only the first time."""
        if self._newest is None:
            self._newest = files.newest_valid(self.model_dir, self._say)
        return self._newest[0]

    def _find(self, step: int | None) -> epath.Path:
        """Returns the directory of a whole checkpoint."""
        newest = files.agree(self._survey)
        if newest is None or step not in (None, newest):
            return find_checkpoint(self.model_dir, step, self._say)
        return files.step_dir(self.model_dir, newest)

    def _open(self) -> ocp.CheckpointManager:
        """Prepares MODEL_DIR for writing: damaged checkpoints are renamed, leftovers removed."""
        if self._manager is not None:
            return self._manager

        def prepare() -> None:
            self.model_dir.mkdir(parents=True, exist_ok=True)
            self._survey()
            for step in self._newest[1] if self._newest else ():
                target = files.set_aside(self.model_dir, step)
                self._say(f"The damaged checkpoint of step {step} is now {target.name}.")

        files.agree(prepare)
        policies: list[Any] = [preservation_policy.LatestN(self._cfg.keep)]
        if self._cfg.keep_period:
            policies.append(preservation_policy.EveryNSteps(self._cfg.keep_period))
        self._manager = ocp.CheckpointManager(
            self.model_dir,
            item_names=_ITEMS,
            options=ocp.CheckpointManagerOptions(
                step_prefix=files.PREFIX,
                preservation_policy=preservation_policy.AnyPreservationPolicy(policies),
                cleanup_tmp_directories=True,
                save_root_metadata=False,
                async_options=ocp.AsyncOptions(post_finalization_callback=self._before_commit),
            ),
        )
        return self._manager

    def _before_commit(self) -> None:
        """Called by Orbax when all files are written and the directory has its temporary name."""
        if jax.process_index() != 0:
            return
        final = files.step_dir(self.model_dir, self._writing_step)
        # Object stores cannot rename: there Orbax writes in place and adds a marker file.
        waiting = list(self.model_dir.glob(f"{final.name}.orbax-checkpoint-tmp*"))
        directory = waiting[0] if waiting else final
        files.write_manifest(directory, self._writing_step, self._cfg.checksums)

    def _check_space(self, state: Any) -> None:
        """Raises CheckpointError if a local disk has less room than the arrays need."""
        if jax.process_count() > 1 or "://" in str(self.model_dir):
            return
        needed_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        free_bytes = shutil.disk_usage(self.model_dir).free
        if free_bytes < needed_bytes:
            raise CheckpointError(
                f"The checkpoint needs {needed_bytes / 1e9:.2f} GB, but {self.model_dir} has "
                f"{free_bytes / 1e9:.2f} GB free. The checkpoints there are untouched; make room "
                "and start the same command again."
            )

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns an error of the background save into a CheckpointError that says where."""
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"A checkpoint could not be written to {self.model_dir}: {error}. Earlier "
                "checkpoints are untouched; start the same command again to go on from them."
            ) from error
