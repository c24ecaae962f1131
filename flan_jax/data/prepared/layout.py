"""Names of the files of a prepared data set, and how they come to be there whole.

    DIR/manifest.json                        what is there; written last
    DIR/index.npy                            int32 CxN: a column for each example of all tasks
    DIR/tasks/<task>/<split>-00000.array_record   examples
    DIR/tasks/<task>/<split>-00000.index.npy      int32 CxN: the same columns, of one shard
    DIR/progress/                            only while `flan-jax prepare` is not finished

The rows C of an index are `index_rows`. Every file is written under another name first and renamed
when it is whole, so a name in this list is never that of half a file.
"""

import hashlib
import io
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from etils import epath

MANIFEST, INDEX, TASKS, PROGRESS = "manifest.json", "index.npy", "tasks", "progress"
SHARD_SUFFIX, INDEX_SUFFIX = ".array_record", ".index.npy"

# Of each example: the source's row, which rendering of it, and what it could cost to read it.
ROW, RENDERING, FLAGS = "row", "rendering", "flags"
LENGTH, ORIGINAL = "length/", "original/"

_READ_BYTES = 1 << 20
_LONGEST_NAME = 100


def index_rows(features: Sequence[str]) -> tuple[str, ...]:
    """Returns what the rows of an index hold.

    The number of the row in its split, of the rendering, the flags of `packing.Example`, and the
    number of tokens of each feature: as stored, and before anything was cut.

    >>> index_rows(["targets"])
    ('row', 'rendering', 'flags', 'length/targets', 'original/targets')
    """
    lengths = [LENGTH + name for name in features]
    return (ROW, RENDERING, FLAGS, *lengths, *(ORIGINAL + name for name in features))


def task_folder(name: str) -> str:
    """Returns the folder name of a task: its name, where a file system takes it.

    >>> task_folder("glue/rte"), task_folder("rte")
    ('glue_rte-85a8a4c5', 'rte')
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    if plain == name and len(name) <= _LONGEST_NAME and not name.startswith("."):
        return name
    code = hashlib.blake2b(name.encode(), digest_size=4).hexdigest()
    return f"{plain.lstrip('.')[:_LONGEST_NAME]}-{code}"


def shard_stem(task: str, split: str, number: int) -> str:
    """Returns the path of a shard below DIR, without its suffix."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", split)
    return f"{TASKS}/{task_folder(task)}/{plain}-{number:05d}"


def write_whole(path: Any, content: bytes) -> None:
    """Writes a file under another name, then renames it, so that it is there whole or not at all.

    The other name is of the process's own: two workers that write the same file do not meet.
    """
    path = epath.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.parent / f"{path.name}.{os.getpid()}.tmp"
    unfinished.write_bytes(content)
    unfinished.replace(path)


def sha256(path: Any) -> str:
    """Returns the checksum of a file, reading it in pieces."""
    digest = hashlib.sha256()
    with epath.Path(path).open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def array_bytes(array: np.ndarray) -> bytes:
    """Returns an array as the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()
