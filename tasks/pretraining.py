"""Pretraining tasks: every objective over C4 and over local text files.

Names are `<corpus>_<objective>`:

| corpus | rows                                                                              |
|--------|-----------------------------------------------------------------------------------|
| `c4`   | C4 as TFDS has prepared it (Raffel et al. 2020, arXiv 1910.10683; ODC-BY)         |
| `text` | files of `tasks.Pretraining.text_files`, see `tasks/text_files.py`                  |

| objective         | model                        | features        |
|-------------------|------------------------------|-----------------|
| `span_corruption` | encoder-decoder              | inputs, targets |
| `prefix_lm`       | encoder-decoder, decoder-only | inputs, targets |
| `causal_lm`       | decoder-only                 | targets         |
| `ul2r`, `ul2`     | encoder-decoder, decoder-only | inputs, targets |

`flan_jax/data/objectives.py` says what each does. C4's split 'validation' is the first 2,000
documents of the real one, which evaluation reads in seconds; 'validation_all' is the whole.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import seqio

from flan_jax.data import objectives
from flan_jax.data.description import Description
from tasks import lazy
from tasks.paths import Paths
from tasks.registration import PreparedSource, vocabulary_from
from tasks.settings import Pretraining
from tasks.text_files import text_source

C4_SPLITS = {
    "train": "train",
    "validation": "validation[:2000]",
    "validation_all": "validation",
}


@dataclasses.dataclass(frozen=True)
class Objective:
    """An objective of the table above.

    Attributes:
      preprocessor: of `flan_jax.data.objectives`.
      has_inputs: whether it makes 'inputs' too.
      has_sentinels: whether it takes the number of sentinels.
      summary: a line for people.
    """

    preprocessor: Callable[..., Any]
    has_inputs: bool
    has_sentinels: bool
    summary: str


OBJECTIVES: Mapping[str, Objective] = {
    "span_corruption": Objective(
        objectives.span_corruption, True, True, "T5: spans of 3 on average, 15% of tokens hidden"
    ),
    "prefix_lm": Objective(
        objectives.prefix_lm, True, False, "LM adaptation: a prefix, split at random, and its rest"
    ),
    "causal_lm": Objective(
        objectives.causal_lm, False, False, "next token, documents end to end, EOS between them"
    ),
    "ul2r": Objective(
        objectives.ul2r, True, True, "U-PaLM: 25% regular, 25% extreme, 50% sequential denoising"
    ),
    "ul2": Objective(
        objectives.ul2, True, True, "UL2: seven denoisers at equal rates, not verified"
    ),
}

CORPORA: Mapping[str, str] = {"c4": "C4", "text": "text files"}


def register(
    paths: Paths | None = None,
    settings: Pretraining | None = None,
    vocabulary: seqio.Vocabulary | None = None,
) -> None:
    """Registers all names; a task is built, and its data looked for, when it is first used.

    Args:
      paths: where T5's vocabulary is; default the gin-bound `tasks.Paths`.
      settings: default the gin-bound `tasks.Pretraining`.
      vocabulary: default `settings.vocabulary`, or else T5's from `paths.sentencepiece_model`.
    """
    paths = paths or Paths()
    settings = settings or Pretraining()

    @functools.cache
    def chosen_vocabulary() -> seqio.Vocabulary:
        return vocabulary_from(paths, vocabulary, settings.vocabulary)

    for corpus in CORPORA:
        make_source = functools.cache(functools.partial(_source, corpus, settings))
        for name, objective in OBJECTIVES.items():
            arguments = functools.partial(
                _arguments, objective, make_source, chosen_vocabulary, settings.sentinels
            )
            lazy.add_task(f"{corpus}_{name}", arguments)


def describe(name: str) -> Description | None:
    """Tells what a task's objective is and where its text comes from."""
    corpus, _, objective = name.partition("_")
    if corpus not in CORPORA or objective not in OBJECTIVES:
        return None
    return Description(
        dataset=corpus,
        facts={"objective": OBJECTIVES[objective].summary, "text": CORPORA[corpus]},
        text_fields=("text",),
    )


def _source(corpus: str, settings: Pretraining) -> seqio.DataSource:
    if corpus == "text":
        return text_source(settings.text_files, settings.text_documents)
    return PreparedSource(
        tfds_name=settings.c4,
        tfds_data_dir=settings.tfds_data_dir,
        splits=C4_SPLITS,
        otherwise="name a version that is prepared (tasks.Pretraining.c4), or train on text files "
        "(tasks text_*, tasks.Pretraining.text_files)",
    )


def _arguments(
    objective: Objective,
    make_source: Callable[[], seqio.DataSource],
    vocabulary: Callable[[], seqio.Vocabulary],
    sentinels: int | None,
) -> dict[str, Any]:
    """Returns what seqio.Task takes besides the name."""
    preprocessor = objective.preprocessor
    if objective.has_sentinels:
        preprocessor = functools.partial(preprocessor, sentinels=sentinels)
    targets = seqio.Feature(vocabulary=vocabulary(), add_eos=objective.has_inputs)
    features = {"targets": targets}
    if objective.has_inputs:
        features = {"inputs": seqio.Feature(vocabulary=vocabulary(), add_eos=True), **features}
    return {
        "source": make_source(),
        "preprocessors": [
            functools.partial(seqio.preprocessors.rekey, key_map={"targets": "text"}),
            functools.partial(seqio.preprocessors.tokenize, copy_pretokenized=False),
            seqio.CacheDatasetPlaceholder(),
            preprocessor,
            seqio.preprocessors.append_eos_after_trim,
        ],
        "output_features": features,
        "metric_fns": [],
    }
