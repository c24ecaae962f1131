"""How a process of a run ended: MODEL_DIR/last_words/process_<index>.json, and its exit code.

The file says what a log on a machine that is gone would have said: kind of ending, exit code, step,
message, traceback, versions, and what was in the last batch. It says "running" from the start on,
so an ending that left no words (kill -9, the kernel's out-of-memory killer, a power cut) is told
from those that did. It stands on the standard library, since it is needed when the rest fails.
"""

import datetime
import errno
import importlib.metadata
import json
import os
import pathlib
import platform
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from typing import Any

from flan_jax import errors, redaction

FOLDER = "last_words"
INTERRUPTED = 130  # What a shell reports for SIGINT.
_VERSIONS_OF = ("flan-jax", "jax", "jaxlib", "libtpu", "flax", "orbax-checkpoint", "tensorflow")
# What failing storage says: space, quota, rights, and places that are gone.
_STORAGE = {
    getattr(errno, name)
    for name in "ENOSPC EDQUOT EROFS EACCES EPERM EIO ESTALE ENODEV ENOTCONN EFBIG ETIMEDOUT"
    " EHOSTDOWN ENXIO EREMOTEIO".split()
    if hasattr(errno, name)
}
# What JAX's runtime says when another process of the run is gone.
_PEER_SIGNS = ("coordination service", "heartbeat", "gloo", "closed by peer", "reset by peer")


def known(error: BaseException) -> errors.FlanJaxError | None:
    """Returns the error of ours that an ending amounts to, or None for one of no known kind.

    Args:
      error: FlanJaxErrors are returned as they are; MemoryError, errors of the storage and those of
        JAX's runtime are given a kind and a message that says what helps.
    """
    if isinstance(error, errors.FlanJaxError):
        return error
    text = _first_line(error)
    if isinstance(error, MemoryError):
        return errors.OutOfMemoryError(
            f"The memory of this host was used up ({text or 'MemoryError'}). What helps: a smaller "
            "packing_window or in_memory = False in utils.DatasetConfig, or a larger host."
        )
    if type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError"):
        if "RESOURCE_EXHAUSTED" in text:
            return errors.OutOfMemoryError(
                f"The memory of a device was used up: {text} What helps: more parts of a batch "
                "(trainer.Trainer.num_microbatches), a smaller BATCH_SIZE, remat, or parameters "
                "over more devices (partitioning.PjitPartitioner.fsdp)."
            )
        if any(sign in str(error).lower() for sign in _PEER_SIGNS):
            return errors.PeerLostError(
                f"Another process of the run is gone: {text} Start the same command again on all "
                "hosts; see last_words/ in MODEL_DIR for the one that ended first."
            )
    if isinstance(error, OSError) and error.errno in _STORAGE:
        return errors.StorageError(
            f"A file could not be written or read: {error}. Earlier checkpoints are untouched; "
            "mend the storage and start the same command again."
        )
    return None


def classify(error: BaseException | None) -> tuple[str, int]:
    """Returns (kind, exit code) of an ending; None is the end of the work."""
    if error is None:
        return "finished", 0
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", getattr(error, "exit_code", INTERRUPTED)
    found = known(error)
    return ("bug", 1) if found is None else (found.kind, found.exit_code)


