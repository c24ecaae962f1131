"""Closed-book question answering: TriviaQA, Natural Questions, ARC."""

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from tasks import metrics, postprocess
from tasks.flan2021.dataset import Dataset, Files, Row
from tasks.flan2021.wordings.open_domain_qa import WORDINGS

# TFDS puts this in place of the answers that the test split of TriviaQA hides.
_HIDDEN_ANSWER = "<unk>"

# Most ARC questions letter their answers, some number them.
_ARC_LABELS = {key: i for keys in ("ABCDE", "12345") for i, key in enumerate(keys)}


def trivia_qa(row: Row) -> dict[str, Any]:
    """Takes the normalised answer as the target and all its normalised names as references.

    In {'question': 'Which town is home to Old Trafford?', 'answer': {'value': 'Stretford',
    'normalized_value': 'stretford', 'normalized_aliases': ['stretford', 'stretford uk'], ...},
    ...}, out {'question': 'Which town is home to Old Trafford?', 'answer': 'stretford', 'answers':
    ['stretford', 'stretford uk']}.
    """
    answer = row["answer"]
    return {
        "question": row["question"],
        "answer": answer["normalized_value"],
        "answers": answer["normalized_aliases"],
    }


def has_answer(row: Row) -> tf.Tensor:
    """Whether a row of TriviaQA has an answer that is neither empty nor hidden."""
    value = row["answer"]["value"]
    return tf.logical_and(tf.strings.length(value) > 0, tf.not_equal(value, _HIDDEN_ANSWER))


def natural_questions(row: Row) -> dict[str, Any]:
    """Ends the question with a question mark; the first answer is the target.

    In {'question': 'who wrote emma', 'answer': ['Jane Austen', 'Austen']}, out {'question': 'who
    wrote emma?', 'answer': 'Jane Austen', 'answers': ['Jane Austen', 'Austen']}.
    """
    return {
        "question": tf.strings.regex_replace(row["question"], r"\s*\??\s*$", "?", False),
        "answer": row["answer"][0],
        "answers": row["answer"],
    }


def arc(row: Row) -> dict[str, Any]:
    """Looks up the text of the right answer by its label.

    In {'question': 'Which is a gas?', 'choices': {'text': ['ice', 'steam', 'salt', 'sand'],
    'label': [0, 1, 2, 3]}, 'answerKey': 1, 'id': 'x1'}, out {'question': 'Which is a gas?',
    'options': ['ice', 'steam', 'salt', 'sand'], 'answer': 'steam'}.
    """
    options = row["choices"]["text"]
    is_right = tf.equal(row["choices"]["label"], row["answerKey"])
    return {
        "question": row["question"],
        "options": options,
        "answer": options[tf.argmax(tf.cast(is_right, tf.int32))],
    }


def has_four_options(row: Row) -> tf.Tensor:
    """Whether an ARC question offers four answers, as nearly all do, the right one among them."""
    labels = row["choices"]["label"]
    is_right = tf.equal(labels, row["answerKey"])
    return tf.logical_and(tf.equal(tf.size(labels), 4), tf.reduce_any(is_right))


def _trivia_qa_rows(documents: tuple[Mapping[str, Any], ...]) -> Iterator[Row]:
    """Rows of a split, whose questions stand in several files, without the evidence.

    The evidence, the larger part of TriviaQA by far, lies in files of its own.
    """
    for document in documents:
        for question in document["Data"]:
            yield {
                "question": question["Question"].strip(),
                "question_id": question["QuestionId"],
                "question_source": question["QuestionSource"].strip(),
                "entity_pages": {"doc_source": [], "filename": [], "title": [], "wiki_context": []},
                "search_results": {
                    "description": [],
                    "filename": [],
                    "rank": [],
                    "title": [],
                    "url": [],
                    "search_context": [],
                },
                "answer": _trivia_qa_answer(question.get("Answer")),
            }


def _trivia_qa_answer(answer: Mapping[str, Any] | None) -> Row:
    if answer is None:
        return {
            "aliases": [],
            "normalized_aliases": [],
            "matched_wiki_entity_name": _HIDDEN_ANSWER,
            "normalized_matched_wiki_entity_name": _HIDDEN_ANSWER,
            "normalized_value": _HIDDEN_ANSWER,
            "type": "",
            "value": _HIDDEN_ANSWER,
        }
    return {
        "aliases": [alias.strip() for alias in answer["Aliases"]],
        "normalized_aliases": [alias.strip() for alias in answer["NormalizedAliases"]],
        "matched_wiki_entity_name": answer.get("MatchedWikiEntryName", "").strip(),
        "normalized_matched_wiki_entity_name": answer.get(
            "NormalizedMatchedWikiEntryName", ""
        ).strip(),
        "normalized_value": answer["NormalizedValue"].strip(),
        "type": answer["Type"].strip(),
        "value": answer["Value"].strip(),
    }


