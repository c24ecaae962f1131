"""The cluster of FLAN 2021 that asks for both reading and common sense: ReCoRD and Cosmos QA."""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from tasks import metrics, postprocess
from tasks.flan2021.dataset import Dataset, Files, Row
from tasks.flan2021.rows import take_option
from tasks.flan2021.wordings.read_comp_and_common_sense import WORDINGS

_COSMOS_OPTIONS = tuple(f"answer{i}" for i in range(4))


def record(row: Row) -> dict[str, Any]:
    r"""Cuts the query at its gap; each option fills the gap and ends the sentence.

    In {'passage': 'Al met Bo.\n@highlight\nThey talked', 'query': 'Later, @placeholder left.',
    'entities': ['Al', 'Bo'], 'answers': ['Bo'], 'idx': {'passage': 3, 'query': 5}}, out {'passage':
    'Al met Bo.', 'query': 'Later,', 'options': ['Al left.', 'Bo left.'], 'answer': 'Bo left.',
    'answers': ['Bo left.'], 'idx/passage': 3, 'idx/query': 5}.
    """
    beginning = tf.strings.regex_replace(row["query"], r"(?s)@placeholder.*", "")
    ending = tf.strings.regex_replace(row["query"], r"(?s)^.*?@placeholder", "")
    passage = tf.strings.regex_replace(row["passage"], r"(?s)\n@highlight.*", "")
    answers = tf.strings.join([row["answers"], ending])
    return {
        "passage": tf.strings.strip(passage),
        "query": tf.strings.strip(beginning),
        "options": tf.strings.join([row["entities"], ending]),
        "answer": answers[0],
        "answers": answers,
        "idx/passage": row["idx"]["passage"],
        "idx/query": row["idx"]["query"],
    }


def cosmos_qa(row: Row) -> dict[str, Any]:
    """Gathers the four answers.

    In {'context': 'It rained.', 'question': 'What next?', 'answer0': 'Sun .', 'answer1': 'Mud .',
    'answer2': 'War .', 'answer3': 'Tea .', 'label': 1, 'id': ...}, out {'context': 'It rained.',
    'question': 'What next?', 'options': ['Sun .', 'Mud .', 'War .', 'Tea .'], 'answer': 'Mud .'}.
    """
    options = tf.stack([row[name] for name in _COSMOS_OPTIONS], axis=-1)
    return {
        "context": row["context"],
        "question": row["question"],
        "options": options,
        "answer": take_option(options, row["label"]),
    }


def _keep_labelled(row: Row) -> tf.Tensor:
    return row["label"] >= 0


def _record_rows(entry: dict[str, Any]) -> Iterable[Row]:
    passage = entry["passage"]
    text = passage["text"]
    # The end of a span is its last character.
    entities = {text[span["start"] : span["end"] + 1] for span in passage["entities"]}
    for qa in entry["qas"]:
        yield {
            "passage": text,
            "query": qa["query"],
            "entities": sorted(entities),
            "answers": sorted({answer["text"] for answer in qa.get("answers", [])}),
            "idx": {"passage": entry["idx"], "query": qa["idx"]},
        }


def _cosmos_qa_rows(entry: dict[str, str]) -> Iterable[Row]:
    texts = {name: entry[name] for name in ("id", "context", "question", *_COSMOS_OPTIONS)}
    return [texts | {"label": int(entry["label"])}]


DATASETS: tuple[Dataset, ...] = (
    Dataset(
        name="record",
        row_by_row=True,
        paper_name="ReCoRD",
        tfds="super_glue/record:1.0.2",
        splits={"train": "train[:30000]", "validation": "train[-200:]", "test": "validation"},
        fields=("passage", "query", "answer"),
        process=record,
        wordings=WORDINGS["record"],
        metric_fns=(metrics.record,),
        postprocess_fn=postprocess.record,
        row_options=True,
        kept=("idx/passage", "idx/query"),
        citation="zhang2018record",
        files=Files(
            format="jsonl",
            splits={"train": "train.jsonl", "validation": "val.jsonl"},
            rows=_record_rows,
            url="https://dl.fbaipublicfiles.com/glue/superglue/data/v2/ReCoRD.zip",
        ),
        note="The bullet points at the end of the passage are cut, though some of the entities "
        "stand only there. Options and answers go on to the end of the sentence, so exact match "
        "compares with published scores, but F1 is higher than over the entity alone.",
    ),
    Dataset(
        name="cosmos_qa",
        paper_name="CosmosQA",
        tfds="cosmos_qa:1.0.0",
        splits={"train": "train[:-200]", "validation": "train[-200:]", "test": "validation"},
        fields=("context", "question", "answer"),
        process=cosmos_qa,
        wordings=WORDINGS["cosmos_qa"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        keep=_keep_labelled,
        row_options=True,
        licence="CC BY 4.0",
        citation="huang2019cosmos",
        files=Files(
            format="csv",
            splits={"train": "train.csv", "validation": "valid.csv"},
            rows=_cosmos_qa_rows,
            url="https://github.com/wilburOne/cosmosqa/tree/master/data",
        ),
        note="Only the published test split, which this entry leaves aside, has no labels.",
    ),
)
