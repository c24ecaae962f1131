"""The entailment cluster: is a hypothesis true, given a text?"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tasks import metrics, postprocess
from tasks.flan2021.dataset import Dataset, Files, Row
from tasks.flan2021.wordings.entailment import WORDINGS

_ANLI_URL = "https://dl.fbaipublicfiles.com/anli/anli_v0.1.zip"
_GLUE_URL = "https://dl.fbaipublicfiles.com/glue/data"
_SUPER_GLUE_URL = "https://dl.fbaipublicfiles.com/glue/superglue/data/v2"

_ANLI_LABELS = ("e", "n", "c")
_CB_LABELS = ("entailment", "contradiction", "neutral")
_RTE_LABELS = ("entailment", "not_entailment")
_MNLI_LABELS = ("entailment", "neutral", "contradiction")
_QNLI_LABELS = ("entailment", "not_entailment")
_WNLI_LABELS = ("not_entailment", "entailment")
_SNLI_LABELS = ("entailment", "neutral", "contradiction")

_CB_OPTIONS = ("Yes", "No", "It's impossible to say")


def classify(row: Row, texts: Sequence[str], options: Sequence[str]) -> dict[str, Any]:
    """Keeps `texts`; the answer is the option at the label's place.

    In {'premise': 'It rains.', 'hypothesis': 'It is dry.', 'label': 1, 'idx': 7} with the texts
    ('premise', 'hypothesis') and the options ('yes', 'no'), out {'premise': 'It rains.',
    'hypothesis': 'It is dry.', 'options': ['yes', 'no'], 'answer': 'no'}.
    """
    return {
        **{text: row[text] for text in texts},
        "options": tf.constant(options),
        "answer": tf.gather(tf.constant(options), row["label"]),
    }


def is_labelled(row: Row) -> Any:
    """Whether annotators agreed on a label; it is -1 where they did not."""
    return row["label"] >= 0


def anli_rows(record: Mapping[str, Any]) -> Iterable[Row]:
    """A line of ANLI's `<split>.jsonl`."""
    texts = {name: record[name] for name in ("uid", "context", "hypothesis")}
    yield {**texts, "label": _ANLI_LABELS.index(record["label"])}


def super_glue_rows(record: Mapping[str, Any], labels: Sequence[str]) -> Iterable[Row]:
    """A line of SuperGLUE's `<split>.jsonl`, whose test rows have no label."""
    names = ("premise", "hypothesis", "idx")
    label = labels.index(record["label"]) if "label" in record else -1
    yield {**{name: record[name] for name in names}, "label": label}


def glue_rows(
    record: Mapping[str, str],
    columns: Mapping[str, str],
    labels: Sequence[str],
    label_column: str = "label",
) -> Iterable[Row]:
    """A line of GLUE's `<split>.tsv`, whose test rows have no label.

    Args:
      record: column -> text.
      columns: feature -> the column that it is read from.
      labels: in the order of their numbers; WNLI's file has the numbers themselves.
      label_column: name of the label's column.
    """
    label = record.get(label_column, "-1")
    yield {
        **{feature: record[column] for feature, column in columns.items()},
        "label": labels.index(label) if label in labels else int(label),
        "idx": int(record["index"]),
    }


def snli_rows(record: Mapping[str, str]) -> Iterable[Row]:
    """A line of `snli_1.0_<split>.jsonl`; a dash stands where annotators did not agree."""
    label = record["gold_label"]
    yield {
        "premise": record["sentence1"],
        "hypothesis": record["sentence2"],
        "label": -1 if label == "-" else _SNLI_LABELS.index(label),
    }


def _dataset(
    *, texts: tuple[str, ...], options: tuple[str, ...], wordings: str, **rest: Any
) -> Dataset:
    """The entry of a data set whose rows are `texts` and a label, which `options` names."""
    return Dataset(
        fields=(*texts, "answer"),
        options=options,
        process=functools.partial(classify, texts=texts, options=options),
        wordings=WORDINGS[wordings],
        postprocess_fn=postprocess.strip,
        **{"metric_fns": (metrics.accuracy,), **rest},
    )


def _anli(round_number: int, train: str) -> Dataset:
    return _dataset(
        name=f"anli_r{round_number}",
        paper_name="ANLI (R1-R3)",
        tfds=f"anli/r{round_number}:0.1.0",
        splits={"train": train, "validation": "validation[:200]", "test": "test"},
        texts=("context", "hypothesis"),
        options=("Yes", "It's impossible to say", "No"),
        wordings="anli",
        licence="CC BY-NC 4.0",
        citation="nie2020adversarial",
        files=Files(
            format="jsonl",
            splits={"train": "train.jsonl", "validation": "dev.jsonl", "test": "test.jsonl"},
            rows=anli_rows,
            url=_ANLI_URL,
        ),
    )


