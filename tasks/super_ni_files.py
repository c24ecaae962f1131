"""Super-NaturalInstructions task files: finding, reading and checking them.

One JSON object per task, schema v2 (github.com/allenai/natural-instructions). The older schema is
read as well: a Definition or an output that is plain text instead of a list, instances without id,
no Negative Examples.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from flan_jax.errors import DataError, NotFoundError, suggest

_REQUIRED = ("Definition", "Positive Examples", "Instances")


@dataclasses.dataclass(frozen=True)
class Demonstration:
    """A positive or negative example; `explanation` is None where the file gives none."""

    input: str
    output: str
    explanation: str | None


@dataclasses.dataclass(frozen=True)
class Instance:
    """One row: its id, input, and all acceptable outputs."""

    id: str
    input: str
    references: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class TaskFile:
    """One task file, checked."""

    name: str
    definition: str
    category: str
    positive: tuple[Demonstration, ...]
    negative: tuple[Demonstration, ...]
    instances: tuple[Instance, ...]


@dataclasses.dataclass(frozen=True)
class Collection:
    """A folder of task files and its train and test lists; names without '.json', sorted.

    `missing` are names the lists give without a file in the folder.
    """

    folder: pathlib.Path
    names: tuple[str, ...]
    train: tuple[str, ...]
    test: tuple[str, ...]
    missing: tuple[str, ...]

    def path(self, name: str) -> pathlib.Path:
        """Returns the file of a task."""
        return self.folder / f"{name}.json"


def open_collection(root: pathlib.Path, split: str | None) -> Collection:
    """Lists the task files under `root` and their split, without reading a task file.

    Args:
      root: the folder of the collection, with `tasks/*.json` and the lists `train_tasks.txt` and
        `test_tasks.txt` under `splits/<split>/`; the JSON files may lie in `root` itself.
      split: name of the split; None takes every file for training and none for test.

    Raises:
      DataError: no task files, a list without names, or a task on both lists.
      NotFoundError: no such split, or one without a train list.
    """
    folder = root / "tasks" if (root / "tasks").is_dir() else root
    names = tuple(sorted(path.stem for path in folder.glob("*.json")))
    if not names:
        raise DataError(
            f"{folder} holds no task files (*.json). tasks.Paths.super_ni_dir is the folder with "
            "tasks/ and splits/ of Super-NaturalInstructions."
        )
    if split is None:
        return Collection(folder, names, names, (), ())
    train = _read_list(root, split, "train")
    test = _read_list(root, split, "test")
    both = sorted(set(train) & set(test))
    if both:
        raise DataError(
            f"splits/{split} lists {len(both)} tasks for training and for test, {both[0]!r} first. "
            "A held-out task must not be trained on; remove it from one list."
        )
    present = set(names)
    return Collection(
        folder,
        names,
        tuple(sorted(present & set(train))),
        tuple(sorted(present & set(test))),
        tuple(sorted({*train, *test} - present)),
    )


def _read_list(root: pathlib.Path, split: str, side: str) -> list[str]:
    splits = root / "splits"
    path = splits / split / f"{side}_tasks.txt"
    if not path.is_file():
        held = sorted(str(p.relative_to(splits)) for p in splits.glob("*/*_tasks.txt"))
        usable = sorted(
            p.parent.name
            for p in splits.glob("*/train_tasks.txt")
            if (p.parent / "test_tasks.txt").is_file()
        )
        raise NotFoundError(
            f"The split {split!r} needs {path}, which does not exist; under {splits} there are "
            f"{held or 'no lists'}.{suggest(split, usable)} Set tasks.SuperNI.split to one with "
            f"both lists ({usable or 'none here'}), or to None to train on every file."
        )
    names = path.read_text(encoding="utf-8").split()
    if not names:
        raise DataError(f"{path} lists no tasks. Expected one task name a line.")
    return [name.removesuffix(".json") for name in names]


def read_task(path: pathlib.Path) -> TaskFile:
    """Reads and checks one task file.

    Raises:
      DataError: not JSON (line and column), a key missing (named, with what is there), or an entry
        of the wrong form (named).
    """
    try:
        raw = json.loads(path.read_bytes().decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}, column {error.colno} (character {error.pos}): not JSON: "
            f"{error.msg}."
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}, byte {error.start}: not UTF-8.") from error
    if not isinstance(raw, dict):
        raise DataError(f"{path} holds a JSON {type(raw).__name__}; a task file is one object.")
    missing = [key for key in _REQUIRED if key not in raw]
    if missing:
        raise DataError(
            f"{path} lacks the keys {missing}; it has {sorted(raw)}.{suggest(missing[0], raw)}"
        )
    reader = _Reader(path)
    definition = reader.first(raw, "Definition", "the task")
    if not definition.strip():
        raise DataError(f"{path}: Definition is empty.")
    return TaskFile(
        name=path.stem,
        definition=definition,
        category=reader.first(raw, "Categories", "the task") if raw.get("Categories") else "",
        positive=reader.demonstrations(raw, "Positive Examples"),
        negative=reader.demonstrations(raw, "Negative Examples"),
        instances=reader.instances(raw),
    )


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Reads entries of one file; its errors name the file and the entry."""

    path: pathlib.Path

    def first(self, entry: Mapping[str, Any], key: str, where: str) -> str:
        """A text, or the first of a list of texts."""
        return self.texts(entry, key, where)[0]

    def texts(self, entry: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
        """A text or a list of texts, at least one, as a tuple."""
        value = entry.get(key) if isinstance(entry, Mapping) else None
        values = [value] if isinstance(value, str) else value
        if isinstance(values, list) and values and all(isinstance(v, str) for v in values):
            return tuple(values)
        if isinstance(entry, Mapping) and key not in entry:
            found = f"has no key {key!r}, only {sorted(entry)}{suggest(key, entry)}"
        elif not isinstance(entry, Mapping):
            found = f"is {entry!r:.60}, expected an object with the key {key!r}"
        else:
            found = f"has {key!r} = {value!r:.60}, expected a text or a list of texts"
        raise DataError(f"{self.path}: {where} {found}.")

    def entries(self, raw: Mapping[str, Any], key: str) -> Sequence[Any]:
        """The list under a key; an absent key is an empty list."""
        entries = raw.get(key, [])
        if not isinstance(entries, list):
            raise DataError(f"{self.path}: {key!r} is {entries!r:.60}, expected a list.")
        return entries

    def demonstrations(self, raw: Mapping[str, Any], key: str) -> tuple[Demonstration, ...]:
        """The examples under a key, in file order."""
        made = []
        for number, entry in enumerate(self.entries(raw, key), start=1):
            where = f"entry {number} of {key!r}"
            explained = self.first(entry, "explanation", where) if _has_explanation(entry) else None
            made.append(
                Demonstration(
                    self.first(entry, "input", where), self.first(entry, "output", where), explained
                )
            )
        return tuple(made)

    def instances(self, raw: Mapping[str, Any]) -> tuple[Instance, ...]:
        """The rows, in file order; at least one."""
        made = []
        for number, entry in enumerate(self.entries(raw, "Instances"), start=1):
            where = f"entry {number} of 'Instances'"
            references = self.texts(entry, "output", where)
            identity = str(entry.get("id", f"{self.path.stem}-{number}"))
            made.append(Instance(identity, self.first(entry, "input", where), references))
        if not made:
            raise DataError(f"{self.path}: 'Instances' is empty.")
        return tuple(made)


def _has_explanation(entry: Any) -> bool:
    return isinstance(entry, Mapping) and entry.get("explanation") is not None
