"""Prepared examples by number, and their lengths without opening a shard."""

import collections
import concurrent.futures
import functools
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from flan_jax.data.prepared import checking, codec, layout, shards
from flan_jax.data.prepared.manifest import (
    File,
    Manifest,
    PreparedFeature,
    Shard,
    TaskEntry,
    read_manifest,
)
from flan_jax.errors import DataError

# Shards kept open, over all tasks of a data set.
_OPEN_SHARDS = 256
_CHECKING_THREADS = 32
_NAMED = 10


class Prepared:
    """A prepared data set.

    It can be pickled; each process opens its own files.

    Attributes:
      folder: where it lies.
      manifest: what it holds.
      tasks: its tasks, sorted by name as in the manifest.
    """

    def __init__(self, folder: str, manifest: Manifest, index_CxN: np.ndarray):
        self.folder, self.manifest = folder, manifest
        self._shards = OpenShards(folder, _OPEN_SHARDS)
        tasks, start = [], 0
        for entry in manifest.tasks:
            stop = start + entry.num_examples
            index = index_CxN[:, start:stop]
            tasks.append(PreparedTask(entry, manifest.features, index, self._shards))
            start = stop
        self.tasks: tuple[PreparedTask, ...] = tuple(tasks)

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "manifest": self.manifest}

    def __setstate__(self, state: dict[str, Any]) -> None:
        index_CxN = _read_index(state["folder"], state["manifest"])
        self.__init__(state["folder"], state["manifest"], index_CxN)


