"""Clusters of one kind of data: math, conversational QA, word sense, acceptability, questions."""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tasks import metrics, postprocess
from tasks.flan2021.dataset import Dataset, Files, Row
from tasks.flan2021.wordings.miscellaneous import WORDINGS

_WIC_OPTIONS = ("different meanings", "the same meaning")
_COLA_OPTIONS = ("unacceptable", "acceptable")
_TREC_OPTIONS = ("description", "entity", "abbreviation", "human", "numeric", "location")

_QUAC_ANSWER = ("text", "answer_start")
# Feature in TFDS -> key in the file.
_COQA_ANSWER = {
    "input_text": "input_text",
    "answer_start": "span_start",
    "answer_end": "span_end",
}
# The order of the labels' numbers in TFDS.
_TREC_COARSE = ("DESC", "ENTY", "ABBR", "HUM", "NUM", "LOC")
_TREC_FINE = tuple(
    "manner cremat animal exp ind gr title def date reason event state desc count other letter "
    "religion food country color termeq city body dismed mount money product period substance "
    "sport plant techmeth volsize instru abb speed word lang perc code dist temp symbol ord veh "
    "weight currency".split()
)


def math_dataset(row: Row) -> dict[str, Any]:
    """In {'question': 'Solve 2*x = 6 for x.', 'answer': '3'}, out the same."""
    return {"question": row["question"], "answer": row["answer"]}


def quac(row: Row) -> dict[str, Any]:
    """Takes the answer given in the conversation; all annotators' answers are references.

    In {'title': 'Ada', 'background': 'A poet.', 'context': 'She wrote. CANNOTANSWER', 'question':
    'Did she?', 'orig_answer': {'text': 'wrote', ...}, 'answers': {'text': ['She wrote', 'wrote'],
    ...}, ...}, out {'title': 'Ada', 'background': 'A poet.', 'context': 'She wrote. CANNOTANSWER',
    'question': 'Did she?', 'answer': 'wrote', 'answers': ['wrote', 'She wrote']}.
    """
    answer = row["orig_answer"]["text"]
    return {
        **{name: row[name] for name in ("title", "background", "context", "question")},
        "answer": answer,
        "answers": tf.unique(tf.concat([[answer], row["answers"]["text"]], axis=0)).y,
    }


def coqa(row: Row) -> dict[str, Any]:
    r"""Numbers all questions of a conversation, and all answers, in one text each.

    In {'story': 'A red cat.', 'questions': ['Which animal?', 'And its colour?'], 'answers':
    {'input_text': ['a cat', 'red'], ...}, ...}, out {'text': 'A red cat.', 'numbered_questions':
    '1. Which animal?\n2. And its colour?', 'numbered_answers': '1. a cat\n2. red'}.
    """
    return {
        "text": row["story"],
        "numbered_questions": _numbered(row["questions"]),
        "numbered_answers": _numbered(row["answers"]["input_text"]),
    }


def _numbered(texts: Any) -> Any:
    texts = tf.strings.strip(texts)  # A newline at the end of an item would leave an empty line.
    numbers = tf.strings.as_string(tf.range(1, tf.size(texts) + 1))
    return tf.strings.reduce_join(tf.strings.join([numbers, ". ", texts]), separator="\n")


def classify(
    row: Row, texts: Sequence[str], options: Sequence[str], label: str = "label"
) -> dict[str, Any]:
    """Keeps `texts`; the answer is the option at the label's place.

    In {'sentence': 'Him sleep.', 'label': 0, 'idx': 7} with the text 'sentence' and the options
    ('unacceptable', 'acceptable'), out {'sentence': 'Him sleep.', 'options': ['unacceptable',
    'acceptable'], 'answer': 'unacceptable'}.
    """
    return {
        **{text: row[text] for text in texts},
        "options": tf.constant(options),
        "answer": tf.gather(tf.constant(options), row[label]),
    }


def quac_rows(value: Mapping[str, Any]) -> Iterable[Row]:
    """QuAC's file, a JSON value: a row per question."""
    for article in value["data"]:
        of_article = {name: article[name] for name in ("title", "section_title", "background")}
        for paragraph in article["paragraphs"]:
            for turn in paragraph["qas"]:
                yield {
                    **of_article,
                    "context": paragraph["context"],
                    **{name: turn[name] for name in ("question", "followup", "yesno")},
                    "answers": {
                        name: [answer[name] for answer in turn["answers"]] for name in _QUAC_ANSWER
                    },
                    "orig_answer": {name: turn["orig_answer"][name] for name in _QUAC_ANSWER},
                }


def coqa_rows(value: Mapping[str, Any]) -> Iterable[Row]:
    """CoQA's file, a JSON value: a row per conversation."""
    for conversation in value["data"]:
        yield {
            "source": conversation["source"],
            "story": conversation["story"],
            "questions": [question["input_text"] for question in conversation["questions"]],
            "answers": {
                feature: [answer[key] for answer in conversation["answers"]]
                for feature, key in _COQA_ANSWER.items()
            },
        }


def wic_rows(record: Mapping[str, Any]) -> Iterable[Row]:
    """A line of SuperGLUE's `<split>.jsonl`, whose test rows have no label.

    Labels are JSON's true and false, and in some copies the strings of these names.
    """
    names = ("word", "sentence1", "sentence2", "start1", "start2", "end1", "end2", "idx")
    label = ("false", "true").index(str(record["label"]).lower()) if "label" in record else -1
    yield {**{name: record[name] for name in names}, "label": label}


def cola_rows(record: Mapping[str, str]) -> Iterable[Row]:
    """A line of GLUE's `train.tsv` or `dev.tsv`. These have no index, so the row has no 'idx'."""
    yield {"sentence": record["sentence"], "label": int(record["label"])}


