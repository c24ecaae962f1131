"""The structure-to-text cluster of FLAN 2021: four data sets, all in the form of GEM."""

import functools
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from tasks import metrics, postprocess
from tasks.flan2021.dataset import Dataset, Files, Row
from tasks.flan2021.wordings.structure_to_text import WORDINGS

_SPLITS = {"train": "train[:30000]", "validation": "train[-200:]", "test": "validation"}

# Cells of DART that name a role in the table ('[TITLE]', '[TABLECONTEXT]') and footnote marks.
_BRACKETED = r"\[[^\]]*\]"


def web_nlg(row: Row) -> dict[str, Any]:
    """Joins the triples into one text.

    In {'input': ['Oslo_Airport | cityServed | Oslo', 'Oslo | country | Norway'], 'target': 'Oslo
    Airport serves Oslo, Norway.', 'references': [], ...}, out {'input_string': 'Oslo Airport,
    cityServed, Oslo; Oslo, country, Norway', 'target': 'Oslo Airport serves Oslo, Norway.',
    'answers': ['Oslo Airport serves Oslo, Norway.']}.
    """
    triples = tf.strings.regex_replace(row["input"], "_", " ")
    triples = tf.strings.regex_replace(triples, r"\s*\|\s*", ", ")
    return {"input_string": tf.strings.reduce_join(triples, separator="; "), **_texts(row)}


def common_gen(row: Row) -> dict[str, Any]:
    r"""Joins the concepts in two ways.

    In {'concepts': ['dog', 'run'], 'target': 'A dog runs.', 'references': ['A dog runs.', 'The dog
    ran.'], ...}, out {'concepts': 'dog, run', 'concepts_newline': 'dog\nrun', 'target': 'A dog
    runs.', 'answers': ['A dog runs.', 'The dog ran.']}.
    """
    return {
        "concepts": tf.strings.reduce_join(row["concepts"], separator=", "),
        "concepts_newline": tf.strings.reduce_join(row["concepts"], separator="\n"),
        **_texts(row),
    }


def e2e_nlg(row: Row) -> dict[str, Any]:
    """Writes the attributes with equals signs.

    In {'meaning_representation': 'name[Zizzi], area[city centre]', 'target': 'Zizzi is central.',
    'references': [], ...}, out {'meaning_representation': 'name = Zizzi, area = city centre',
    'target': 'Zizzi is central.', 'answers': ['Zizzi is central.']}.
    """
    attributes = tf.strings.regex_replace(
        row["meaning_representation"], r"\s*\[([^\]]*)\]", r" = \1"
    )
    return {"meaning_representation": attributes, **_texts(row)}


def dart(row: Row) -> dict[str, Any]:
    r"""Joins the triples in two ways, without the cells in brackets.

    In {'tripleset': ['[TABLECONTEXT] CITY Lima', 'Lima AREA 2,672'], 'target': 'Lima has 2,672.',
    'references': [], ...}, out {'tripleset': 'CITY Lima; Lima AREA 2,672', 'tripleset_newline':
    'CITY Lima\nLima AREA 2,672', 'target': 'Lima has 2,672.', 'answers': ['Lima has 2,672.']}.
    """
    triples = tf.strings.regex_replace(row["tripleset"], _BRACKETED, "")
    triples = tf.strings.strip(tf.strings.regex_replace(triples, r"\s+", " "))
    return {
        "tripleset": tf.strings.reduce_join(triples, separator="; "),
        "tripleset_newline": tf.strings.reduce_join(triples, separator="\n"),
        **_texts(row),
    }


def _texts(row: Row) -> dict[str, Any]:
    """Returns the target, and as 'answers' all right texts, each once.

    GEM repeats the target among the references of an evaluation row; a training row has none.
    """
    texts = tf.concat([row["references"], row["target"][tf.newaxis]], axis=0)
    return {"target": row["target"], "answers": tf.unique(texts).y}


# GEM makes a training row of each text, and one evaluation row of all texts of an input. `rows` is
# not told the split, so the file of an evaluation split is named twice: its records come as pairs.


def _web_nlg_rows(record: dict[str, Any] | tuple[dict[str, Any], ...]) -> Iterable[Row]:
    content, is_evaluation = _unpack(record)
    for entry in content["values"]:
        features = {
            "input": entry["input"],
            "category": entry["category"],
            "webnlg_id": entry["webnlg-id"],
        }
        yield from _rows_of_texts(features, entry["target"], is_evaluation)


def _common_gen_rows(record: dict[str, Any] | tuple[dict[str, Any], ...]) -> Iterable[Row]:
    entry, is_evaluation = _unpack(record)
    features = {"concepts": entry["concept_set"].split("#")}
    return _rows_of_texts(features, entry["scene"], is_evaluation)


