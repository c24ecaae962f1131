"""Super-NaturalInstructions v2 as seqio tasks, read from a folder of its JSON files.

Names registered, with `<task>` a file's name in which any character seqio does not take (such as
the dash of coda-19) has become an underscore:

| name                  | what                                          | splits             |
|-----------------------|-----------------------------------------------|--------------------|
| `super_ni_<task>`     | one task file, read when first used           | train, validation; |
|                       |                                               | a held-out one: test |
| `super_ni_train`      | mixture of the training tasks, equal rates    | train, validation  |
| `super_ni_test`       | mixture of the held-out tasks                 | test               |
| `super_ni_all_train`  | training tasks as one task, rows interleaved  | train, validation  |
| `super_ni_all_test`   | held-out tasks as one, for the mean over rows | test               |

The combined tasks give the same rows as the mixtures. They start in seconds, where a mixture of
hundreds of tasks builds hundreds of pipelines, so training recipes use them. A malformed file is
an error in its own task; in a combined task it is reported and left out, unless strict.
"""

import dataclasses
import functools
import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import seqio

from flan_jax.data.description import Description
from flan_jax.errors import DataError
from flan_jax.prompts import choose, text_index
from tasks import super_ni_encoding as encode
from tasks.answers import as_text
from tasks.metrics import exact_match_any, rouge_l
from tasks.paths import Paths
from tasks.registration import ColumnSource, add_mixture, add_text_task, vocabulary_from
from tasks.settings import SuperNI
from tasks.super_ni_files import Collection, Instance, TaskFile, open_collection, read_task

logger = logging.getLogger(__name__)

TRAIN_MIXTURE, TEST_MIXTURE = "super_ni_train", "super_ni_test"
ALL_TRAIN, ALL_TEST = "super_ni_all_train", "super_ni_all_test"
TRAIN_SPLITS, TEST_SPLITS = ("train", "validation"), ("test",)
_NAMED_AT_MOST = 3
_NOT_IN_NAMES = re.compile(r"[^\w.]", re.ASCII)


def task_name(stem: str) -> str:
    """Returns the seqio name of a file's stem.

    >>> task_name("task352_coda-19_classification")
    'super_ni_task352_coda_19_classification'
    """
    return "super_ni_" + _NOT_IN_NAMES.sub("_", stem)