def _natural_questions_rows(record: Mapping[str, Any]) -> Iterator[Row]:
    yield {"question": record["question"], "answer": record["answer"]}


def _arc_rows(record: Mapping[str, Any]) -> Iterator[Row]:
    choices = record["question"]["choices"]
    yield {
        "id": record["id"],
        "question": record["question"]["stem"],
        "choices": {
            "text": [choice["text"] for choice in choices],
            "label": [_ARC_LABELS[choice["label"]] for choice in choices],
        },
        "answerKey": _ARC_LABELS[record["answerKey"]],
    }


def _arc_dataset(name: str, config: str) -> Dataset:
    """One of the two halves of ARC, which differ in nothing but their questions."""
    return Dataset(
        name=name,
        row_by_row=True,
        paper_name="ARC (easy/chal.)",
        tfds=f"ai2_arc/{config}:1.0.0",
        splits={"train": "train[:-200]", "validation": "train[-200:]", "test": "test"},
        fields=("question", "answer"),
        process=arc,
        wordings=WORDINGS["arc"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        keep=has_four_options,
        row_options=True,
        licence="CC BY-SA 4.0",
        citation="clark2018think",
        files=Files(
            format="jsonl",
            splits={
                "train": f"{config}-Train.jsonl",
                "validation": f"{config}-Dev.jsonl",
                "test": f"{config}-Test.jsonl",
            },
            rows=_arc_rows,
            url="https://ai2-public-datasets.s3-us-west-2.amazonaws.com/arc/ARC-V1-Feb2018.zip",
        ),
        note="The validation split of the data set is not used; questions with three or five "
        "answers are dropped.",
    )


DATASETS: tuple[Dataset, ...] = (
    Dataset(
        name="trivia_qa",
        paper_name="TQA",
        tfds="trivia_qa/rc:1.1.0",
        splits={"train": "train[:30000]", "validation": "train[-200:]", "test": "validation"},
        fields=("question", "answer"),
        process=trivia_qa,
        wordings=WORDINGS["trivia_qa"],
        metric_fns=(metrics.trivia_qa,),
        postprocess_fn=postprocess.answers,
        keep=has_answer,
        citation="joshi2017triviaqa",
        files=Files(
            format="json",
            # The patterns of the TFDS builder take the verified questions in twice.
            splits={
                "train": ("web-train.json", "wikipedia-train.json"),
                "validation": (
                    "verified-web-dev.json",
                    "verified-wikipedia-dev.json",
                    "web-dev.json",
                    "wikipedia-dev.json",
                ),
                "test": (
                    "web-test-without-answers.json",
                    "wikipedia-test-without-answers.json",
                ),
            },
            rows=_trivia_qa_rows,
            url="http://nlp.cs.washington.edu/triviaqa/data/triviaqa-rc.tar.gz",
        ),
        note="Targets are normalised: in lower case, without punctuation. A question may come from "
        "the web half and from the Wikipedia half, so many occur twice. The files are those of the "
        "folder 'qa'; the evidence is not read.",
    ),
    Dataset(
        name="natural_questions",
        row_by_row=True,
        paper_name="NQ",
        tfds="natural_questions_open:1.0.0",
        splits={"train": "train[:30000]", "validation": "train[-200:]", "test": "validation"},
        fields=("question", "answer"),
        process=natural_questions,
        wordings=WORDINGS["natural_questions"],
        metric_fns=(metrics.trivia_qa,),
        postprocess_fn=postprocess.answers,
        licence="CC BY-SA 3.0",
        citation="kwiatkowski2019natural",
        files=Files(
            format="jsonl",
            splits={"train": "NQ-open.train.jsonl", "validation": "NQ-open.dev.jsonl"},
            rows=_natural_questions_rows,
            url="https://github.com/google-research-datasets/natural-questions/tree/master/nq_open",
        ),
        note="The open-domain questions of lee2019latent, whose answers have at most five tokens. "
        "The public code appends a question mark even to a question that has one.",
    ),
    _arc_dataset("arc_challenge", "ARC-Challenge"),
    _arc_dataset("arc_easy", "ARC-Easy"),
)