def _mnli(section: str) -> Dataset:
    return _dataset(
        name=f"mnli_{section}",
        paper_name="MNLI",
        tfds="glue/mnli:2.0.0",
        splits={
            "train": "train[:30000]",
            "validation": "train[-200:]",
            "test": f"validation_{section}",
        },
        texts=("premise", "hypothesis"),
        options=("yes", "it is not possible to tell", "no"),
        wordings="mnli",
        licence="OANC licence; fiction: CC BY-SA 3.0, CC BY 3.0 and public domain",
        citation="williams2018broad",
        files=Files(
            format="tsv",
            splits={
                "train": "train.tsv",
                "validation_matched": "dev_matched.tsv",
                "validation_mismatched": "dev_mismatched.tsv",
                "test_matched": "test_matched.tsv",
                "test_mismatched": "test_mismatched.tsv",
            },
            rows=functools.partial(
                glue_rows,
                columns={"premise": "sentence1", "hypothesis": "sentence2"},
                labels=_MNLI_LABELS,
                label_column="gold_label",
            ),
            quoted=False,
            url=f"{_GLUE_URL}/MNLI.zip",
        ),
        note="mnli_matched and mnli_mismatched have the same training and validation rows and "
        "differ in the test split only, as in the public code: a mixture of both holds the "
        "training rows twice.",
    )


def _glue_files(name: str, texts: Sequence[str], labels: Sequence[str]) -> Files:
    return Files(
        format="tsv",
        splits={"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"},
        rows=functools.partial(glue_rows, columns={text: text for text in texts}, labels=labels),
        quoted=False,
        url=f"{_GLUE_URL}/{name}.zip",
    )


def _super_glue_files(name: str, labels: Sequence[str]) -> Files:
    return Files(
        format="jsonl",
        splits={"train": "train.jsonl", "validation": "val.jsonl", "test": "test.jsonl"},
        rows=functools.partial(super_glue_rows, labels=labels),
        url=f"{_SUPER_GLUE_URL}/{name}.zip",
    )


DATASETS: tuple[Dataset, ...] = (
    _anli(1, train="train"),
    _anli(2, train="train[:30000]"),
    _anli(3, train="train[:30000]"),
    _dataset(
        name="cb",
        paper_name="CB",
        tfds="super_glue/cb:1.0.2",
        splits={"train": "train[:-50]", "validation": "train[-50:]", "test": "validation"},
        texts=("premise", "hypothesis"),
        options=_CB_OPTIONS,
        wordings="cb",
        metric_fns=(metrics.macro_f1(_CB_OPTIONS),),
        citation="de2019commitmentbank",
        files=_super_glue_files("CB", _CB_LABELS),
        note="The public code's baseline prompts, which are not used here, name contradiction and "
        "neutral the wrong way round.",
    ),
    _dataset(
        name="rte",
        paper_name="RTE",
        tfds="super_glue/rte:1.0.2",
        splits={"train": "train[:-200]", "validation": "train[-200:]", "test": "validation"},
        texts=("premise", "hypothesis"),
        options=("yes", "no"),
        wordings="rte",
        citation="dagan2005pascal",
        files=_super_glue_files("RTE", _RTE_LABELS),
        note="The RTE of SuperGLUE, of the challenges RTE-1, 2, 3 and 5; neutral and "
        "contradiction are one class.",
    ),
    _mnli("matched"),
    _mnli("mismatched"),
    _dataset(
        name="qnli",
        paper_name="QNLI",
        tfds="glue/qnli:2.0.0",
        splits={"train": "train[:30000]", "validation": "train[-200:]", "test": "validation"},
        texts=("sentence", "question"),
        options=("yes", "no"),
        wordings="qnli",
        citation="wang2018glue",
        files=_glue_files("QNLIv2", ("question", "sentence"), _QNLI_LABELS),
        note="Made of SQuAD, whose licence is CC BY-SA 4.0.",
    ),
    _dataset(
        name="wnli",
        paper_name="WNLI",
        tfds="glue/wnli:2.0.0",
        splits={"train": "train[:-30]", "validation": "train[-30:]", "test": "validation"},
        texts=("sentence1", "sentence2"),
        options=("no", "yes"),
        wordings="wnli",
        citation="levesque2012winograd",
        files=_glue_files("WNLI", ("sentence1", "sentence2"), _WNLI_LABELS),
        note="The test split shares hypotheses with the training rows, where their label is often "
        "the other one: a model that remembers those does worse than chance.",
    ),
    _dataset(
        name="snli",
        paper_name="SNLI",
        tfds="snli:1.1.0",
        splits={"train": "train[:30000]", "validation": "validation[:200]", "test": "test"},
        texts=("premise", "hypothesis"),
        options=("yes", "it is not possible to tell", "no"),
        wordings="snli",
        keep=is_labelled,
        licence="CC BY-SA 4.0",
        citation="bowman2015large",
        files=Files(
            format="jsonl",
            splits={
                "train": "snli_1.0_train.jsonl",
                "validation": "snli_1.0_dev.jsonl",
                "test": "snli_1.0_test.jsonl",
            },
            rows=snli_rows,
            url="https://nlp.stanford.edu/projects/snli/snli_1.0.zip",
        ),
        note="Pairs without a label that most annotators agreed on are dropped.",
    ),
)
