"""The commonsense cluster: CoPA, HellaSwag, StoryCloze, PIQA."""

from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

from tasks import metrics, postprocess
from tasks.flan2021.dataset import Dataset, Files, Row
from tasks.flan2021.rows import take_option
from tasks.flan2021.wordings.common_sense import WORDINGS

# Section marks that WikiHow texts carry in HellaSwag.
_SECTION_MARK = r"\s*\[(?:header|title|step|substeps)\]\s*"


def copa(row: Row) -> dict[str, Any]:
    """CoPA; `glm_premise` is the premise with its end changed to the connector of the question.

    In {'premise': 'The woman retired.', 'question': 'effect', 'choice1': 'She received her
    pension.', 'choice2': 'She paid off her mortgage.', 'label': 0, 'idx': 2}, out {'premise': 'The
    woman retired.', 'question': 'effect', 'glm_premise': 'The woman retired so', 'options': ['She
    received her pension.', 'She paid off her mortgage.'], 'answer': 'She received her pension.'}.
    """
    connector = tf.where(row["question"] == "cause", " because", " so")
    clause = tf.strings.regex_replace(row["premise"], r"[\s.!?]+$", "")
    options = tf.stack([row["choice1"], row["choice2"]], axis=-1)
    return {
        "premise": row["premise"],
        "question": row["question"],
        "glm_premise": clause + connector,
        "options": options,
        "answer": take_option(options, row["label"]),
    }


def hellaswag(row: Row) -> dict[str, Any]:
    r"""HellaSwag without WikiHow's section marks: in the context each starts a new line.

    In {'context': '[header] How to boil eggs [title] Heat water. [step] Use a pot.', 'endings':
    ['Wait. [title] Cool them.', 'Fly.', 'Sleep.', 'Sing.'], 'activity_label': 'Food', 'label': 0,
    'split_type': 'indomain', 'source_id': 'wikihow~1'}, out {'context': 'How to boil eggs\nHeat
    water.\nUse a pot.', 'activity_label': 'Food', 'options': ['Wait. Cool them.', 'Fly.',
    'Sleep.', 'Sing.'], 'answer': 'Wait. Cool them.'}.
    """
    context = tf.strings.regex_replace(row["context"], _SECTION_MARK, "\n")
    endings = tf.ragged.map_flat_values(
        tf.strings.regex_replace, row["endings"], _SECTION_MARK, " "
    )
    options = tf.strings.strip(endings)
    return {
        "context": tf.strings.strip(context),
        "activity_label": row["activity_label"],
        "options": options,
        "answer": take_option(options, row["label"]),
    }


def _hellaswag_is_labelled(row: Row) -> tf.Tensor:
    return (row["label"] >= 0) & (row["label"] < 4)


def story_cloze(row: Row) -> dict[str, Any]:
    """StoryCloze, whose labels count from 1.

    In {'context': 'Al ran. He fell. It hurt. He cried.', 'endings': ['Al got a plaster.', 'Al won a
    car.'], 'label': 1}, out {'context': 'Al ran. He fell. It hurt. He cried.', 'options': ['Al got
    a plaster.', 'Al won a car.'], 'answer': 'Al got a plaster.'}.
    """
    return {
        "context": row["context"],
        "options": row["endings"],
        "answer": take_option(row["endings"], row["label"] - 1),
    }


def piqa(row: Row) -> dict[str, Any]:
    """PIQA.

    In {'id': 'x', 'goal': 'Cut bread.', 'sol1': 'Use a spoon.', 'sol2': 'Use a knife.', 'label':
    1}, out {'goal': 'Cut bread.', 'options': ['Use a spoon.', 'Use a knife.'], 'answer': 'Use a
    knife.'}.
    """
    options = tf.stack([row["sol1"], row["sol2"]], axis=-1)
    answer = take_option(options, row["label"])
    return {"goal": row["goal"], "options": options, "answer": answer}


def _copa_rows(record: Mapping[str, Any]) -> Iterable[Row]:
    return [{**record, "label": record.get("label", -1)}]


