"""The text formatting cluster: the English side of ParaCrawl, damaged and to be repaired."""

from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

from tasks import metrics, postprocess
from tasks.flan2021.dataset import Dataset, Files, Row
from tasks.flan2021.wordings.text_formatting import WORDINGS

# A number, kept with the marks inside it (3.50, 10:30), or else a punctuation mark. Without the
# marks a number is another number, and nobody could put them back.
_NUMBER_OR_PUNCTUATION = r"(\d+(?:\pP\d+)*)|\pP"
_BLANKS = r"[\s\pZ]+"


def true_case(row: Row) -> dict[str, Any]:
    """Lower-cases the English text.

    In {'en': 'In Åre, the EU met.', 'da': ...}, out {'lower': 'in åre, the eu met.', 'answer':
    'In Åre, the EU met.'}.
    """
    return {"lower": tf.strings.lower(row["en"], encoding="utf-8"), "answer": row["en"]}


def fix_punct(row: Row) -> dict[str, Any]:
    """Deletes the punctuation of the English text and the blanks that it leaves over.

    In {'en': "Don't wait - it's 3.50!", 'da': ...}, out {'no_punct': 'Dont wait its 3.50',
    'answer': "Don't wait - it's 3.50!"}.
    """
    bare = tf.strings.regex_replace(_without_punctuation(row["en"]), _BLANKS, " ")
    return {"no_punct": tf.strings.strip(bare), "answer": row["en"]}


def word_segment(row: Row) -> dict[str, Any]:
    """Deletes the blanks of the English text.

    In {'en': 'See you soon.', 'da': ...}, out {'no_space': 'Seeyousoon.', 'answer': 'See you
    soon.'}.
    """
    return {"no_space": tf.strings.regex_replace(row["en"], _BLANKS, ""), "answer": row["en"]}


def _without_punctuation(text: tf.Tensor) -> tf.Tensor:
    return tf.strings.regex_replace(text, _NUMBER_OR_PUNCTUATION, r"\1")


def _has_capitals(row: Row) -> tf.Tensor:
    return tf.strings.lower(row["en"], encoding="utf-8") != row["en"]


def _has_punctuation(row: Row) -> tf.Tensor:
    return _without_punctuation(row["en"]) != row["en"]


def _rows(record: Mapping[str, str]) -> Iterable[Row]:
    return [{language: text.strip() for language, text in record.items()}]


_SOURCE = {
    "tfds": "para_crawl/enda:1.2.0",
    "metric_fns": (metrics.edit_distance,),
    "postprocess_fn": postprocess.strip,
    "licence": "CC0 1.0 for the collection; the texts belong to their web sites",
    "citation": "banon2020paracrawl",
    "files": Files(
        format="tsv",
        splits={"train": "en-da.bicleaner07.txt"},
        rows=_rows,
        columns=("en", "da"),
        quoted=False,
        url="https://s3.amazonaws.com/web-language-models/paracrawl/release4/"
        "en-da.bicleaner07.txt.gz",
    ),
}

DATASETS = (
    Dataset(
        name="true_case",
        paper_name=None,
        splits={
            "train": "train[:30000]",
            "validation": "train[30000:30200]",
            "test": "train[-3000:]",
        },
        fields=("lower", "answer"),
        process=true_case,
        keep=_has_capitals,
        wordings=WORDINGS["true_case"],
        note="The three text formatting tasks share the test rows. The public code lower-cases "
        "ASCII letters only.",
        **_SOURCE,
    ),
    Dataset(
        name="fix_punct",
        paper_name="Fix Punctuation (NLG)",
        splits={
            "train": "train[30200:60200]",
            "validation": "train[60200:60400]",
            "test": "train[-3000:]",
        },
        fields=("no_punct", "answer"),
        process=fix_punct,
        keep=_has_punctuation,
        wordings=WORDINGS["fix_punct"],
        note="Unicode punctuation is deleted, except inside numbers. The public code deletes "
        "whatever is not an ASCII letter, digit, underscore or blank, so also the letters é and ø.",
        **_SOURCE,
    ),
    Dataset(
        name="word_segment",
        paper_name=None,
        splits={
            "train": "train[60400:90400]",
            "validation": "train[90400:90600]",
            "test": "train[-3000:]",
        },
        fields=("no_space", "answer"),
        process=word_segment,
        wordings=WORDINGS["word_segment"],
        note="All white space is deleted; the public code deletes the ASCII blank only.",
        **_SOURCE,
    ),
)
