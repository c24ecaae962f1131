"""What a prepared data set holds: read from and written to `manifest.json`."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from etils import epath

from flan_jax.data.prepared import layout
from flan_jax.errors import DataError, NotFoundError

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class File:
    """A file of a prepared data set: its path below the folder, its bytes and checksum."""

    path: str
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Shard:
    """Consecutive examples of one task.

    Attributes:
      examples: how many.
      records: the file that holds them.
      index: the file of their index columns (`layout.index_rows`).
      counts: of the examples made for it, kept and left out: see `rendering.COUNTS`.
    """

    examples: int
    records: File
    index: File
    # Not hashed: what differs in the counts alone differs in nothing.
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict, hash=False)


@dataclasses.dataclass(frozen=True)
class PreparedFeature:
    """A feature of all tasks.

    Attributes:
      length: most tokens of it.
      vocabulary: `tokenizer_files.identity` of its vocabulary.
      add_eos: whether an end token belongs to it.
    """

    length: int
    vocabulary: Mapping[str, Any]
    add_eos: bool


@dataclasses.dataclass(frozen=True)
class TaskEntry:
    """One task.

    Attributes:
      name: the task's.
      rate: its rate in the mixture when it was prepared.
      group: the collection that its figures are added up with, '' for none.
      source_rows: rows of its split; None where the source does not tell.
      pipeline: hash of all that decides its examples, by part ('source', 'steps', ...).
      templates: names of its templates, by the number that an example's provenance gives.
      shards: its files, in order.
    """

    name: str
    rate: float
    group: str
    source_rows: int | None
    pipeline: Mapping[str, str]
    templates: tuple[str, ...]
    shards: tuple[Shard, ...]

    @property
    def num_examples(self) -> int:
        """Examples of all shards."""
        return sum(shard.examples for shard in self.shards)

    @property
    def counts(self) -> dict[str, int]:
        """The counts of all shards together."""
        names = dict.fromkeys(name for shard in self.shards for name in shard.counts)
        return {name: sum(shard.counts.get(name, 0) for shard in self.shards) for name in names}


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A whole prepared data set.

    Attributes:
      name: the task or mixture asked for.
      split: the split of every task.
      seed: of everything random in the pipelines.
      renderings: most examples made of a row.
      features: by name, in the order of `PreparedTask.lengths_NxF`.
      versions: of the libraries that made it.
      index: the file with the index columns of all examples, in the order of `tasks`.
      tasks: sorted by name.
    """

    name: str
    split: str
    seed: int
    renderings: int
    features: Mapping[str, PreparedFeature]
    versions: Mapping[str, str]
    index: File
    tasks: tuple[TaskEntry, ...]

    @property
    def num_examples(self) -> int:
        """Examples of all tasks."""
        return sum(task.num_examples for task in self.tasks)

    @property
    def files(self) -> list[File]:
        """All files but the manifest."""
        shards = [shard for task in self.tasks for shard in task.shards]
        return [self.index, *(file for shard in shards for file in (shard.records, shard.index))]

    @property
    def bytes(self) -> int:
        """Size of all files but the manifest."""
        return sum(file.bytes for file in self.files)

    @property
    def fingerprint(self) -> str:
        """Checksum of everything that the manifest says: of the examples, too."""
        return _checksum(dataclasses.asdict(self))


def to_bytes(manifest: Manifest) -> bytes:
    """Returns the content of `manifest.json`: the same bytes for the same manifest."""
    fields = dataclasses.asdict(manifest)
    head = {"format": FORMAT, "fingerprint": _checksum(fields), **fields}
    tasks = head.pop("tasks")
    # A line for each task: a thousand are looked through with grep and diff.
    lines = ",\n".join(json.dumps(task, sort_keys=True) for task in tasks)
    text = json.dumps(head, indent=1, sort_keys=True)
    return f'{text[:-2]},\n "tasks": [\n{lines}\n ]\n}}\n'.encode()


def from_bytes(content: bytes, where: str) -> Manifest:
    """Undoes `to_bytes`.

    Args:
      content: of the file.
      where: its path, for messages.

    Raises:
      DataError: it is damaged, of another format, or names files that are not below its folder.
    """
    again = "Prepare the data again: flan-jax prepare with the same flags mends what is missing."
    try:
        fields = json.loads(content)
        found, stated = fields.pop("format"), fields.pop("fingerprint")
    except (ValueError, KeyError, AttributeError) as error:
        raise DataError(
            f"{where} is no manifest of prepared data, or a damaged one "
            f"({type(error).__name__}: {error}). {again}"
        ) from error
    if found != FORMAT:
        raise DataError(
            f"{where} has format {found!r}, and this version of flan-jax reads {FORMAT}. Read it "
            "with the version that wrote it, or prepare the data again."
        )
    fingerprint = _checksum(fields)
    if fingerprint != stated:
        raise DataError(
            f"{where} is damaged: its content has the checksum {fingerprint[:12]}, it says "
            f"{str(stated)[:12]}. {again}"
        )
    try:
        manifest = _from_fields(fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{where} is damaged: {type(error).__name__}: {error}. {again}") from error
    _check_places(manifest, where)
    return manifest


def read_manifest(folder: Any) -> Manifest:
    """Reads the manifest of a prepared data set.

    Raises:
      NotFoundError: there is none.
      DataError: it is damaged or of another format.
    """
    path = epath.Path(folder) / layout.MANIFEST
    if not path.exists():
        unfinished = (epath.Path(folder) / layout.PROGRESS).exists()
        why = "preparing it was not finished" if unfinished else "nothing was prepared there"
        raise NotFoundError(
            f"{folder} has no {layout.MANIFEST}: {why}. Run: flan-jax prepare MIXTURE --output "
            f"{folder}"
        )
    return from_bytes(path.read_bytes(), str(path))


def _checksum(fields: Any) -> str:
    """Checksum of what JSON makes of the fields: the same before and after it is read."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _from_fields(fields: dict[str, Any]) -> Manifest:
    features = {name: PreparedFeature(**each) for name, each in fields.pop("features").items()}
    tasks = tuple(_task(each) for each in fields.pop("tasks"))
    return Manifest(features=features, tasks=tasks, index=File(**fields.pop("index")), **fields)


# Of a path, what `layout` writes.
_PART = re.compile(r"(?!\.\.?\Z)[A-Za-z0-9._-]+")


def _check_places(manifest: Manifest, where: str) -> None:
    """Refuses paths that lead out of the folder: a manifest may come from others.

    Raises:
      DataError: there is one; it is named.
    """
    for file in manifest.files:
        parts = str(file.path).split("/")
        if not all(_PART.fullmatch(part) for part in parts):
            raise DataError(
                f"{where} names the file {file.path!r}, which is not a path below its folder, such "
                f"as {layout.TASKS}/TASK/train-00000{layout.SHARD_SUFFIX}. flan-jax prepare writes "
                "no such name: someone changed it. Take the data from where they were made, or "
                "prepare them again."
            )


def shard_of(fields: Mapping[str, Any]) -> Shard:
    """Returns a shard from its fields as read from JSON."""
    records, index = File(**fields["records"]), File(**fields["index"])
    return Shard(fields["examples"], records, index, fields["counts"])


def _task(fields: dict[str, Any]) -> TaskEntry:
    shards = tuple(map(shard_of, fields.pop("shards")))
    return TaskEntry(shards=shards, templates=tuple(fields.pop("templates")), **fields)
