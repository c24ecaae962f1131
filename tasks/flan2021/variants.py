"""The forms in which a data set is trained and evaluated, and what each is called.

    flan2021_bool_q_10templates               each row in one of ten wordings
    flan2021_bool_q_10templates_5_shot        behind five solved examples, as far as they fit
    flan2021_bool_q_4templates                the first four wordings
    flan2021_bool_q_10templates_no_options    the answers are not listed
    flan2021_bool_q_type_3                    wording 3 alone (evaluation)
    flan2021_bool_q_type_3_scoring_eval       the same, ranking the options by likelihood
    flan2021_bool_q_no_template               the fields alone
    flan2021_bool_q_dataset_name              the fields behind the data set's name

The suffixes stand in the order shots, no_options, scoring_eval. Names follow the public code, with
the collection's name in front.
"""

import dataclasses
import re
from collections.abc import Iterator
from typing import Literal

from tasks.flan2021.clusters import TEMPLATE_COUNTS
from tasks.flan2021.dataset import Dataset

PREFIX = "flan2021"
ALL_TEMPLATES = 10
MULTI = 16
# The public code's settings; `MULTI` is what 'multi' means there: as many as fit, at most 16.
SHOTS = (0, 1, 2, 3, 5, 10, MULTI)

Prompt = Literal["template", "no_template", "dataset_name"]


@dataclasses.dataclass(frozen=True)
class Variant:
    """One form of any data set.

    Attributes:
      templates: how many of the wordings, from the first on.
      template: the number of the only wording; None takes `templates` of them.
      shots: most solved examples in front.
      options: whether the possible answers are listed where the wording has a place for them.
      scoring: whether every option becomes a row, to be ranked by its likelihood.
      prompt: 'template', or an ablation of appendix B.2.
    """

    templates: int = ALL_TEMPLATES
    template: int | None = None
    shots: int = 0
    options: bool = True
    scoring: bool = False
    prompt: Prompt = "template"

    def task_name(self, dataset: str) -> str:
        """Returns the name of the seqio Task.

        >>> Variant(template=3, shots=16, scoring=True).task_name("rte")
        'flan2021_rte_type_3_multi_shot_scoring_eval'
        """
        if self.prompt != "template":
            form = self.prompt
        elif self.template is not None:
            form = f"type_{self.template}"
        else:
            form = f"{self.templates}templates"
        return f"{PREFIX}_{dataset}_{form}{self.suffix}"

    @property
    def suffix(self) -> str:
        """What the name says beyond the data set and the wordings."""
        scoring = "_scoring_eval" if self.scoring else ""
        return f"{shots_suffix(self.shots)}{'' if self.options else '_no_options'}{scoring}"


def shots_suffix(shots: int) -> str:
    """Returns '' for zero-shot, '_5_shot', or '_multi_shot'."""
    if not shots:
        return ""
    return "_multi_shot" if shots == MULTI else f"_{shots}_shot"


_TYPE = re.compile(
    rf"{PREFIX}_(?P<dataset>\w+?)_type_(?P<template>\d+)(?:_(?P<shots>multi|\d+)_shot)?"
    r"(?P<no_options>_no_options)?(?P<scoring>_scoring_eval)?\Z"
)


def parse_task_name(name: str) -> tuple[str, Variant] | None:
    """Returns (data set, variant) of a task with a single wording; None for any other name.

    >>> parse_task_name("flan2021_rte_type_3_2_shot_scoring_eval")[1]
    Variant(templates=10, template=3, shots=2, options=True, scoring=True, prompt='template')
    """
    match = _TYPE.match(name)
    if match is None:
        return None
    shots = match["shots"] or "0"
    return match["dataset"], Variant(
        template=int(match["template"]),
        shots=MULTI if shots == "multi" else int(shots),
        options=match["no_options"] is None,
        scoring=match["scoring"] is not None,
    )


def variants_of(dataset: Dataset) -> Iterator[Variant]:
    """Yields every variant that makes sense for a data set.

    Without options there is nothing to leave out or to rank; without a training split there are no
    exemplars. Inverted wordings are trained, but no task evaluates one.
    """
    has_train = "train" in dataset.splits
    shown = (True, False) if dataset.has_options else (True,)
    canonical = len(dataset.wordings[dataset.target])
    for options in shown:
        for shots in SHOTS if has_train else (0,):
            for count in TEMPLATE_COUNTS:
                yield Variant(templates=count, shots=shots, options=options)
            for i in range(canonical):
                yield Variant(template=i, shots=shots, options=options)
                if dataset.has_options:
                    yield Variant(template=i, shots=shots, options=options, scoring=True)
    for prompt in ("no_template", "dataset_name"):
        yield Variant(prompt=prompt)
        if dataset.has_options:
            yield Variant(prompt=prompt, scoring=True)