def _hellaswag_rows(record: Mapping[str, Any]) -> Iterable[Row]:
    same = ("endings", "activity_label", "split_type", "source_id")
    row = {name: record[name] for name in same}
    return [{"context": record["ctx"], **row, "label": record.get("label", -1)}]


def _story_cloze_rows(record: Mapping[str, str]) -> Iterable[Row]:
    return [
        {
            "context": " ".join(record[f"InputSentence{i}"] for i in (1, 2, 3, 4)),
            "endings": [record[f"RandomFifthSentenceQuiz{i}"] for i in (1, 2)],
            "label": int(record.get("AnswerRightEnding", -1)),
        }
    ]


def _piqa_rows(record: tuple[Mapping[str, str], int]) -> Iterable[Row]:
    problem, label = record
    row = {name: problem[name] for name in ("goal", "sol1", "sol2")}
    # The files of the authors' page have no ids; those of the leaderboard have.
    return [{"id": problem.get("id", ""), **row, "label": label}]


DATASETS = (
    Dataset(
        name="copa",
        paper_name="CoPA",
        tfds="super_glue/copa:1.0.2",
        splits={"train": "train[:-50]", "validation": "train[-50:]", "test": "validation"},
        fields=("premise", "question", "glm_premise", "answer"),
        plain_fields=("premise", "question"),
        process=copa,
        row_options=True,
        wordings=WORDINGS["copa"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        licence="BSD 2-Clause",
        citation="roemmele2011choice",
        files=Files(
            format="jsonl",
            splits={"train": "train.jsonl", "validation": "val.jsonl", "test": "test.jsonl"},
            rows=_copa_rows,
            url="https://super.gluebenchmark.com/tasks",
        ),
    ),
    Dataset(
        name="hellaswag",
        paper_name="HellaSwag",
        tfds="hellaswag:1.1.0",
        splits={"train": "train[:30000]", "validation": "train[-200:]", "test": "validation"},
        fields=("context", "activity_label", "answer"),
        process=hellaswag,
        keep=_hellaswag_is_labelled,
        row_options=True,
        wordings=WORDINGS["hellaswag"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        licence="MIT",
        citation="zellers2019hellaswag",
        files=Files(
            format="jsonl",
            splits={
                "train": "hellaswag_train.jsonl",
                "validation": "hellaswag_val.jsonl",
                "test": "hellaswag_test.jsonl",
            },
            rows=_hellaswag_rows,
            url="https://github.com/rowanz/hellaswag/tree/master/data",
        ),
        note="Only WikiHow's four section marks are removed; the public code removes every word in "
        "square brackets.",
    ),
    Dataset(
        name="story_cloze",
        paper_name="StoryCloze",
        tfds="story_cloze/2016:1.0.0",
        splits={
            "train": "validation[:-200]",
            "validation": "validation[-200:]",
            "test": "test",
        },
        fields=("context", "answer"),
        process=story_cloze,
        row_options=True,
        wordings=WORDINGS["story_cloze"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        citation="mostafazadeh2016corpus",
        files=Files(
            format="csv",
            splits={
                "validation": "cloze_test_val__spring2016.csv",
                "test": "cloze_test_test__spring2016.csv",
            },
            rows=_story_cloze_rows,
            url="https://www.cs.rochester.edu/nlp/rocstories/",
        ),
        note="To be asked for by a form; the files go by the names that TFDS wants. There is no "
        "training split: training rows come from the validation split.",
    ),
    Dataset(
        name="piqa",
        paper_name="PiQA",
        tfds="piqa:1.0.0",
        splits={"train": "train[:-100]", "validation": "train[-100:]", "test": "validation"},
        fields=("goal", "answer"),
        process=piqa,
        row_options=True,
        wordings=WORDINGS["piqa"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        licence="AFL-3.0",
        citation="bisk2020piqa",
        files=Files(
            format="jsonl",
            splits={
                "train": ("train.jsonl", "train-labels.lst"),
                "validation": ("valid.jsonl", "valid-labels.lst"),
            },
            rows=_piqa_rows,
            url="https://yonatanbisk.com/piqa/data/",
        ),
        note="Goals are commands, questions, beginnings of sentences or single things.",
    ),
)
