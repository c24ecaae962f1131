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
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
from etils import epath

from flan_jax import checkpoint_arrays as stored
from flan_jax import checkpoint_files as files
from flan_jax.checkpoint_config import CheckpointConfig as CheckpointConfig
from flan_jax.checkpoint_config import RestoreCheckpointConfig as RestoreCheckpointConfig
from flan_jax.checkpoint_config import SaveCheckpointConfig as SaveCheckpointConfig
from flan_jax.checkpoint_params import Base, base_in
from flan_jax.checkpoint_params import find_checkpoint as find_checkpoint
from flan_jax.checkpoint_params import restore_params as restore_params
from flan_jax.checkpoint_writer import Attempts, SaveFailedError, Writer, ending_with_an_error
from flan_jax.errors import CheckpointError, StorageError
from flan_jax.model_dir import check_writable as check_writable
from flan_jax.sharding import path_name

# With several processes the clock of the first decides for all, which costs a message; so the
# time is looked at only on steps that are a multiple of this.
_CLOCK_STEPS = 16


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
        self._writer: Writer | None = None
        self._attempts = Attempts(self._cfg.retries, self._cfg.retry_wait_s)
        # The write under way, for another try while its arrays still are there.
        self._wanted: tuple[int, Any, dict[str, Any]] | None = None
        # Newest whole step and newer damaged ones, as last read: files are not checked twice.
        self._newest: tuple[int | None, dict[int, str]] | None = None
        self._last_step = -1
        self._last_save_s = time.monotonic()

    def __enter__(self) -> "Checkpointer":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def latest_valid_step(self) -> int | None:
        """Returns the step of the newest whole checkpoint; says which were passed over.

        Returns:
          The step, or None where MODEL_DIR has no checkpoint at all.

        Raises:
          StorageError: MODEL_DIR cannot be read.
          CheckpointError: it has checkpoints and all are damaged: starting anew is to be decided by
            a person.
        """
        self.wait()
        self._newest = None
        return files.agree(self._survey_whole)

    def go_back(
        self,
        fits: Callable[[int, dict[str, Any]], bool],
        explain: Callable[[Sequence[int]], str],
    ) -> None:
        """Makes the newest whole checkpoint that fits the newest; renames those after it.

        Args:
          fits: given the step and what was stored as `extra`.
          explain: given the steps of all whole checkpoints, says why none of them will do.

        Raises:
          CheckpointError: none fits; nothing was renamed.
        """
        self.wait()

        def rename() -> None:
            if self._survey_whole() is None:
                return
            damaged = self._newest[1] if self._newest else {}
            passed = []
            for step in reversed(files.list_steps(self.model_dir)):
                directory = files.step_dir(self.model_dir, step)
                # The newest whole one is known to be; older ones are looked at when needed.
                if step in damaged or (passed and files.damage(directory)):
                    continue
                if fits(step, stored.read_meta(directory).get("extra", {})):
                    break
                passed.append(step)
            else:
                raise CheckpointError(explain(sorted(passed)))
            for step in passed:
                target = files.set_aside(self.model_dir, step, "superseded")
                self._say(f"The checkpoint of step {step} is now {target.name}.")
            if passed:
                self._newest = None

        files.agree(rename)

    def should_save(self, step: int) -> bool:
        """Whether a checkpoint is due at this step; the same answer on all processes."""
        if step <= 0:
            return False
        if self._failed_in_background(step):
            return True
        if step == self._last_step:
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
          Whether a checkpoint is being written; False too if this step has one, or if the storage
          failed and there will be another try.

        Raises:
          StorageError: this and the tries before failed.
          CheckpointError: MODEL_DIR has a newer checkpoint.
        """
        if not (force or self.should_save(step)):
            return False
        self._settle()
        meta = {"data_state": base64.b64encode(data_state).decode(), "extra": dict(extra)}
        if base is not None:
            meta["base"] = dataclasses.asdict(base)
        if step == self._last_step and self._wanted is None and not self._attempts.failed:
            return False
        self._newest = None
        return self._write(step, state, meta)

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
        """Waits for the save in the background, and tries again if it failed.

        Raises:
          StorageError: all tries failed, or the arrays are no longer there for another.
        """
        self._settle()
        while self._wanted is not None:
            step, state, meta = self._wanted
            if any(leaf.is_deleted() for leaf in jax.tree.leaves(state)):
                return  # Another try is made by the next save.
            self._attempts.wait()
            if self._write(step, state, meta):
                self._settle()

    def close(self) -> None:
        """Finishes the save in the background and lets go of MODEL_DIR.

        Raises:
          StorageError: as `wait`; only said, where the run ends with another error.
        """
        try:
            self.wait()
            if self._attempts.failed:
                raise StorageError(
                    f"The last checkpoint could not be written to {self.model_dir}. Earlier "
                    "checkpoints are untouched; start the same command again to go on from them."
                )
        except StorageError as error:
            if not ending_with_an_error():
                raise
            self._say(str(error))
        finally:
            self._wanted = None
            self._attempts.succeed()
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def _write(self, step: int, state: Any, meta: dict[str, Any]) -> bool:
        """Begins a write; returns whether it could, after telling of the failure."""
        with self._giving_up():
            try:
                writer = self._open()
                latest = writer.newest()
                if step == latest:
                    self._wanted = None
                    self._attempts.succeed()
                    return False
                if step < latest:
                    raise CheckpointError(
                        f"{self.model_dir} has a checkpoint of step {latest}, later than step "
                        f"{step} of this run: the two would be mixed. Use another MODEL_DIR, or "
                        "move it away."
                    )
                self._wanted = (step, state, meta)
                self._last_step = step
                self._last_save_s = time.monotonic()
                writer.start(step, state, meta)
            except SaveFailedError as error:
                self._attempts.note(error, self.model_dir, self._say)
                return False
        return True

    def _settle(self) -> None:
        """Waits for the write under way; counts it where it failed on any process."""
        if self._writer is None or self._writer.writing is None:
            return
        failure: SaveFailedError | None = None
        with self._giving_up():
            try:
                self._writer.finish()
            except SaveFailedError as error:
                failure = error
            if files.anywhere(failure is not None):
                self._writer.close()
                lost = failure or SaveFailedError("another process could not write a checkpoint")
                self._attempts.note(lost, self.model_dir, self._say)
                return
        self._wanted = None
        self._attempts.succeed()

    @contextlib.contextmanager
    def _giving_up(self) -> Iterator[None]:
        """After the last try there is no further one, as from `close`."""
        try:
            yield
        except CheckpointError:
            self._wanted = None
            self._attempts.succeed()
            raise

    def _failed_in_background(self, step: int) -> bool:
        """Whether a failed write is to be tried again now; the same answer on all processes."""
        if self._writer is None or (self._wanted is None and not self._attempts.failed):
            return False
        if jax.process_count() > 1 and step % _CLOCK_STEPS:
            return False
        if self._writer.writing is not None:
            if files.anywhere(not self._writer.ended()):
                return False
            self._settle()
        return files.anywhere(self._attempts.due())

    def _survey(self) -> int | None:
        """Returns the newest whole step, looking at the files only the first time."""
        if self._newest is None:
            self._newest = files.newest_valid(self.model_dir, self._say)
        return self._newest[0]

    def _survey_whole(self) -> int | None:
        """Returns the newest whole step; not None where there are damaged ones only."""
        newest = self._survey()
        damaged = self._newest[1] if self._newest else {}
        if newest is None and damaged:
            raise CheckpointError(
                f"All {len(damaged)} checkpoints in {self.model_dir} are damaged; the newest: "
                f"{damaged[max(damaged)]}. Nothing is overwritten. To start anew, name another "
                "MODEL_DIR or move them away."
            )
        return newest

    def _find(self, step: int | None) -> epath.Path:
        """Returns the directory of a whole checkpoint."""
        newest = files.agree(self._survey)
        if newest is None or step not in (None, newest):
            return find_checkpoint(self.model_dir, step, self._say)
        return files.step_dir(self.model_dir, newest)

    def _open(self) -> Writer:
        """Prepares MODEL_DIR for writing: damaged checkpoints are renamed, leftovers removed."""
        if self._writer is None:

            def prepare() -> None:
                self.model_dir.mkdir(parents=True, exist_ok=True)
                self._survey()
                for step in self._newest[1] if self._newest else ():
                    target = files.set_aside(self.model_dir, step)
                    self._say(f"The damaged checkpoint of step {step} is now {target.name}.")

            files.agree(prepare)
            cfg = self._cfg
            self._writer = Writer(
                self.model_dir,
                keep=cfg.keep,
                keep_period=cfg.keep_period,
                checksums=cfg.checksums,
                timeout_s=cfg.timeout_s,
                say=self._say,
            )
        return self._writer
