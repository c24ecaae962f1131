"""Paraphrase: MRPC, QQP and STS-B of GLUE, and PAWS."""

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from tasks import metrics, postprocess
from tasks.flan2021.dataset import Dataset, Files, Row
from tasks.flan2021.wordings.paraphrase import WORDINGS

# Indexed by the label.
YES_NO = ("no", "yes")

SIMILARITY = ("0", "1", "2", "3", "4", "5")

# As TFDS has it, where a test file does not tell; and where a file does not number its rows.
_UNKNOWN = "-1"

_GLUE_SPLITS = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}


def sentence_pair(row: Row) -> dict[str, Any]:
    """Turns the label of a pair of sentences into a word; for MRPC and PAWS.

    In {'sentence1': 'It rained .', 'sentence2': 'Rain fell .', 'label': 1, 'idx': 4}, out
    {'sentence1': 'It rained .', 'sentence2': 'Rain fell .', 'options': ['no', 'yes'], 'answer':
    'yes'}.
    """
    return {
        "sentence1": row["sentence1"],
        "sentence2": row["sentence2"],
        "options": tf.constant(YES_NO),
        "answer": tf.gather(YES_NO, row["label"]),
    }


def qqp(row: Row) -> dict[str, Any]:
    """Turns the label into a word, and each doubled quotation mark into an apostrophe.

    In {'question1': 'What is ""ether""?', 'question2': 'What is a bit?', 'label': 0, 'idx': 2}, out
    {'question1': "What is 'ether'?", 'question2': 'What is a bit?', 'options': ['no', 'yes'],
    'answer': 'no'}.
    """
    return {
        "question1": tf.strings.regex_replace(row["question1"], '""', "'"),
        "question2": tf.strings.regex_replace(row["question2"], '""', "'"),
        "options": tf.constant(YES_NO),
        "answer": tf.gather(YES_NO, row["label"]),
    }


def stsb(row: Row) -> dict[str, Any]:
    """Rounds the grade of similarity; a half goes to the even neighbour.

    In {'sentence1': 'A cat sleeps.', 'sentence2': 'A cat naps.', 'label': 4.6, 'idx': 1}, out
    {'sentence1': 'A cat sleeps.', 'sentence2': 'A cat naps.', 'options': ['0', '1', '2', '3', '4',
    '5'], 'answer_str': '5', 'answer': '5'}.
    """
    answer = tf.strings.as_string(row["label"], precision=0)
    return {
        "sentence1": row["sentence1"],
        "sentence2": row["sentence2"],
        "options": tf.constant(SIMILARITY),
        "answer_str": answer,
        "answer": answer,
    }


def _mrpc_rows(record: Mapping[str, str]) -> Iterator[Row]:
    # GLUE's script copies the byte order mark of the original file, which clings to the first name.
    label = record.get("Quality", record.get("\ufeffQuality", _UNKNOWN))
    yield {
        "sentence1": record["#1 String"],
        "sentence2": record["#2 String"],
        "label": int(label),
        "idx": int(record.get("index", _UNKNOWN)),
    }


def _qqp_rows(record: Mapping[str, str | None]) -> Iterator[Row]:
    question1, question2 = record["question1"], record["question2"]
    label = record.get("is_duplicate", _UNKNOWN)
    # A few lines of the training file are broken off; TFDS drops them too.
    if question1 is not None and question2 is not None and label:
        yield {
            "question1": question1,
            "question2": question2,
            "label": int(label),
            "idx": int(_UNKNOWN),
        }


def _stsb_rows(record: Mapping[str, str]) -> Iterator[Row]:
    yield {
        "sentence1": record["sentence1"],
        "sentence2": record["sentence2"],
        "label": float(record.get("score", _UNKNOWN)),
        "idx": int(record["index"]),
    }


def _paws_rows(record: Mapping[str, str]) -> Iterator[Row]:
    yield {
        "sentence1": record["sentence1"],
        "sentence2": record["sentence2"],
        "label": int(record["label"]),
    }


DATASETS: tuple[Dataset, ...] = (
    Dataset(
        name="glue_mrpc",
        paper_name="MRPC",
        tfds="glue/mrpc:2.0.0",
        splits={"train": "train[:-200]", "validation": "train[-200:]", "test": "validation"},
        fields=("sentence1", "sentence2", "answer"),
        process=sentence_pair,
        wordings=WORDINGS["glue_mrpc"],
        metric_fns=(metrics.binary_f1("yes"),),
        postprocess_fn=postprocess.strip,
        options=YES_NO,
        citation="dolan2005automatically",
        files=Files(
            format="tsv",
            splits=_GLUE_SPLITS,
            rows=_mrpc_rows,
            quoted=False,
            url="https://gluebenchmark.com/tasks",
        ),
        note="The sentences are tokenised: punctuation stands between blanks.",
    ),
    Dataset(
        name="glue_qqp",
        paper_name="QQP",
        tfds="glue/qqp:2.0.0",
        splits={"train": "train[:30000]", "validation": "train[-200:]", "test": "validation"},
        fields=("question1", "question2", "answer"),
        process=qqp,
        wordings=WORDINGS["glue_qqp"],
        metric_fns=(metrics.binary_f1("yes"),),
        postprocess_fn=postprocess.strip,
        options=YES_NO,
        citation="iyer2017first",
        files=Files(
            format="tsv",
            splits=_GLUE_SPLITS,
            rows=_qqp_rows,
            quoted=False,
            broken_lines=True,
            url="https://dl.fbaipublicfiles.com/glue/data/QQP.zip",
        ),
        note="An apostrophe takes the place of each doubled quotation mark, as in the public code.",
    ),
    Dataset(
        name="paws_wiki",
        paper_name="PAWS",
        tfds="paws_wiki:1.1.0",
        splits={"train": "train[:30000]", "validation": "validation[:200]", "test": "test"},
        fields=("sentence1", "sentence2", "answer"),
        process=sentence_pair,
        wordings=WORDINGS["paws_wiki"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        options=YES_NO,
        licence="free for any purpose; the publishers ask to name Google LLC as the source",
        citation="zhang2019paws",
        files=Files(
            format="tsv",
            splits=_GLUE_SPLITS,
            rows=_paws_rows,
            url="https://storage.googleapis.com/paws/english/paws_wiki_labeled_final.tar.gz",
        ),
        note="The builder's default configuration, labeled_final_tokenized. The files are those of "
        "the folder 'final'.",
    ),
    Dataset(
        name="stsb",
        paper_name="STS-B",
        tfds="glue/stsb:2.0.0",
        splits={"train": "train[:-100]", "validation": "train[-100:]", "test": "validation"},
        fields=("sentence1", "sentence2", "answer_str", "answer"),
        plain_fields=("sentence1", "sentence2"),
        process=stsb,
        wordings=WORDINGS["stsb"],
        metric_fns=(metrics.correlation,),
        postprocess_fn=postprocess.number,
        options=SIMILARITY,
        citation="cer2017semeval",
        files=Files(
            format="tsv",
            splits=_GLUE_SPLITS,
            rows=_stsb_rows,
            quoted=False,
            url="https://dl.fbaipublicfiles.com/glue/data/STS-B.zip",
        ),
        note="Correlations are with the rounded grades, as in the public code; those of other "
        "publications are with the grades as annotated.",
    ),
)