def trec_rows(line: str) -> Iterable[Row]:
    """A line 'COARSE:fine question'.

    The training file is ASCII but for one stray byte between two words; whatever it was decoded
    to, a blank is put in its place, as TFDS does.
    """
    labels, _, text = re.sub(r"[^\x00-\x7f]+", " ", line).strip().partition(" ")
    coarse, _, fine = labels.partition(":")
    yield {
        "label-coarse": _TREC_COARSE.index(coarse),
        "label-fine": _TREC_FINE.index(fine),
        "text": text,
    }


DATASETS: tuple[Dataset, ...] = (
    Dataset(
        name="math_dataset",
        paper_name="Math",
        tfds="math_dataset/algebra__linear_1d:1.0.0",
        splits={"train": "train[:30000]", "validation": "train[-200:]", "test": "test"},
        fields=("question", "answer"),
        process=math_dataset,
        wordings=WORDINGS["math_dataset"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        licence="Apache-2.0",
        citation="saxton2019analysing",
        note="One of the 56 modules, linear equations in one unknown. The test split is the "
        "interpolation set.",
    ),
    Dataset(
        name="quac",
        row_by_row=True,
        paper_name="QuAC",
        tfds="quac:1.0.0",
        splits={"train": "train[:30000]", "validation": "train[-200:]", "test": "validation"},
        fields=("title", "background", "context", "question", "answer"),
        process=quac,
        wordings=WORDINGS["quac"],
        metric_fns=(metrics.trivia_qa,),
        postprocess_fn=postprocess.answers,
        licence="CC BY-SA 4.0",
        citation="choi2018quac",
        files=Files(
            format="json",
            splits={"train": "train_v0.2.json", "validation": "val_v0.2.json"},
            rows=quac_rows,
            url="https://quac.ai/",
        ),
        note="Each question stands alone, without the turns before it, which it may refer to. A "
        "context ends in CANNOTANSWER, the answer to questions that it leaves open. Scored "
        "against the answers of all annotators; the public code has the first one only, as a text "
        "where its metric expects a list.",
    ),
    Dataset(
        name="coqa",
        row_by_row=True,
        paper_name="CoQA",
        tfds="coqa:1.0.0",
        splits={"train": "train[:-100]", "validation": "train[-100:]", "test": "test"},
        fields=("text", "numbered_questions", "numbered_answers"),
        process=coqa,
        wordings=WORDINGS["coqa"],
        metric_fns=(metrics.squad,),
        postprocess_fn=postprocess.strip,
        licence="by source: CC BY-SA 4.0 (literature, Wikipedia), MSR-LA (children's stories), "
        "RACE's own (exams), Apache (news)",
        citation="reddy2019coqa",
        files=Files(
            format="json",
            # TFDS calls the development set 'test'.
            splits={"train": "coqa-train-v1.0.json", "test": "coqa-dev-v1.0.json"},
            rows=coqa_rows,
            url="https://stanfordnlp.github.io/coqa/",
        ),
        note="An example is a whole conversation, all questions and all answers numbered; scores "
        "are of that text and not comparable with CoQA's leaderboard.",
    ),
    Dataset(
        name="wic",
        paper_name="WIC",
        tfds="super_glue/wic:1.0.2",
        splits={"train": "train[:-200]", "validation": "train[-200:]", "test": "validation"},
        fields=("sentence1", "sentence2", "word", "answer"),
        options=_WIC_OPTIONS,
        process=functools.partial(
            classify, texts=("sentence1", "sentence2", "word"), options=_WIC_OPTIONS
        ),
        wordings=WORDINGS["wic"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        licence="CC BY-NC 4.0",
        citation="pilehvar2019wic",
        files=Files(
            format="jsonl",
            splits={"train": "train.jsonl", "validation": "val.jsonl", "test": "test.jsonl"},
            rows=wic_rows,
            url="https://dl.fbaipublicfiles.com/glue/superglue/data/v2/WiC.zip",
        ),
    ),
    Dataset(
        name="cola",
        paper_name="CoLA",
        tfds="glue/cola:2.0.0",
        splits={"train": "train[:-200]", "validation": "train[-200:]", "test": "validation"},
        fields=("sentence", "answer"),
        options=_COLA_OPTIONS,
        process=functools.partial(classify, texts=("sentence",), options=_COLA_OPTIONS),
        wordings=WORDINGS["cola"],
        metric_fns=(metrics.accuracy, metrics.matthews(_COLA_OPTIONS)),
        postprocess_fn=postprocess.strip,
        citation="warstadt2019neural",
        files=Files(
            format="tsv",
            # The test file has other columns, and no labels.
            splits={"train": "train.tsv", "validation": "dev.tsv"},
            columns=("source", "label", "authors_mark", "sentence"),
            rows=cola_rows,
            quoted=False,
            url="https://dl.fbaipublicfiles.com/glue/data/CoLA.zip",
        ),
        note="The public code pins no version and reports accuracy without Matthews correlation, "
        "CoLA's own metric.",
    ),
    Dataset(
        name="trec",
        paper_name="TREC",
        tfds="trec:1.0.0",
        splits={"train": "train[:-200]", "validation": "train[-200:]", "test": "test"},
        fields=("text", "answer"),
        options=_TREC_OPTIONS,
        process=functools.partial(
            classify, texts=("text",), options=_TREC_OPTIONS, label="label-coarse"
        ),
        wordings=WORDINGS["trec"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        citation="li2002learning",
        files=Files(
            format="lines",
            splits={"train": "train_5500.label", "test": "TREC_10.label"},
            rows=trec_rows,
            encoding="iso-8859-1",
            url="https://cogcomp.seas.upenn.edu/Data/QA/QC/",
        ),
    ),
)
