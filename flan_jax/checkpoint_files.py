"""What lies in MODEL_DIR: finding checkpoints, and telling whole ones from damaged ones.

Orbax writes `checkpoint_<step>.orbax-checkpoint-tmp` and renames it when all is written, so a
killed run leaves no half-written `checkpoint_<step>`. Files can still be lost or cut later; a
manifest with sizes and checksums, written just before the rename, finds that before anything is
loaded.
"""

import hashlib
import json
import re
import uuid
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from etils import epath
from jax.experimental import multihost_utils

from flan_jax import checkpoint_reading as reading
from flan_jax.errors import CheckpointError, StorageError, suggest

PREFIX = "checkpoint"
MANIFEST = "manifest.json"

# Orbax rewrites these when it commits, after the manifest.
_NOT_IN_MANIFEST = {MANIFEST, "_CHECKPOINT_METADATA", "commit_success.txt"}
_FORMAT = 2
_MESSAGE_BYTES = 1 << 14


def step_dir(model_dir: epath.PathLike, step: int) -> epath.Path:
    """Returns the directory of a step's checkpoint."""
    return epath.Path(model_dir) / f"{PREFIX}_{step}"


def list_steps(model_dir: epath.PathLike) -> list[int]:
    """Returns the steps with a committed checkpoint directory, ascending, unverified."""
    found = (step_in(name) for name in reading.names(epath.Path(model_dir)))
    return sorted(step for step in found if step is not None)


def step_in(name: str) -> int | None:
    """Returns the step in the name of a `checkpoint_<step>` directory, else None."""
    match = re.fullmatch(rf"{PREFIX}_(\d+)", name)
    return int(match[1]) if match else None


def run_of(checkpoint: epath.PathLike) -> epath.Path:
    """Returns the MODEL_DIR that a checkpoint directory lies in, or the path itself."""
    path = epath.Path(checkpoint)
    return path if step_in(path.name) is None else path.parent


def check_exists(path: epath.Path) -> None:
    """Raises CheckpointError, with the nearest names beside it, where nothing is at a path."""
    if not path.exists():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise CheckpointError(
            f"There is no checkpoint at {path}: the path does not exist."
            + suggest(path.name, siblings)
        )


def unfinished(model_dir: epath.PathLike) -> list[str]:
    """Returns the names of checkpoints whose writing was cut short."""
    names = reading.names(epath.Path(model_dir))
    return sorted(n for n in names if re.match(rf"{PREFIX}_\d+\.orbax-checkpoint-tmp", n))


def _files(directory: epath.Path, prefix: str = "") -> Iterator[tuple[str, epath.Path]]:
    """Yields (name relative to `directory`, path) of every file below it."""
    for name in sorted(reading.names(directory)):
        path = directory / name
        if path.is_dir():
            yield from _files(path, f"{prefix}{name}/")
        elif prefix or name not in _NOT_IN_MANIFEST:
            yield prefix + name, path


def write_manifest(directory: epath.Path, step: int, checksums: bool) -> None:
    """Writes the list of files of a checkpoint, with sizes in bytes and, if asked, CRC-32.

    The manifest has a checksum of itself, so that damage to it is not taken for damage to a file,
    nor hides one.

    Args:
      directory: the checkpoint, all files written.
      step: its step.
      checksums: whether to read every file back for its CRC-32.
    """
    files = {
        name: {"bytes": path.stat().length} | ({"crc32": reading.crc32(path)} if checksums else {})
        for name, path in _files(directory)
    }
    text = json.dumps(
        {"format": _FORMAT, "crc32": _own_crc32(step, files), "step": step, "files": files},
        indent=1,
    )
    (directory / MANIFEST).write_text(text)


def _own_crc32(step: int, files: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps([step, files], sort_keys=True).encode())


