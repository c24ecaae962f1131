"""Writing checkpoints in the background through Orbax, with another try where the storage fails.

A failed write costs nothing that was there before: Orbax deletes old checkpoints only after the new
one has its name. What is left of it is removed before the next try.
"""

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint.checkpoint_managers import preservation_policy

from flan_jax import checkpoint_arrays as stored
from flan_jax import checkpoint_files as files
from flan_jax import model_dir as place
from flan_jax.errors import StorageError

_ITEMS = ("params", "train", "meta")
_SAY_EVERY_S = 60.0


class SaveFailedError(Exception):
    """One write failed; there may be another try."""


class Writer:
    """Writes the checkpoints of one MODEL_DIR. All processes must make the same calls."""

    def __init__(
        self,
        model_dir: epath.Path,
        *,
        keep: int,
        keep_period: int | None,
        checksums: bool,
        timeout_s: float,
        say: Callable[[str], None],
    ):
        """Opens a MODEL_DIR, which exists, and removes what earlier writes left unfinished.

        Args:
          model_dir: absolute path or URL.
          keep: how many of the newest to keep.
          keep_period: also keep those whose step is a multiple of it.
          checksums: whether the manifest has them.
          timeout_s: how long a write may take once it is waited for.
          say: receives sentences.
        """
        self._dir, self._checksums, self._timeout_s, self._say = (
            model_dir,
            checksums,
            timeout_s,
            say,
        )
        self._identity = place.identity(model_dir)
        self._policies: list[Any] = [preservation_policy.LatestN(keep)]
        if keep_period:
            self._policies.append(preservation_policy.EveryNSteps(keep_period))
        self._manager: ocp.CheckpointManager | None = None
        self._step: int | None = None

    @property
    def writing(self) -> int | None:
        """The step whose write was begun and is not known to have ended."""
        return self._step

    def newest(self) -> int:
        """The newest step that has a checkpoint, -1 for none."""
        with self._failing("cannot be looked into"):
            return max(self._open().all_steps(), default=-1)

    def start(self, step: int, state: Any, meta: Mapping[str, Any]) -> None:
        """Copies the arrays and begins to write them; no write may be under way.

        Raises:
          SaveFailedError: it could not begin.
        """
        assert self._step is None, "finish() comes first"
        self._step = step
        with self._failing(f"checkpoint {step} could not be written"):
            place.check_same(self._dir, self._identity)
            self._check_space(state)
            params, train = stored.split(state)
            self._open().save(
                step,
                args=ocp.args.Composite(
                    params=ocp.args.StandardSave(stored.nested(params)),
                    train=ocp.args.StandardSave(stored.nested(train)),
                    meta=ocp.args.JsonSave(dict(meta)),
                ),
                force=True,
            )

    def ended(self) -> bool:
        """Whether `finish` would return or raise at once. Does not talk to other processes."""
        return self._manager is None or not self._manager.is_saving_in_progress()

    def finish(self) -> None:
        """Waits for the write under way.

        Raises:
          SaveFailedError: it failed.
          StorageError: it did not end in time.
        """
        manager, step = self._manager, self._step
        if manager is None or step is None:
            return
        with self._failing(f"checkpoint {step} could not be written"):
            self._join(manager, step)
            if jax.process_index() == 0 and not files.step_dir(self._dir, step).is_dir():
                raise OSError("its directory is not there")
        self._step = None

    def close(self) -> None:
        """Lets go of MODEL_DIR; what a failed write left is removed by the next one."""
        manager, self._manager, self._step = self._manager, None, None
        if manager is not None:
            with contextlib.suppress(Exception):
                manager.close()

    def _join(self, manager: ocp.CheckpointManager, step: int) -> None:
        """Waits in a thread of its own: storage that hangs must not hold the run for good."""
        failure: list[BaseException] = []

        def wait() -> None:
            try:
                manager.wait_until_finished()
            except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
                failure.append(error)

        thread = threading.Thread(target=wait, name="checkpoint-wait", daemon=True)
        started = time.monotonic()
        thread.start()
        while thread.is_alive():
            waited_s = time.monotonic() - started
            if waited_s >= self._timeout_s:
                self._manager = self._step = None  # Closing it would hang as well.
                raise StorageError(
                    f"The checkpoint of step {step} was not written to {self._dir} within "
                    f"{self._timeout_s:.0f} s (utils.SaveCheckpointConfig.timeout_s): the storage "
                    "hangs. Earlier checkpoints are untouched; start the same command again to go "
                    "on from them."
                )
            thread.join(min(_SAY_EVERY_S, self._timeout_s - waited_s))
            if thread.is_alive() and time.monotonic() - started < self._timeout_s:
                self._say(f"still writing the checkpoint of step {step} ...")
        if failure:
            raise failure[0]

    def _open(self) -> ocp.CheckpointManager:
        if self._manager is None:
            policy = preservation_policy.AnyPreservationPolicy(self._policies)
            self._manager = ocp.CheckpointManager(
                self._dir,
                item_names=_ITEMS,
                options=ocp.CheckpointManagerOptions(
                    step_prefix=files.PREFIX,
                    preservation_policy=policy,
                    cleanup_tmp_directories=True,
                    save_root_metadata=False,
                    async_options=ocp.AsyncOptions(
                        post_finalization_callback=self._before_commit,
                        # Else a directory that cannot be made is only noticed after ten minutes.
                        create_directories_asynchronously=False,
                    ),
                ),
            )
        return self._manager

    def _before_commit(self) -> None:
        """Called by Orbax when all files are written and the directory has its temporary name."""
        if jax.process_index() != 0:
            return
        assert self._step is not None
        final = files.step_dir(self._dir, self._step)
        # Object stores cannot rename: there Orbax writes in place and adds a marker file.
        waiting = list(self._dir.glob(f"{final.name}.orbax-checkpoint-tmp*"))
        directory = waiting[0] if waiting else final
        files.write_manifest(directory, self._step, self._checksums)

    def _check_space(self, state: Any) -> None:
        """Raises OSError if a local disk has less room than the arrays need."""
        if jax.process_count() > 1 or "://" in str(self._dir):
            return
        needed_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        free_bytes = shutil.disk_usage(self._dir).free
        if free_bytes < needed_bytes:
            raise OSError(
                f"it needs {needed_bytes / 1e9:.2f} GB, and {free_bytes / 1e9:.2f} GB are free"
            )

    @contextlib.contextmanager
    def _failing(self, what: str):
        """Turns an error of the storage or of Orbax into a SaveFailedError; closes the manager.

        Orbax remembers a failed write, and its unfinished directory takes space: opening MODEL_DIR
        anew gets rid of both.
        """
        try:
            yield
        except StorageError:
            raise
        except (OSError, ValueError, RuntimeError) as error:
            self.close()
            raise SaveFailedError(f"{what}: {_shorten(error)}") from error


