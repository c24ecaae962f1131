"""Writing a shard, and reading single records of shards.

ArrayRecord reads and writes local files. For other places a shard is made here and copied there, or
copied here before it is read.
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from flan_jax.data.prepared import codec, layout
from flan_jax.data.prepared.manifest import File, Shard
from flan_jax.errors import ConfigError, DataError

# Each record is a group of its own, so that reading one reads no other.
_OPTIONS = "group_size:1,zstd:1"
# No reading ahead: records are wanted in no order.
_READER_OPTIONS = "readahead_buffer_size:0"


def array_record() -> Any:
    """Returns ArrayRecord's module.

    Raises:
      ConfigError: it is not installed.
    """
    try:
        from array_record.python import (  # pyright: ignore[reportMissingImports]
            array_record_module,  # pyright: ignore[reportAttributeAccessIssue]
        )
    except ImportError as error:
        raise ConfigError(
            "Prepared data need the package 'array_record', which is not installed. Run: "
            "pip install 'array_record>=0.8.3,<0.9'"
        ) from error
    return array_record_module


def is_local(path: Any) -> bool:
    """Whether a path is one of this machine."""
    return "://" not in os.fspath(path)


class ShardWriter:
    """Collects the examples of a shard; `finish` puts its two files in place.

    Args:
      folder: of the prepared data set.
      stem: `layout.shard_stem`.
      features: names, in the order of the index.
    """

    def __init__(self, folder: Any, stem: str, features: Sequence[str]):
        self._folder, self._stem, self._features = epath.Path(folder), stem, tuple(features)
        self._columns: list[list[int]] = []
        target = self._folder / (stem + layout.SHARD_SUFFIX)
        target.parent.mkdir(parents=True, exist_ok=True)
        place = os.fspath(target.parent) if is_local(folder) else tempfile.gettempdir()
        self._unfinished = os.path.join(place, f"{target.name}.{os.getpid()}.tmp")
        self._target = target
        self._writer = array_record().ArrayRecordWriter(self._unfinished, _OPTIONS)

    def add(
        self,
        features: Mapping[str, np.ndarray],
        provenance: Mapping[str, Any],
        *,
        row: int,
        rendering: int,
        flags: int,
        originals: Sequence[int],
    ) -> None:
        """Adds an example; the arguments after `provenance` are those of the index."""
        self._writer.write(codec.encode(features, provenance))
        lengths = [len(features[name]) for name in self._features]
        self._columns.append([row, rendering, flags, *lengths, *originals])

    @property
    def count(self) -> int:
        """Examples so far."""
        return len(self._columns)

    def finish(self, counts: Mapping[str, int]) -> Shard:
        """Closes the files and renames them.

        Args:
          counts: see `manifest.Shard`.

        Returns:
          What the manifest says of them.
        """
        self._writer.close()
        count = len(layout.index_rows(self._features))
        index_CxN = np.array(self._columns, np.int32).reshape(-1, count).T
        index = write_index(self._folder, self._stem + layout.INDEX_SUFFIX, index_CxN)
        size, checksum = os.path.getsize(self._unfinished), layout.sha256(self._unfinished)
        if is_local(self._folder):
            os.replace(self._unfinished, self._target)
        else:
            there = self._target.parent / f"{self._target.name}.{os.getpid()}.tmp"
            epath.Path(self._unfinished).copy(there, overwrite=True)
            there.replace(self._target)
            os.unlink(self._unfinished)
        records = File(self._stem + layout.SHARD_SUFFIX, size, checksum)
        return Shard(len(self._columns), records, index, dict(counts))

    def abandon(self) -> None:
        """Removes what was written."""
        self._writer.close()
        os.unlink(self._unfinished)


def write_index(folder: Any, path: str, index_CxN: np.ndarray) -> File:
    """Writes an index below the folder and returns what the manifest says of it."""
    content = layout.array_bytes(index_CxN)
    layout.write_whole(epath.Path(folder) / path, content)
    return File(path, len(content), hashlib.sha256(content).hexdigest())


class ShardReader:
    """Records of one shard, opened at the first read."""

    def __init__(self, path: str, examples: int):
        self.path, self._examples = path, examples
        self._reader: Any = None

    def read(self, places: Sequence[int]) -> list[bytes]:
        """Returns the records at places within the shard.

        Raises:
          DataError: the file is missing, damaged or another one.
        """
        try:
            if self._reader is None:
                self._reader = self._open()
            return self._reader.read(list(places))
        except (RuntimeError, OSError, IndexError) as error:
            raise damaged(self.path, str(error)) from error

    def _open(self) -> Any:
        reader = array_record().ArrayRecordReader(local_copy(self.path), _READER_OPTIONS)
        found = reader.num_records()
        # A damaged file opens too, as one without records; reading it says what is wrong.
        if found != self._examples:
            if not reader.ok():
                reader.read([0])
            raise damaged(self.path, f"{found} records, {self._examples} expected")
        return reader

    def close(self) -> None:
        """Closes the file; the next read opens it again."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def damaged(path: str, what: str) -> DataError:
    """The error for a shard that cannot be read."""
    return DataError(
        f"The shard {path} is missing or damaged: {what}. See what else is: flan-jax doctor --data "
        "DIR; flan-jax prepare with the flags of before makes it again."
    )


def local_copy(path: str) -> str:
    """Returns the path, or that of a copy on this machine, made at the first call."""
    if is_local(path):
        return path
    folder = os.path.join(tempfile.gettempdir(), f"flan_jax_prepared_{os.getuid()}")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    source = epath.Path(path)
    name = hashlib.sha256(f"{path} {source.stat().mtime}".encode()).hexdigest()[:32]
    kept = os.path.join(folder, name)
    if not os.path.exists(kept):
        unfinished = f"{kept}.{os.getpid()}.tmp"
        source.copy(unfinished, overwrite=True)
        os.replace(unfinished, kept)
    return kept