def choose_instances(task: TaskFile, split: str, settings: SuperNI) -> list[Instance]:
    """Returns the instances of a split.

    'test' is the first `eval_cap` in file order, which the collection has shuffled for this use.
    'validation' and 'train' go by a seeded hash of id and input: first `validation_rows` (at most a
    tenth) for validation, then up to `train_cap` for training, none with an input of validation.
    """
    if split == "test":
        return list(task.instances[: settings.eval_cap])

    def rank(instance: Instance) -> int:
        return text_index(f"{settings.seed}\n{instance.id}\n{instance.input}")

    ranked = sorted(task.instances, key=rank)
    held_out = ranked[: min(settings.validation_rows, len(ranked) // 10)]
    if split == "validation":
        return held_out
    inputs = {instance.input for instance in held_out}
    rest = [instance for instance in ranked[len(held_out) :] if instance.input not in inputs]
    return rest[: settings.train_cap]


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Turns instances into rows of prompt parts with their token counts."""

    settings: SuperNI
    vocabulary: seqio.Vocabulary

    @functools.cached_property
    def encodings(self) -> tuple[encode.Encoding, ...]:
        """The encodings rows draw from."""
        return encode.candidates(self.settings.encoding)

    def rows(self, task: TaskFile, split: str) -> list[dict[str, Any]]:
        """Returns one row per instance of the split, see `fit_examples` for its parts.

        Besides the parts: strings `targets` (for training one reference drawn by a seeded hash,
        otherwise the first), `references` (all, as a JSON list), `task`, `id`.
        """
        length = functools.cache(lambda text: len(self.vocabulary.encode(text)))
        made = []
        for instance in choose_instances(task, split, self.settings):
            encoding = encode.pick(self.encodings, self.settings.seed, instance.id)
            definition = encode.definition_text(task.definition) if encoding.definition else ""
            task_input = encode.input_text(instance.input)
            row: dict[str, Any] = {
                "task": task.name,
                "id": instance.id,
                "definition": definition,
                "definition_tokens": length(definition),
                "task_input": task_input,
                "task_input_tokens": len(self.vocabulary.encode(task_input)),
                "targets": self._target(instance, split),
                # One text, since a list of varying length would not batch.
                "references": json.dumps(instance.references, ensure_ascii=False),
            }
            for side, count in (("positive", encoding.positive), ("negative", encoding.negative)):
                texts = [
                    encode.example_text(example, number, side.title(), encoding.explanation)
                    for number, example in enumerate(getattr(task, side)[:count], start=1)
                ]
                row[side] = texts
                row[f"{side}_tokens"] = [length(text) for text in texts]
                row[f"{side}_count"] = len(texts)
            made.append(row)
        return made

    def columns(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Returns rows as columns; example lists are filled up to one width with empty text."""
        columns: dict[str, Any] = {}
        for key in rows[0] if rows else ("task",):
            values = [row[key] for row in rows]
            if isinstance(values[0] if values else "", list):
                side = key.removesuffix("_tokens")
                width = max(1, *(getattr(encoding, side) for encoding in self.encodings), 1)
                filler = 0 if key.endswith("_tokens") else ""
                values = [value + [filler] * (width - len(value)) for value in values]
            is_number = key.endswith(("_tokens", "_count"))
            columns[key] = np.array(values, np.int32) if is_number else values
        return columns

    def _target(self, instance: Instance, split: str) -> str:
        if split != "train":
            return instance.references[0]
        index = text_index(instance.id)
        return instance.references[choose(self.settings.seed, index, len(instance.references))]


def file_source(collection: Collection, name: str, encoder: Encoder) -> ColumnSource:
    """Returns the source of one task file, which is read at first use."""
    read = functools.cache(lambda: read_task(collection.path(name)))
    splits = TEST_SPLITS if name in set(collection.test) else TRAIN_SPLITS
    return ColumnSource(
        task_name(name), lambda split: encoder.columns(encoder.rows(read(), split)), splits
    )


def combined_source(
    name: str,
    collection: Collection,
    members: Sequence[str],
    splits: Sequence[str],
    encoder: Encoder,
) -> ColumnSource:
    """Returns one source over several task files; row i of every task comes before row i + 1.

    The feature `task` names each row's file.
    """

    @functools.cache
    def readable() -> list[TaskFile]:
        tasks, failures = [], []
        for member in members:
            try:
                tasks.append(read_task(collection.path(member)))
            except DataError as error:
                if encoder.settings.strict:
                    raise
                failures.append(str(error))
        if failures:
            logger.warning(
                "%s: left out %d of %d task files: %s",
                name,
                len(failures),
                len(members),
                " | ".join(failures),
            )
        if not tasks:
            raise DataError(f"{name}: none of its {len(members)} task files can be read.")
        return tasks

    def load(split: str) -> dict[str, Any]:
        return encoder.columns(_interleave(encoder.rows(task, split) for task in readable()))

    return ColumnSource(name, load, splits)


def postprocess(
    output: str, example: Mapping[str, Any] | None = None, is_target: bool = False
) -> Any:
    """Returns a prediction as it is, and for a target the list of all its references."""
    if not is_target:
        return output
    references = (example or {}).get("references")
    return [output] if references is None else json.loads(as_text(references))


def register(
    paths: Paths | None = None,
    settings: SuperNI | None = None,
    vocabulary: seqio.Vocabulary | None = None,
) -> None:
    """Registers the tasks and mixtures of the table above without reading a task file.

    Args:
      paths: where the collection is; default the gin-bound `tasks.Paths`.
      settings: default the gin-bound `tasks.SuperNI`.
      vocabulary: default T5's, from `paths.sentencepiece_model`.

    Raises:
      DataError: no folder or vocabulary, no training task, files of the lists are missing and
        `allow_missing` is off, or two file names give the same task name.
      NotFoundError: unknown encoding or split.
    """
    paths = paths or Paths()
    settings = settings or SuperNI()
    encode.candidates(settings.encoding)
    collection = open_collection(paths.resolve("super_ni_dir"), settings.split)
    _check_collection(collection, settings)
    encoder = Encoder(settings, vocabulary_from(paths, vocabulary))
    for name in collection.names:
        _add_task(task_name(name), file_source(collection, name, encoder), encoder.vocabulary)
    sides: list[tuple[str, str, Sequence[str], Sequence[str]]] = [
        (TRAIN_MIXTURE, ALL_TRAIN, collection.train, TRAIN_SPLITS),
        (TEST_MIXTURE, ALL_TEST, collection.test, TEST_SPLITS),
    ]
    for mixture, combined, members, splits in sides:
        if members:
            source = combined_source(combined, collection, members, splits, encoder)
            _add_task(combined, source, encoder.vocabulary)
            add_mixture(mixture, {task_name(name): 1.0 for name in members})


def describe(name: str) -> Description | None:
    """Tells the leak check where a task's own texts are, beside the definition and examples."""
    if not name.startswith("super_ni_"):
        return None
    return Description(text_fields=("task_input", "targets"))


def _add_task(name: str, source: ColumnSource, vocabulary: seqio.Vocabulary) -> None:
    fit: Callable[..., Any] = encode.fit_examples()
    add_text_task(
        name,
        source,
        [fit],
        vocabulary=vocabulary,
        postprocess_fn=postprocess,
        metric_fns=[rouge_l, exact_match_any],
    )


def _check_collection(collection: Collection, settings: SuperNI) -> None:
    named: dict[str, str] = {}
    for name in collection.names:
        other = named.setdefault(task_name(name), name)
        if other != name:
            raise DataError(
                f"{collection.folder}: {other}.json and {name}.json both become the task "
                f"{task_name(name)!r}. Rename one of them."
            )
    if collection.missing:
        listed = len(collection.train) + len(collection.test) + len(collection.missing)
        first = ", ".join(collection.missing[:_NAMED_AT_MOST])
        message = (
            f"{collection.folder} lacks {len(collection.missing)} of the {listed} tasks on the "
            f"lists of split {settings.split!r} ({first}, ...)"
        )
        if not settings.allow_missing:
            raise DataError(
                f"{message}. Fetch them, or set tasks.SuperNI.allow_missing = True to train and "
                "test on those present."
            )
        logger.warning("%s; going on with those present.", message)
    if not collection.train:
        raise DataError(
            f"{collection.folder} holds none of the training tasks of split {settings.split!r}."
        )


def _interleave(groups: Iterable[list[Any]]) -> list[Any]:
    groups = list(groups)
    longest = max((len(group) for group in groups), default=0)
    return [group[i] for i in range(longest) for group in groups if i < len(group)]