class PreparedTask:
    """The examples of one task, numbered from 0 in the source's order.

    Attributes:
      entry: what the manifest says of it.
      name: the task's.
      features: names of its token features.
      num_examples: N.
      index_CxN: int32, see `layout.index_rows`; of a file that is mapped into memory.
    """

    def __init__(
        self,
        entry: TaskEntry,
        features: Mapping[str, PreparedFeature],
        index_CxN: np.ndarray,
        opened: "OpenShards",
    ):
        self.entry, self.name, self.features = entry, entry.name, tuple(features)
        self._described = features
        self.num_examples = index_CxN.shape[1]
        self.index_CxN = index_CxN
        self._opened = opened
        self._rows = {name: i for i, name in enumerate(layout.index_rows(self.features))}
        self._ends = np.cumsum([shard.examples for shard in entry.shards], dtype=np.int64)

    @property
    def group(self) -> str:
        """The collection that the task's figures are added up with, '' for none."""
        return self.entry.group

    @property
    def rate(self) -> float:
        """The task's rate in the mixture when it was prepared."""
        return self.entry.rate

    def column(self, name: str) -> np.ndarray:
        """Returns one of `layout.index_rows` of all examples, int32 N."""
        return self.index_CxN[self._rows[name]]

    @functools.cached_property
    def lengths_NxF(self) -> np.ndarray:
        """Tokens of each feature as stored, int32, in the order of `features`."""
        first = self._rows[layout.LENGTH + self.features[0]]
        return self.index_CxN[first : first + len(self.features)].T

    @property
    def rows_N(self) -> np.ndarray:
        """The source's row of each example, int32; several renderings may be of one."""
        return self.column(layout.ROW)

    @property
    def renderings_N(self) -> np.ndarray:
        """Which rendering of its row each example is, int32."""
        return self.column(layout.RENDERING)

    @property
    def flags_N(self) -> np.ndarray:
        """What was cut off each example: the flags of `packing.Example`, int32."""
        return self.column(layout.FLAGS)

    def read(self, indices: Sequence[int]) -> list[dict[str, np.ndarray]]:
        """Returns examples by number: int32 tokens by feature.

        A task with weights of its target tokens has them as `targets_loss_weights`.

        Raises:
          IndexError: there is no such example.
          DataError: a shard is missing or damaged, or its examples are not those of the index.
        """
        return [features for features, _ in self._examples(indices)]

    def provenance(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Returns where examples come from.

        Each has 'task', 'row', 'rendering', 'flags', 'row_hash' (hex, of its tokens before any
        cut), 'original_<feature>' (tokens before any cut) and, where they are known, 'template'
        (its name), 'template_id' and 'shots'.

        Raises:
          IndexError, DataError: as `read`.
        """
        found = []
        for number, (_, said) in zip(indices, self._examples(indices), strict=True):
            of_index = {
                name: int(self.column(name)[number])
                for name in (layout.ROW, layout.RENDERING, layout.FLAGS)
            }
            originals = {
                f"original_{name}": int(self.column(layout.ORIGINAL + name)[number])
                for name in self.features
            }
            template = said.get("template_id")
            named = {}
            if template is not None and 0 <= template < len(self.entry.templates):
                named["template"] = self.entry.templates[template]
            found.append({"task": self.name, **of_index, **originals, **said, **named})
        return found

    def shard_of(self, index: int) -> tuple[Shard, int]:
        """Returns the shard that holds an example, and its place there."""
        if not 0 <= index < self.num_examples:
            raise IndexError(f"{self.name} has {self.num_examples} examples, not {index}")
        number = int(np.searchsorted(self._ends, index, side="right"))
        shard = self.entry.shards[number]
        return shard, int(index - self._ends[number]) + shard.examples

    def _examples(
        self, indices: Sequence[int]
    ) -> list[tuple[dict[str, np.ndarray], dict[str, Any]]]:
        asked: dict[Shard, list[tuple[int, int]]] = {}
        for order, index in enumerate(indices):
            shard, place = self.shard_of(int(index))
            asked.setdefault(shard, []).append((order, place))
        found: list[Any] = [None] * len(indices)
        for shard, orders in asked.items():
            records = self._opened.read(shard, [place for _, place in orders])
            for (order, _), record in zip(orders, records, strict=True):
                found[order] = self._decode(record, shard, int(indices[order]))
        return found

    def _decode(
        self, record: bytes, shard: Shard, index: int
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        try:
            features, provenance = codec.decode(record)
        except ValueError as error:
            raise shards.damaged(shard.records.path, f"example {index}: {error}") from error
        lengths = [len(features.get(name, ())) for name in self.features]
        if lengths != self.lengths_NxF[index].tolist():
            raise shards.damaged(
                shard.records.path,
                f"example {index} of {self.name} has {lengths} tokens, the index says "
                f"{self.lengths_NxF[index].tolist()}",
            )
        fault = checking.example_fault(features, int(self.flags_N[index]), self._described)
        if fault is not None:
            where = f"example {index} of {self.name} (row {self.rows_N[index]})"
            raise shards.damaged(shard.records.path, f"{where}: {fault}")
        return features, provenance


class OpenShards:
    """Opens shards when they are read, and closes those not used for longest."""

    def __init__(self, folder: str, limit: int):
        self._folder, self._limit = folder, limit
        self._readers: collections.OrderedDict[str, shards.ShardReader] = collections.OrderedDict()
        self._lock = threading.Lock()

    def read(self, shard: Shard, places: Sequence[int]) -> list[bytes]:
        """Returns records of a shard; safe from several threads."""
        with self._lock:
            path = shard.records.path
            reader = self._readers.pop(path, None)
            if reader is None:
                full = f"{self._folder}/{path}"
                reader = shards.ShardReader(full, shard.examples)
            self._readers[path] = reader
            while len(self._readers) > self._limit:
                _, oldest = self._readers.popitem(last=False)
                oldest.close()
            return reader.read(places)


def open_prepared(
    folder: Any,
    vocabularies: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    checksums: bool = False,
) -> Prepared:
    """Opens a prepared data set and checks it against its manifest; no shard is opened.

    The index is read whole, of shards only the sizes are looked at.

    Args:
      folder: local or of any kind that etils.epath reads, e.g. gs://.
      vocabularies: by feature the `tokenizer_files.identity` it must have; None checks none.
      checksums: also read all files and compare their checksums, which takes as long as reading
        them does.

    Raises:
      NotFoundError: there is no manifest.
      DataError: the manifest is damaged, or a file is missing, of another size or, if asked,
        content; a shard is there twice; the vocabulary is another one; an example has no targets
        or is too long. All are named.
    """
    folder = str(folder).rstrip("/")
    manifest = read_manifest(folder)
    faults = file_faults(folder, manifest, checksums=checksums)
    faults += vocabulary_faults(manifest, vocabularies or {})
    if faults:
        raise DataError(faults_text(folder, faults))
    index_CxN = _read_index(folder, manifest)
    prepared = Prepared(folder, manifest, index_CxN)
    # Of all tasks at once: of a thousand, each by itself takes longer than all the rest.
    if not checking.is_index_sound(index_CxN, manifest.features):
        for task in prepared.tasks:
            faults += checking.index_faults(task.index_CxN, task.entry, manifest.features)
        raise DataError(faults_text(folder, faults))
    return prepared


def faults_text(folder: str, faults: Sequence[str]) -> str:
    """Returns the message for what is wrong with a prepared data set."""
    lines = [f"  {fault}" for fault in faults[:_NAMED]]
    if len(faults) > _NAMED:
        lines.append(f"  and {len(faults) - _NAMED} more: flan-jax doctor --data {folder}")
    return (
        f"The prepared data in {folder} are not to be trained on:\n"
        + "\n".join(lines)
        + "\nflan-jax prepare with the flags of before makes anew what is missing or damaged."
    )


def file_faults(folder: str, manifest: Manifest, *, checksums: bool) -> list[str]:
    """Compares the files with the manifest; returns what is wrong, a line each."""
    twice, is_local = _twice(manifest), shards.is_local(folder)

    def check(file: File) -> str | None:
        path = f"{folder}/{file.path}"
        try:
            size = os.stat(path).st_size if is_local else epath.Path(path).stat().length
        except OSError:  # Another kind of error by file system: missing, no permission.
            return f"{file.path}: missing or not readable"
        if size != file.bytes:
            return f"{file.path}: {size} bytes, {file.bytes} expected"
        if checksums and layout.sha256(path) != file.sha256:
            return f"{file.path}: its content is not what was prepared (checksum)"
        return None

    files = manifest.files
    if is_local and not checksums:  # Faster than threads are started.
        return twice + [fault for fault in map(check, files) if fault is not None]
    with concurrent.futures.ThreadPoolExecutor(_CHECKING_THREADS) as threads:
        found = [fault for fault in threads.map(check, files) if fault is not None]
    return twice + found


def _twice(manifest: Manifest) -> list[str]:
    faults = []
    for task in manifest.tasks:
        seen: dict[str, str] = {}
        for shard in task.shards:
            first = seen.setdefault(shard.records.sha256, shard.records.path)
            if first != shard.records.path and shard.examples:
                faults.append(f"{shard.records.path}: the same shard as {first}")
    return faults


def vocabulary_faults(
    manifest: Manifest, vocabularies: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Compares the vocabularies of the manifest with those wanted; returns what is wrong."""
    from flan_jax.data.tokenizer_files import difference

    faults = []
    for name, wanted in vocabularies.items():
        if name not in manifest.features:
            faults.append(f"feature {name!r} was not prepared, only {list(manifest.features)}")
            continue
        differs = difference(manifest.features[name].vocabulary, wanted)
        if differs is not None:
            faults.append(f"feature {name!r} has another vocabulary: {differs}")
    return faults


def _read_index(folder: str, manifest: Manifest) -> np.ndarray:
    """Maps the index of all examples into memory; its content is compared with the manifest.

    It decides which rows come at which step, and a host with another one would not be noticed.
    """
    path = shards.local_copy(f"{folder}/{manifest.index.path}")
    shape = (len(layout.index_rows(tuple(manifest.features))), manifest.num_examples)
    try:
        is_same = layout.sha256(path) == manifest.index.sha256
        index_CxN = np.load(path, mmap_mode="r" if shape[1] else None, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise DataError(
            faults_text(folder, [f"{manifest.index.path}: not readable: {error}"])
        ) from error
    if not is_same or index_CxN.shape != shape or index_CxN.dtype != np.int32:
        found = f"{index_CxN.dtype} {index_CxN.shape}, int32 {shape} expected"
        if not is_same:
            found = "its content is not what was prepared (checksum)"
        raise DataError(faults_text(folder, [f"{manifest.index.path}: {found}"]))
    return index_CxN