def read_manifest(directory: epath.PathLike) -> dict[str, Any]:
    """Returns the manifest of a checkpoint.

    Raises:
      StorageError: it may not be read.
      CheckpointError: it is missing or not readable.
    """
    path = epath.Path(directory) / MANIFEST
    try:
        manifest = json.loads(reading.text(path))
        found = {"step": int(manifest["step"]), "files": dict(manifest["files"])}
        form = manifest["format"]
        if form not in (1, _FORMAT):
            raise ValueError(f"its format is {form!r}; this version reads 1 and {_FORMAT}")
        # Format 1 had no checksum of itself.
        if form == _FORMAT and manifest["crc32"] != _own_crc32(found["step"], found["files"]):
            raise ValueError("its content has changed since it was written")
        return found
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is not readable: {error}") from None


def fingerprint(directory: epath.PathLike, item: str, more: str = "") -> str:
    """Returns a SHA-256, in hexadecimal, that tells the content of an item of a whole checkpoint.

    It is made of the names, sizes and checksums in the manifest, so a copy has the same and large
    files are not read; only those of a checkpoint without checksums are.

    Args:
      directory: the checkpoint.
      item: name of the item.
      more: text that belongs to the content.
    """
    directory = epath.Path(directory)
    entries = [
        [
            name,
            entry["bytes"],
            entry["crc32"] if "crc32" in entry else reading.crc32(directory / name),
        ]
        for name, entry in sorted(read_manifest(directory)["files"].items())
        if name.startswith(f"{item}/")
    ]
    return hashlib.sha256(json.dumps([entries, more]).encode()).hexdigest()


def fingerprint_of_files(directory: epath.PathLike) -> str:
    """Returns the same for another library's checkpoint, whose files are all read."""
    entries = [
        [name, path.stat().length, reading.crc32(path)]
        for name, path in _files(epath.Path(directory))
    ]
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()


def damage(directory: epath.PathLike) -> str | None:
    """Returns what is wrong with a checkpoint's files, or None if they are as written.

    A file that the storage fails to give, asked several times, counts as damaged.

    Raises:
      StorageError: this process may not read a file: its rights are to be mended.
    """
    directory = epath.Path(directory)
    try:
        manifest = read_manifest(directory)
    except StorageError:
        raise
    except CheckpointError as error:
        return str(error)
    named = step_in(directory.name)
    if named is not None and named != manifest["step"]:
        return f"its {MANIFEST} is of step {manifest['step']}"
    files = manifest["files"]
    # Sizes first: cheap, and they find most damage before files are read.
    for name, expected in files.items():
        try:
            size_bytes = reading.size_bytes(directory / name)
        except FileNotFoundError:
            return f"the file {name} is missing"
        except OSError as error:
            return f"the file {name} cannot be read: {error}"
        if size_bytes != expected["bytes"]:
            return f"the file {name} has {size_bytes} bytes instead of {expected['bytes']}"
    for name, expected in files.items():
        try:
            if "crc32" in expected and reading.crc32(directory / name) != expected["crc32"]:
                return f"the content of the file {name} has changed since it was written"
        except OSError as error:
            return f"the file {name} cannot be read: {error}"
    return None


def newest_valid(
    model_dir: epath.PathLike, say: Callable[[str], None]
) -> tuple[int | None, dict[int, str]]:
    """Finds the newest whole checkpoint.

    Args:
      model_dir: directory with `checkpoint_<step>` directories; may be absent.
      say: receives a sentence for each checkpoint passed over.

    Returns:
      Its step, or None; and, for each newer damaged step, what is wrong with it.
    """
    if not epath.Path(model_dir).is_dir():
        return None, {}
    for name in unfinished(model_dir):
        say(f"{name}: the run stopped while writing this checkpoint; ignored.")
    damaged: dict[int, str] = {}
    for step in reversed(list_steps(model_dir)):
        why = damage(step_dir(model_dir, step))
        if why is None:
            if damaged:
                say(f"Using the previous checkpoint, {PREFIX}_{step}.")
            return step, damaged
        damaged[step] = why
        say(f"{PREFIX}_{step} is damaged and passed over: {why}.")
    return None, damaged