class LastWords:
    """The file of one process.

    Attributes:
      step: the last step begun.
      describe_batch: returns what was in that step's batch as a JSON value; called at the end only.
    """

    def __init__(
        self, model_dir: str, process_index: int = 0, num_processes: int = 1, keep: bool = True
    ):
        """Notes that the process runs.

        Args:
          model_dir: MODEL_DIR, which exists; local or a URL.
          process_index: of this process.
          num_processes: of the run.
          keep: whether to write anything.
        """
        self._keep = keep
        self.step: int | None = None
        self.describe_batch: Callable[[], Any] | None = None
        self._place = {"process": process_index, "processes": num_processes}
        self._path = _path(model_dir) / FOLDER / f"process_{process_index}.json"
        self._lock = threading.Lock()
        self._ended = False
        self.previous = read(self._path)
        self._write(self._words("running", 0, None))

    def describe_previous(self) -> str | None:
        """Returns a sentence on how the previous attempt ended; None where there was none."""
        words = self.previous
        if words is None or words.get("kind") == "finished":
            return None
        if words.get("kind") == "running":
            return (
                f"The last attempt, begun {words.get('time')} on {words.get('host')}, left no last "
                "words: it was killed (kill -9, out-of-memory killer, power) or still runs."
            )
        return (
            f"The last attempt ended {words.get('time')} at step {words.get('step')} as "
            f"'{words.get('kind')}' (exit code {words.get('code')}): {words.get('message')}"
        )

    def end(self, error: BaseException | None = None) -> int:
        """Writes how the process ends; the first call counts. Returns the exit code."""
        kind, code = classify(error)
        with self._lock:
            if self._ended:
                return code
            self._ended = True
        words = self._words(kind, code, error)
        if error is not None and self.describe_batch is not None:
            try:
                words["batch"] = self.describe_batch()
            except Exception as failure:  # noqa: BLE001 - the device may be what failed
                words["batch"] = f"not readable: {_first_line(failure)}"
        self._write(words)
        return code

    def _words(self, kind: str, code: int, error: BaseException | None) -> dict[str, Any]:
        words: dict[str, Any] = {
            "kind": kind,
            "code": code,
            "step": self.step,
            "message": None if error is None else redaction.redact(str(known(error) or error)),
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            **self._place,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "versions": _versions(),
        }
        if error is not None:
            words["traceback"] = redaction.redact("".join(traceback.format_exception(error)))
        return words

    def _write(self, words: dict[str, Any]) -> None:
        if not self._keep:
            return
        text = json.dumps(words, indent=1, default=str) + "\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Renamed into place: a kill leaves the old words or the new, not half.
            unfinished = self._path.with_name(f"{self._path.name}.unfinished")
            unfinished.write_text(text)
            unfinished.rename(self._path)
        except Exception as failure:  # noqa: BLE001 - a full disk is one of the reasons to end
            if words["kind"] in ("running", "finished"):
                return
            aside = pathlib.Path(tempfile.gettempdir(), f"flan_jax_last_words_{os.getpid()}.json")
            try:
                aside.write_text(text, encoding="utf-8")
            except OSError:
                return
            place = f"{aside} ({self._path} was not writable: {_first_line(failure)})"
            print(f"flan-jax: last words are in {place}", file=sys.stderr)


_current: LastWords | None = None
_process_is_ours = False


def own_process() -> None:
    """Says that this process lives for one command, which calls `end` when it is done.

    Without it, as in a notebook that calls `train`, no words are written: how the process ends is
    not for the run to say.
    """
    global _process_is_ours
    _process_is_ours = True


def begin(model_dir: str, process_index: int = 0, num_processes: int = 1) -> LastWords:
    """Opens this process's file; `end` closes it. Arguments as of `LastWords`."""
    global _current
    _current = LastWords(model_dir, process_index, num_processes, keep=_process_is_ours)
    return _current


def end(error: BaseException | None = None) -> int:
    """Writes how the process ends if its file was opened, and returns the exit code."""
    global _current, _process_is_ours
    words, _current, _process_is_ours = _current, None, False
    return classify(error)[1] if words is None else words.end(error)


def end_within(seconds: float, error: BaseException) -> None:
    """Writes the last words now, and ends the process in `seconds` whatever still hangs then.

    Threads that wait for storage or for another process would otherwise keep the process, and with
    it a machine, for good. Only where the process is `own_process`.
    """
    ours = _process_is_ours
    code = end(error)
    if ours:
        timer = threading.Timer(seconds, lambda: os._exit(code))
        timer.daemon = True
        timer.start()


def read(path: Any) -> dict[str, Any] | None:
    """Returns the words in a file, or None where there are none that can be read."""
    try:
        words = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return words if isinstance(words, dict) else None


def _path(model_dir: str) -> Any:
    if "://" not in model_dir:
        return pathlib.Path(model_dir)
    from etils import epath

    return epath.Path(model_dir)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _VERSIONS_OF:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
