"""The reading-comprehension cluster of FLAN 2021: six data sets, three of which have options."""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from tasks import metrics, postprocess
from tasks.flan2021.dataset import Dataset, Files, Row
from tasks.flan2021.rows import take_option
from tasks.flan2021.wordings.reading_comprehension import WORDINGS

_CAPPED_SPLITS = {"train": "train[:30000]", "validation": "train[-200:]", "test": "validation"}
_WHOLE_SPLITS = {"train": "train[:-200]", "validation": "train[-200:]", "test": "validation"}

_NO_YES = ("no", "yes")
_UNANSWERABLE = "unanswerable"


def squad_v1(row: Row) -> dict[str, Any]:
    """Takes the first answer as the target and all as references.

    In {'title': 'New_York', 'context': 'It has five boroughs.', 'question': 'How many boroughs?',
    'answers': {'text': ['five', 'five boroughs'], ...}, ...}, out {'title': 'New York', 'context':
    'It has five boroughs.', 'question': 'How many boroughs?', 'answer': 'five', 'answers': ['five',
    'five boroughs']}.
    """
    return _squad(row, row["answers"]["text"])


def squad_v2(row: Row) -> dict[str, Any]:
    """Does as `squad_v1`, with 'unanswerable' as the only answer of an impossible question.

    In {'title': 'Oslo', 'context': 'Oslo is old.', 'question': 'Who rules it?', 'is_impossible':
    True, 'answers': {'text': [], ...}, ...}, out {'title': 'Oslo', 'context': 'Oslo is old.',
    'question': 'Who rules it?', 'answer': 'unanswerable', 'answers': ['unanswerable']}.
    """
    answers = tf.cond(
        row["is_impossible"],
        lambda: tf.constant([_UNANSWERABLE]),
        lambda: tf.convert_to_tensor(row["answers"]["text"]),
    )
    return _squad(row, answers)


def drop(row: Row) -> dict[str, Any]:
    """Keeps passage, question and answer.

    In {'passage': 'Two goals, then one.', 'question': 'How many goals?', 'answer': '3',
    'validated_answers': [], 'query_id': ...}, out {'context': 'Two goals, then one.', 'question':
    'How many goals?', 'answer': '3', 'answers': ['3']}.
    """
    return {
        "context": row["passage"],
        "question": row["question"],
        "answer": row["answer"],
        "answers": row["answer"][tf.newaxis],
    }


def multirc(row: Row) -> dict[str, Any]:
    """Turns the label of a candidate answer into a word and keeps the three indices.

    In {'paragraph': 'Al ran.', 'question': 'Who ran?', 'answer': 'Bo', 'label': 0, 'idx':
    {'paragraph': 7, 'question': 8, 'answer': 9}}, out {'paragraph': 'Al ran.', 'question': 'Who
    ran?', 'response': 'Bo', 'options': ['no', 'yes'], 'answer': 'no', 'idx/paragraph': 7,
    'idx/question': 8, 'idx/answer': 9}.
    """
    return {
        "paragraph": row["paragraph"],
        "question": row["question"],
        "response": row["answer"],
        **_no_yes(row["label"]),
        "idx/paragraph": row["idx"]["paragraph"],
        "idx/question": row["idx"]["question"],
        "idx/answer": row["idx"]["answer"],
    }


def openbookqa(row: Row) -> dict[str, Any]:
    """Gathers the four answers.

    In {'fact1': 'ice floats', 'question': {'stem': 'Ice is', 'choice_A': 'hot', 'choice_B':
    'light', 'choice_C': 'wet', 'choice_D': 'old'}, 'answerKey': 1, ...}, out {'question': 'Ice is',
    'fact': 'ice floats', 'options': ['hot', 'light', 'wet', 'old'], 'answer': 'light'}.
    """
    question = row["question"]
    options = tf.stack([question[f"choice_{letter}"] for letter in "ABCD"], axis=-1)
    return {
        "question": question["stem"],
        "fact": row["fact1"],
        "options": options,
        "answer": take_option(options, row["answerKey"]),
    }


def bool_q(row: Row) -> dict[str, Any]:
    """Turns the answer into a word.

    In {'title': 'Oslo', 'passage': 'Oslo is old.', 'question': 'is oslo old', 'answer': True}, out
    {'title': 'Oslo', 'text': 'Oslo is old.', 'question': 'is oslo old', 'options': ['no', 'yes'],
    'answer': 'yes'}.
    """
    return {
        "title": row["title"],
        "text": row["passage"],
        "question": row["question"],
        **_no_yes(tf.cast(row["answer"], tf.int64)),
    }


