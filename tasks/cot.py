"""Chain-of-thought tasks over FLAN-format TSV files.

Every set gives two tasks: `cot_<name>` (reasons, then the answer) and `cot_<name>_direct` (the
answer only). The mixture `cot` holds the reasoned tasks, weighed by their training rows.

Files: github.com/google-research/FLAN, flan/v2/cot_data (their licences are those of the data sets;
see that repository). Row counts below are those of FLAN's own task list.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import seqio

from flan_jax.errors import NotFoundError, suggest
from flan_jax.prompts import TemplateSet, text_index
from tasks import cot_files, cot_templates
from tasks.answers import AnswerKind, answer_postprocessor
from tasks.metrics import exact_match, extraction_failure_rate
from tasks.paths import Paths
from tasks.registration import ColumnSource, add_mixture, add_text_task, vocabulary_from
from tasks.settings import Cot

MIXTURE = "cot"
SPLITS = ("train", "validation")


@dataclasses.dataclass(frozen=True)
class CotSet:
    """One data set: its wording group, its kind of answer, and FLAN's row count."""

    group: str
    answers: AnswerKind
    flan_rows: int


COT_SETS: Mapping[str, CotSet] = {
    "aqua": CotSet("letter", "letter", 2728),
    "creak": CotSet("yes_no", "yes_no", 6915),
    "ecqa": CotSet("choice", "text", 7112),
    "esnli": CotSet("inference", "text", 36174),
    "gsm8k": CotSet("math", "number", 7473),
    "qasc": CotSet("letter", "letter", 1084),
    "qed": CotSet("passage", "text", 5154),
    "sensemaking": CotSet("choice", "text", 6070),
    "strategyqa": CotSet("yes_no", "yes_no", 2061),
}


def template_sets(name: str, seed: int = 0) -> dict[str, TemplateSet]:
    """Returns the template set of each task of a set, by task name."""
    group = COT_SETS[name].group
    return {
        f"cot_{name}": cot_templates.reasoned_set(f"cot_{name}", group, seed),
        f"cot_{name}_direct": cot_templates.direct_set(f"cot_{name}", group, seed),
    }


def make_source(
    name: str, path: pathlib.Path, validation_rows: int = 200, strict: bool = False
) -> ColumnSource:
    """Returns the source of a file with the splits 'train' and 'validation'.

    Features, one scalar per row: strings question, answer, rationale; int64 `index`, which comes
    from the question's text, so that a row keeps its template when rows are added to the file.
    """

    @functools.cache
    def splits() -> dict[str, list[cot_files.CotRow]]:
        rows = cot_files.read_file(path, strict).rows
        return dict(zip(SPLITS, cot_files.split_rows(rows, validation_rows), strict=True))

    def load(split: str) -> dict[str, Any]:
        rows = splits()[split]
        columns: dict[str, Any] = {
            field: [getattr(row, field) for row in rows] for field in cot_templates.FIELDS
        }
        columns["index"] = np.array([text_index(row.question) for row in rows], np.int64)
        return columns

    return ColumnSource(f"cot_{name} ({path})", load, SPLITS)


def register(
    paths: Paths | None = None,
    settings: Cot | None = None,
    vocabulary: seqio.Vocabulary | None = None,
) -> seqio.Mixture:
    """Registers the tasks of all chosen sets and the mixture `cot`, which it returns.

    Args:
      paths: where the files are; default the gin-bound `tasks.Paths`.
      settings: default the gin-bound `tasks.Cot`.
      vocabulary: default T5's, from `paths.sentencepiece_model`.

    Raises:
      DataError: no folder, a named set's file is missing, no file at all, or no vocabulary file.
      NotFoundError: `settings.sets` names an unknown set.
    """
    paths = paths or Paths()
    settings = settings or Cot()
    folder = paths.resolve("cot_dir")
    vocabulary = vocabulary_from(paths, vocabulary)
    rates = {}
    for name in _chosen(folder, settings):
        path = cot_files.find_file(folder, name)
        source = make_source(name, path, settings.validation_rows, settings.strict)
        for task, templates in template_sets(name, settings.template_seed).items():
            add_text_task(
                task,
                source,
                [templates.as_preprocessor()],
                vocabulary=vocabulary,
                postprocess_fn=answer_postprocessor(
                    COT_SETS[name].answers, bare=task.endswith("_direct")
                ),
                metric_fns=[exact_match, extraction_failure_rate],
            )
        rows = source.num_input_examples("train")
        rates[f"cot_{name}"] = min(rows, settings.cap or rows)
    return add_mixture(MIXTURE, rates)


def _chosen(folder: pathlib.Path, settings: Cot) -> list[str]:
    if settings.sets is None:
        return cot_files.present_sets(folder, list(COT_SETS))
    for name in settings.sets:
        if name not in COT_SETS:
            raise NotFoundError(
                f"tasks.Cot.sets names {name!r}; the sets are {list(COT_SETS)}."
                + suggest(name, COT_SETS)
            )
    return list(dict.fromkeys(settings.sets))
