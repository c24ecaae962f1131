"""What can be wrong with prepared examples, and the full reading of a data set that finds it.

`open_prepared` compares files with the manifest, `PreparedTask.read` looks at each example that it
gives. `findings` does all of it for all of them: `flan-jax doctor --data DIR`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from etils import epath

from flan_jax.data.config import LOSS_WEIGHTS
from flan_jax.data.packing import TRUNCATED_TARGETS
from flan_jax.data.prepared import codec, layout, shards
from flan_jax.data.prepared.manifest import (
    Manifest,
    PreparedFeature,
    Shard,
    TaskEntry,
    read_manifest,
)
from flan_jax.errors import FlanJaxError

# (ok, text, fix): as of `flan_jax.doctor`.
Finding = tuple[bool | None, str, str]

_READ_AT_ONCE = 256
# Of each shard, so that one of a million bad examples does not hide the others.
_NAMED = 3
_FIX = "run flan-jax prepare with the flags of before: it makes the missing and the damaged anew"


def example_fault(
    tokens: Mapping[str, np.ndarray], flags: int, features: Mapping[str, PreparedFeature]
) -> str | None:
    """Returns what is wrong with an example, None if nothing is.

    Args:
      tokens: of each feature, int32, and weights of targets if there are any.
      flags: as of `packing.Example`.
      features: of the manifest.
    """
    for name, feature in features.items():
        if name not in tokens:
            return f"no {name!r}"
        ids = tokens[name]
        if len(ids) > feature.length:
            return f"{len(ids)} {name}, at most {feature.length} were asked for"
        size = feature.vocabulary["size"]
        if len(ids) and (ids.min() < 0 or ids.max() >= size):
            bad = ids[(ids < 0) | (ids >= size)][0]
            return f"{name} hold the id {bad}; the vocabulary ends at {size - 1}"
    targets = tokens["targets"]
    if not len(targets):
        return "no target token"
    if flags & TRUNCATED_TARGETS and (targets == features["targets"].vocabulary["eos_id"]).all():
        return "all of its targets but the end were cut off"
    if LOSS_WEIGHTS in tokens and len(tokens[LOSS_WEIGHTS]) != len(targets):
        return f"{len(targets)} targets and {len(tokens[LOSS_WEIGHTS])} weights"
    return None


def index_faults(
    index_CxN: np.ndarray, entry: TaskEntry, features: Mapping[str, PreparedFeature]
) -> list[str]:
    """Returns what the index columns of a task tell to be wrong with its examples."""
    faults = []
    for words, mask_N in _wrong_lengths(index_CxN, features):
        if mask_N.any():
            first = int(np.argmax(mask_N))
            faults.append(
                f"{entry.name}: {mask_N.sum()} examples {words}, the first is number {first} "
                f"(row {index_CxN[0, first]}) in {shard_at(entry, first).records.path}"
            )
    return faults


def is_index_sound(index_CxN: np.ndarray, features: Mapping[str, PreparedFeature]) -> bool:
    """Whether `index_faults` finds nothing, of any number of tasks at once."""
    return not any(mask_N.any() for _, mask_N in _wrong_lengths(index_CxN, features))


def _wrong_lengths(
    index_CxN: np.ndarray, features: Mapping[str, PreparedFeature]
) -> Iterator[tuple[str, np.ndarray]]:
    """What may be wrong with lengths, and with which examples it is, bool N."""
    rows = layout.index_rows(tuple(features))
    for name, feature in features.items():
        lengths_N = index_CxN[rows.index(layout.LENGTH + name)]
        yield f"have more than {feature.length} {name}", lengths_N > feature.length
        if name == "targets":
            yield f"have no {name}", lengths_N <= 0


def shard_at(entry: TaskEntry, number: int) -> Shard:
    """Returns the shard that holds an example of a task."""
    for shard in entry.shards:
        number -= shard.examples
        if number < 0:
            return shard
    raise IndexError(f"{entry.name} has {entry.num_examples} examples")


def findings(folder: str) -> Iterator[Finding]:
    """Reads a prepared data set whole; yields what is right and what is wrong."""
    from flan_jax.data.prepared import reader

    folder = folder.rstrip("/")
    try:
        manifest = read_manifest(folder)
    except FlanJaxError as error:
        yield False, str(error), ""
        return
    faults = reader.file_faults(folder, manifest, checksums=True)
    for fault in faults:
        yield False, fault, _FIX
    for path in _unnamed(folder, manifest):
        yield False, f"{path}: no manifest names this file", _FIX
    bad = {fault.partition(":")[0] for fault in faults}
    wrong = len(faults)
    for entry in manifest.tasks:
        for fault in _task_faults(folder, manifest, entry, bad):
            wrong += 1
            yield False, fault, _FIX
    if not wrong:
        yield (
            True,
            f"{manifest.num_examples:,} examples of {len(manifest.tasks)} tasks in {folder}, "
            f"{manifest.bytes / 2**20:,.1f} MiB, are what was prepared",
            "",
        )
    for name, feature in manifest.features.items():
        known = feature.vocabulary
        yield None, f"{name}: at most {feature.length} tokens, {known['size']} ids", ""
    empty = {task.name: task.counts.get("without_inputs", 0) for task in manifest.tasks}
    for name, count in empty.items():
        if count:
            yield None, f"{name}: {count:,} examples have no inputs", ""
    for task in manifest.tasks:
        for kind, count in task.counts.items():
            if kind.startswith("left_out_") and count:
                what = kind.removeprefix("left_out_").replace("_", " ")
                yield None, f"{task.name}: {count:,} examples were left out: {what}", ""


def _unnamed(folder: str, manifest: Manifest) -> list[str]:
    named = {file.path for file in manifest.files}
    tasks = epath.Path(folder) / layout.TASKS
    found = []
    for task in sorted(tasks.iterdir()) if tasks.exists() else ():
        for path in sorted(task.iterdir()) if task.is_dir() else ():
            below = f"{layout.TASKS}/{task.name}/{path.name}"
            if below not in named:
                found.append(below)
    return found


def _task_faults(folder: str, manifest: Manifest, entry: TaskEntry, bad: set[str]) -> Iterator[str]:
    """Reads the shards of a task, less those in `bad`, which are known to be damaged."""
    rows = layout.index_rows(tuple(manifest.features))
    seen: set[tuple[int, int]] = set()
    for shard in entry.shards:
        if shard.records.path in bad or shard.index.path in bad:
            continue
        with (epath.Path(folder) / shard.index.path).open("rb") as file:
            index_CxN = np.load(file, allow_pickle=False)
        if index_CxN.shape != (len(rows), shard.examples):
            yield f"{shard.index.path}: {index_CxN.shape[1:]} examples, {shard.examples} expected"
            continue
        pairs = list(zip(index_CxN[0].tolist(), index_CxN[1].tolist(), strict=True))
        twice = [pair for pair in pairs if pair in seen]
        if len(set(pairs)) != len(pairs) or twice:
            first = (twice or pairs)[0]
            yield (
                f"{shard.records.path}: {max(1, len(twice))} examples are there twice, such as row "
                f"{first[0]}, rendering {first[1]}"
            )
        seen.update(pairs)
        yield from _shard_faults(folder, manifest, shard, index_CxN)


def _shard_faults(
    folder: str, manifest: Manifest, shard: Shard, index_CxN: np.ndarray
) -> Iterator[str]:
    rows = layout.index_rows(tuple(manifest.features))
    reader = shards.ShardReader(f"{folder}/{shard.records.path}", shard.examples)
    faults = []
    for start in range(0, shard.examples, _READ_AT_ONCE):
        places = range(start, min(start + _READ_AT_ONCE, shard.examples))
        try:
            records = reader.read(places)
        except FlanJaxError as error:
            yield str(error)
            return
        for place, record in zip(places, records, strict=True):
            fault = _record_fault(
                record,
                dict(zip(rows, index_CxN[:, place].tolist(), strict=True)),
                manifest.features,
            )
            if fault is not None:
                faults.append(f"example {place} (row {index_CxN[0, place]}): {fault}")
    reader.close()
    if faults:
        more = f", and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
        yield f"{shard.records.path}: {'; '.join(faults[:_NAMED])}{more}"


def _record_fault(
    record: bytes, column: Mapping[str, int], features: Mapping[str, PreparedFeature]
) -> str | None:
    try:
        tokens, _ = codec.decode(record)
    except ValueError as error:
        return str(error)
    for name in features:
        found: Any = len(tokens.get(name, ()))
        if found != column[layout.LENGTH + name]:
            return f"{found} {name}, the index says {column[layout.LENGTH + name]}"
    return example_fault(tokens, column[layout.FLAGS], features)