def _squad(row: Row, answers: tf.Tensor) -> dict[str, Any]:
    return {
        "title": tf.strings.regex_replace(row["title"], "_", " "),
        "context": row["context"],
        "question": row["question"],
        "answer": answers[0],
        "answers": answers,
    }


def _no_yes(label: tf.Tensor) -> dict[str, tf.Tensor]:
    options = tf.constant(_NO_YES)
    return {"options": options, "answer": tf.gather(options, label)}


def _keep_drop(row: Row) -> tf.Tensor:
    """Drops the rows of dates without a day, whose answer TFDS leaves empty."""
    return tf.strings.length(row["answer"]) > 0


def _squad_v1_rows(content: dict[str, Any]) -> Iterable[Row]:
    for features, _ in _squad_questions(content):
        yield features


def _squad_v2_rows(content: dict[str, Any]) -> Iterable[Row]:
    for features, qa in _squad_questions(content):
        yield features | {
            "is_impossible": qa["is_impossible"],
            "plausible_answers": _spans(qa.get("plausible_answers", [])),
        }


def _squad_questions(content: dict[str, Any]) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
    """Yields for each question the features that both versions have, and its record."""
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                features = {
                    "id": qa["id"],
                    "title": article["title"],
                    "context": paragraph["context"],
                    "question": qa["question"],
                    "answers": _spans(qa["answers"]),
                }
                yield features, qa


def _spans(answers: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [answer[name] for answer in answers] for name in ("text", "answer_start")}


def _drop_rows(content: dict[str, Any]) -> Iterable[Row]:
    for entry in content.values():
        for i, qa in enumerate(entry["qa_pairs"]):
            yield {
                "passage": entry["passage"],
                "question": qa["question"],
                "answer": _drop_answer(qa["answer"]),
                "validated_answers": [_drop_answer(a) for a in qa.get("validated_answers", [])],
                "query_id": f"{qa['query_id']}{i}",
            }


def _drop_answer(answer: dict[str, Any]) -> str:
    """Returns an answer as TFDS does: of several spans the first, of a date without a day ''."""
    if answer.get("number"):
        return answer["number"]
    date = answer.get("date", {})
    if date.get("day"):
        return f"{date['year']}-{date['month']}-{date['day']}"
    return next(iter(answer.get("spans", [])), "")


def _multirc_rows(record: dict[str, Any]) -> Iterable[Row]:
    passage = record["passage"]
    for question in passage["questions"]:
        for answer in question["answers"]:
            yield {
                "paragraph": passage["text"],
                "question": question["question"],
                "answer": answer["text"],
                "label": int(answer.get("label", -1)),
                "idx": {
                    "paragraph": record["idx"],
                    "question": question["idx"],
                    "answer": answer["idx"],
                },
            }


def _openbookqa_rows(record: dict[str, Any]) -> Iterable[Row]:
    question = record["question"]
    texts = [choice["text"] for choice in question["choices"]]
    choices = {f"choice_{letter}": text for letter, text in zip("ABCD", texts, strict=True)}
    return [
        {
            "question": {"stem": question["stem"], **choices},
            "fact1": record["fact1"],
            "humanScore": float(record["humanScore"]),
            "clarity": float(record["clarity"]),
            "turkIdAnonymized": record["turkIdAnonymized"],
            "answerKey": "ABCD".index(record["answerKey"]),
        }
    ]


def _bool_q_rows(record: dict[str, Any]) -> Iterable[Row]:
    """Reads BoolQ's own records and those of SuperGLUE, which put title and passage into one."""
    if "title" in record:
        title, passage, answer = record["title"], record["passage"], record["answer"]
    else:
        title, _, passage = record["passage"].partition(" -- ")
        # A label is a JSON boolean; some copies have it as text.
        answer = str(record["label"]).lower() == "true"
    return [{"question": record["question"], "passage": passage, "answer": answer, "title": title}]


