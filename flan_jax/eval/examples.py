"""Evaluation rows of a task: read once a process, a seeded subset on demand, texts for people."""

import dataclasses
import json
import weakref
from typing import Any

import numpy as np

from flan_jax.data import eval_data
from flan_jax.data.config import DatasetConfig, derive_seed
from flan_jax.data.mixture import ResolvedMixture, TaskShare

# seqio Task -> {what was asked for: rows}. The evaluations of a run read the same rows again, so
# the first ones are kept; a task that is registered anew is another object.
_READ: "weakref.WeakKeyDictionary[Any, dict[str, TaskRows]]" = weakref.WeakKeyDictionary()
_MOST_KEPT = 200_000


@dataclasses.dataclass(frozen=True)
class TaskRows:
    """The rows of one task that are evaluated.

    Attributes:
      name: task name.
      task: the seqio Task.
      examples: see `data.eval_data.EvalTask`.
      indices: number of each example in the split.
      num_available: examples in the split, of which `examples` may be a subset.
      truncated_inputs: how many of those available had their inputs cut.
      truncated_targets: the same of targets.
    """

    name: str
    task: Any
    examples: list[dict[str, Any]]
    indices: list[int]
    num_available: int
    truncated_inputs: int
    truncated_targets: int

    def text(self, index: int, feature: str) -> str:
        """The text of a feature: as the task gave it, else the decoded tokens.

        Empty where the task has no such feature.
        """
        if feature not in self.task.output_features:
            return ""
        example = self.examples[index]
        given = example.get(f"{feature}_pretokenized")
        if isinstance(given, bytes):
            return given.decode("utf-8", "replace")
        if isinstance(given, str):
            return given
        vocabulary = self.task.output_features[feature].vocabulary
        return vocabulary.decode([int(token) for token in example[feature]])


def read_rows(
    mixture: ResolvedMixture, share: TaskShare, cfg: DatasetConfig, num_examples: int | None
) -> TaskRows:
    """Reads one task of a mixture.

    Args:
      mixture: the resolved mixture.
      share: the task's entry in it.
      cfg: split, lengths and seed.
      num_examples: rows to keep at most, chosen by the seed and the task's name and kept in their
        order; None keeps all. The options of a question, rows of their own in rank classification,
        are kept together, and the question counts as one.

    Raises:
      DataError: the split is empty or cannot be read.
    """
    lengths = [cfg.input_length, cfg.target_length]
    asked = json.dumps([cfg.split, lengths, cfg.seed, cfg.use_cached, num_examples])
    known = _READ.setdefault(share.task, {})
    if asked in known:
        return known[asked]
    alone = dataclasses.replace(mixture, shares=(share,))
    whole = eval_data.eval_examples(cfg, mixture=alone)[0]
    indices = list(range(len(whole.examples)))
    if num_examples is not None and num_examples < len(indices):
        seed = derive_seed(cfg.seed or 0, share.name, "evaluation subset")
        indices = _subset(whole.examples, num_examples, seed)
    rows = TaskRows(
        name=share.name,
        task=share.task,
        examples=[whole.examples[i] for i in indices],
        indices=indices,
        num_available=len(whole.examples),
        truncated_inputs=whole.truncated_inputs,
        truncated_targets=whole.truncated_targets,
    )
    kept = sum(len(each.examples) for answers in _READ.values() for each in answers.values())
    if kept + len(indices) <= _MOST_KEPT:
        known[asked] = rows
    return rows


def _subset(examples: list[dict[str, Any]], count: int, seed: int) -> list[int]:
    """Chooses `count` examples, or questions with all their options, and keeps their order."""
    questions: dict[int, list[int]] = {}
    for i, example in enumerate(examples):
        # seqio's convention for rank classification: (question, option).
        idx = np.asarray(example.get("idx", i))
        question = int(idx[0]) if idx.shape == (2,) and "is_correct" in example else i
        questions.setdefault(question, []).append(i)
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(questions))
    rows = list(questions.values())
    return sorted(i for chosen in order[:count] for i in rows[chosen])