def set_aside(model_dir: epath.PathLike, step: int, why: str = "damaged") -> epath.Path:
    """Renames a checkpoint so that its step can be written again; returns the new path."""
    source = step_dir(model_dir, step)
    target = source.with_name(f"{source.name}.{why}")
    if target.exists():
        target = source.with_name(f"{source.name}.{why}-{uuid.uuid4().hex[:8]}")
    source.rename(target)
    return target


def find_checkpoint(
    path: epath.PathLike, step: int | None = None, say: Callable[[str], None] = print
) -> epath.Path:
    """Returns the directory of one whole checkpoint.

    Args:
      path: a MODEL_DIR, or one checkpoint directory.
      step: the step wanted from a MODEL_DIR; None for the newest whole one.
      say: receives a sentence for each checkpoint passed over.

    Raises:
      CheckpointError: the path does not exist, is no checkpoint, holds none, or it is damaged.
    """
    path = epath.Path(path)
    check_exists(path)
    if not path.is_dir():
        raise CheckpointError(
            f"{path} is a file. Give a directory: a {PREFIX}_<step>, or the MODEL_DIR of a run."
        )
    if (path / MANIFEST).exists() or step_in(path.name) is not None:
        if step is not None and read_manifest(path)["step"] != step:
            raise CheckpointError(f"{path} is not the checkpoint of step {step}.")
        if why := damage(path):
            raise CheckpointError(f"The checkpoint {path} is damaged: {why}.")
        return path
    steps = list_steps(path)
    if not steps:
        content = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
        raise CheckpointError(
            f"{path} holds no checkpoint: expected directories named {PREFIX}_<step>, found "
            f"{content}."
        )
    if step is None:
        step, damaged = newest_valid(path, say)
        if step is None:
            raise CheckpointError(
                f"All {len(damaged)} checkpoints in {path} are damaged; the newest: "
                f"{damaged[max(damaged)]}."
            )
        return step_dir(path, step)
    if step not in steps:
        raise CheckpointError(
            f"{path} has no checkpoint of step {step}; it has {', '.join(map(str, steps))}."
        )
    if why := damage(step_dir(path, step)):
        raise CheckpointError(f"The checkpoint {step_dir(path, step)} is damaged: {why}.")
    return step_dir(path, step)


def agree(decide: Callable[[], Any]) -> Any:
    """Returns what `decide()` returns on the first process, on all processes.

    Hosts that look at a file system one after the other may see different states of it, and a file
    need not be checked by each of them.

    Args:
      decide: returns a JSON value of at most 16 KiB.

    Raises:
      CheckpointError: `decide` raised it on the first process.
    """
    if jax.process_count() == 1:
        return decide()
    answer: dict[str, Any] = {}
    if jax.process_index() == 0:
        try:
            answer = {"value": decide()}
        except CheckpointError as error:
            storage = isinstance(error, StorageError)
            answer = {"error": str(error)[: _MESSAGE_BYTES // 8], "storage": storage}
    message = json.dumps(answer).encode()
    buffer = np.zeros(_MESSAGE_BYTES, np.uint8)
    buffer[: len(message)] = np.frombuffer(message, np.uint8)
    buffer = np.asarray(multihost_utils.broadcast_one_to_all(buffer), np.uint8)
    answer = json.loads(buffer.tobytes().rstrip(b"\0"))
    if "error" in answer:
        raise (StorageError if answer["storage"] else CheckpointError)(answer["error"])
    return answer["value"]


def anywhere(here: bool) -> bool:
    """Returns whether `here` is true on any process; the same answer on all."""
    if jax.process_count() == 1:
        return here
    return bool(np.any(multihost_utils.process_allgather(np.asarray(here))))