DATASETS: tuple[Dataset, ...] = (
    Dataset(
        name="squad_v1",
        row_by_row=True,
        paper_name="SQuAD",
        tfds="squad/v1.1:3.0.0",
        splits=_CAPPED_SPLITS,
        fields=("title", "context", "question", "answer"),
        process=squad_v1,
        wordings=WORDINGS["squad_v1"],
        metric_fns=(metrics.squad,),
        postprocess_fn=postprocess.answers,
        licence="CC BY-SA 4.0",
        citation="rajpurkar2016squad",
        files=Files(
            format="json",
            splits={"train": "train-v1.1.json", "validation": "dev-v1.1.json"},
            rows=_squad_v1_rows,
            url="https://rajpurkar.github.io/SQuAD-explorer/dataset/",
        ),
        note="Counted in the paper as one data set with squad_v2.",
    ),
    Dataset(
        name="squad_v2",
        row_by_row=True,
        paper_name="SQuAD",
        tfds="squad/v2.0:3.0.0",
        splits=_CAPPED_SPLITS,
        fields=("title", "context", "question", "answer"),
        process=squad_v2,
        wordings=WORDINGS["squad_v2"],
        metric_fns=(metrics.squad,),
        postprocess_fn=postprocess.answers,
        licence="CC BY-SA 4.0",
        citation="rajpurkar2018know",
        files=Files(
            format="json",
            splits={"train": "train-v2.0.json", "validation": "dev-v2.0.json"},
            rows=_squad_v2_rows,
            url="https://rajpurkar.github.io/SQuAD-explorer/dataset/",
        ),
        note="Counted in the paper as one data set with squad_v1, most of whose questions it has.",
    ),
    Dataset(
        name="drop",
        row_by_row=True,
        paper_name="DROP",
        tfds="drop:2.0.0",
        splits={"train": "train[:30000]", "validation": "train[-200:]", "test": "dev"},
        fields=("context", "question", "answer"),
        process=drop,
        wordings=WORDINGS["drop"],
        metric_fns=(metrics.squad,),
        postprocess_fn=postprocess.answers,
        keep=_keep_drop,
        citation="dua2019drop",
        files=Files(
            format="json",
            splits={"train": "drop_dataset_train.json", "dev": "drop_dataset_dev.json"},
            rows=_drop_rows,
            url="https://s3-us-west-2.amazonaws.com/allennlp/datasets/drop/drop_dataset.zip",
        ),
        note="TFDS keeps only the first of several spans, and nothing of a date without a day; "
        "rows left with an empty answer are dropped, which the public code keeps. The score is "
        "SQuAD's, not DROP's own, and knows one reference.",
    ),
    Dataset(
        name="multirc",
        paper_name="MultiRC",
        tfds="super_glue/multirc:1.0.2",
        splits=_WHOLE_SPLITS,
        fields=("paragraph", "question", "response", "answer"),
        process=multirc,
        wordings=WORDINGS["multirc"],
        metric_fns=(metrics.multirc,),
        postprocess_fn=postprocess.multirc,
        options=_NO_YES,
        kept=("idx/paragraph", "idx/question", "idx/answer"),
        citation="khashabi2018looking",
        files=Files(
            format="jsonl",
            splits={"train": "train.jsonl", "validation": "val.jsonl"},
            rows=_multirc_rows,
            url="https://dl.fbaipublicfiles.com/glue/superglue/data/v2/MultiRC.zip",
        ),
        note="A row is one candidate answer; the public code fills its index from the index of the "
        "question.",
    ),
    Dataset(
        name="openbookqa",
        paper_name="OBQA",
        tfds="openbookqa:0.1.0",
        splits={"train": "train", "validation": "validation[:200]", "test": "test"},
        fields=("question", "fact", "answer"),
        process=openbookqa,
        wordings=WORDINGS["openbookqa"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        row_options=True,
        citation="mihaylov2018can",
        files=Files(
            format="jsonl",
            splits={
                "train": "train_complete.jsonl",
                "validation": "dev_complete.jsonl",
                "test": "test_complete.jsonl",
            },
            rows=_openbookqa_rows,
            url="https://s3-us-west-2.amazonaws.com/ai2-website/data/OpenBookQA-V1-Sep2018.zip",
        ),
        note="Prompts show the fact that the question was made from, so scores are not those of "
        "the open-book task. The files are those of the folder Data/Additional; those of "
        "Data/Main have no facts.",
    ),
    Dataset(
        name="bool_q",
        paper_name="BoolQ",
        tfds="bool_q:1.0.0",
        splits=_WHOLE_SPLITS,
        fields=("title", "text", "question", "answer"),
        process=bool_q,
        wordings=WORDINGS["bool_q"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        options=_NO_YES,
        licence="CC BY-SA 3.0",
        citation="clark2019boolq",
        files=Files(
            format="jsonl",
            splits={"train": "train.jsonl", "validation": "val.jsonl"},
            rows=_bool_q_rows,
            url="https://dl.fbaipublicfiles.com/glue/superglue/data/v2/BoolQ.zip",
        ),
        note="The files are SuperGLUE's copy of the data. BoolQ's own train.jsonl and dev.jsonl "
        "can be read too, the latter under the name val.jsonl.",
    ),
)