def _shorten(error: BaseException) -> str:
    """The first words of an error; TensorStore's name every layer with source lines."""
    text = str(error).strip() or type(error).__name__
    return text if len(text) <= 400 else f"{text[:400]} ..."


class Attempts:
    """Counts the failed tries of one checkpoint and says when the next one is due."""

    def __init__(self, retries: int, wait_s: float):
        """No failure so far.

        Args:
          retries: tries after the first.
          wait_s: seconds before the first of them; each next one waits twice as long.
        """
        self._retries, self._wait_s = retries, wait_s
        self.failed = 0
        self._failed_at_s = 0.0

    def note(self, error: SaveFailedError, where: Any, say: Callable[[str], None]) -> None:
        """Counts a failure.

        Raises:
          StorageError: no try is left.
        """
        self.failed += 1
        self._failed_at_s = time.monotonic()
        if self.failed > self._retries:
            tries = "once" if self.failed == 1 else f"{self.failed} times"
            raise StorageError(
                f"A checkpoint could not be written to {where}, tried {tries}: {error}. Earlier "
                "checkpoints are untouched; mend the storage and start the same command again to "
                "go on from them."
            ) from error
        say(
            f"{error}. Earlier checkpoints are untouched; try {self.failed + 1} of "
            f"{self._retries + 1} in {self.delay_s:.0f} s."
        )

    @property
    def delay_s(self) -> float:
        """Seconds between the last failure and the next try."""
        return self._wait_s * 2 ** max(0, self.failed - 1)

    def due(self) -> bool:
        """Whether another try is wanted now."""
        return bool(self.failed) and time.monotonic() - self._failed_at_s >= self.delay_s

    def wait(self) -> None:
        """Waits until it is."""
        time.sleep(max(0.0, self._failed_at_s + self.delay_s - time.monotonic()))

    def succeed(self) -> None:
        """Forgets the failures."""
        self.failed = 0


def ending_with_an_error() -> bool:
    """Whether an exception is on its way up, as in a `finally` clause."""
    return sys.exc_info()[0] is not None