def _e2e_nlg_rows(record: dict[str, str] | tuple[dict[str, str], ...]) -> Iterable[Row]:
    # GEM doesn't group the texts of an input here: an evaluation row has one.
    entry, is_evaluation = _unpack(record)
    return _rows_of_texts({"meaning_representation": entry["mr"]}, [entry["ref"]], is_evaluation)


def _dart_rows(record: list[dict[str, Any]] | tuple[list[dict[str, Any]], ...]) -> Iterable[Row]:
    entries, is_evaluation = _unpack(record)
    for entry in entries:
        features = {
            "tripleset": [" ".join(triple) for triple in entry["tripleset"]],
            "subtree_was_extended": entry.get("subtree_was_extended", False),
            "target_sources": [annotation["source"] for annotation in entry["annotations"]],
        }
        texts = [annotation["text"] for annotation in entry["annotations"]]
        yield from _rows_of_texts(features, texts, is_evaluation)


def _unpack(record: Any) -> tuple[Any, bool]:
    """Returns the content of a record and whether it is of an evaluation split."""
    return (record[0], True) if isinstance(record, tuple) else (record, False)


def _rows_of_texts(
    features: dict[str, Any], texts: list[str], is_evaluation: bool
) -> Iterable[Row]:
    if is_evaluation:
        return [features | {"target": texts[0] if texts else "", "references": texts}]
    return [features | {"target": text, "references": []} for text in texts]


# What the four data sets have in common.
_gem_dataset = functools.partial(
    Dataset, splits=_SPLITS, metric_fns=(metrics.rouge,), postprocess_fn=postprocess.answers
)

DATASETS: tuple[Dataset, ...] = (
    _gem_dataset(
        name="web_nlg_en",
        row_by_row=True,
        paper_name="WebNLG",
        tfds="gem/web_nlg_en:1.1.0",
        fields=("input_string", "target"),
        process=web_nlg,
        wordings=WORDINGS["web_nlg_en"],
        licence="CC BY-NC-SA 4.0",
        citation="gardent2017creating",
        files=Files(
            format="json",
            splits={"train": "webnlg_en_train.json", "validation": ("webnlg_en_val.json",) * 2},
            rows=_web_nlg_rows,
            url="https://storage.googleapis.com/huggingface-nlp/datasets/gem/gem_web_nlg",
        ),
        note="The files are GEM's, not the XML of the WebNLG challenge.",
    ),
    _gem_dataset(
        name="common_gen",
        row_by_row=True,
        paper_name="CommonGen",
        tfds="gem/common_gen:1.1.0",
        fields=("concepts", "concepts_newline", "target"),
        plain_fields=("concepts",),
        process=common_gen,
        wordings=WORDINGS["common_gen"],
        licence="MIT",
        citation="lin2020commongen",
        files=Files(
            format="jsonl",
            splits={"train": "commongen.train.jsonl", "validation": ("commongen.dev.jsonl",) * 2},
            rows=_common_gen_rows,
            url="https://storage.googleapis.com/huggingface-nlp/datasets/common_gen/"
            "commongen_data.zip",
        ),
    ),
    _gem_dataset(
        name="e2e_nlg",
        row_by_row=True,
        paper_name="E2ENLG",
        tfds="gem/e2e_nlg:1.1.0",
        fields=("meaning_representation", "target"),
        process=e2e_nlg,
        wordings=WORDINGS["e2e_nlg"],
        licence="CC BY-SA 4.0",
        citation="dusek2019semantic",
        files=Files(
            format="csv",
            splits={
                "train": "train-fixed.no-ol.csv",
                "validation": ("devel-fixed.no-ol.csv",) * 2,
            },
            rows=_e2e_nlg_rows,
            url="https://github.com/tuetschek/e2e-cleaning/tree/master/cleaned-data",
        ),
        note="GEM has the cleaned version of the E2E data. Each test row has one reference, "
        "though many rows share their attributes. The original release (novikova2017e2e: "
        "trainset.csv, devset.csv) has the same columns.",
    ),
    _gem_dataset(
        name="dart",
        row_by_row=True,
        paper_name="DART",
        tfds="gem/dart:1.1.0",
        fields=("tripleset", "tripleset_newline", "target"),
        plain_fields=("tripleset",),
        process=dart,
        wordings=WORDINGS["dart"],
        licence="MIT",
        citation="nan2021dart",
        files=Files(
            format="json",
            splits={
                "train": "dart-v1.1.1-full-train.json",
                "validation": ("dart-v1.1.1-full-dev.json",) * 2,
            },
            rows=_dart_rows,
            url="https://github.com/Yale-LILY/dart/tree/master/data/v1.1.1",
        ),
        note="A triple whose subject is a cell in brackets keeps its relation and object only. "
        "DART takes in WebNLG and E2E, whose texts are therefore also here.",
    ),
)
