"""A task module for tests of `flan-jax prepare`, in this process and in workers.

What it registers depends on a JSON file named by an environment variable, so that tests can change
the templates, the rows or the vocabulary between two runs.
"""

import functools
import json
import os

import numpy as np
import seqio

from flan_jax import testing
from flan_jax.prompts import Template, TemplateSet
from tasks.registration import TOKENIZE, ColumnSource, add_mixture

VARIABLE = "FLAN_JAX_TEST_PREPARE"
DEFAULTS = {
    "rows": 40,
    "second": "What is two times {number}?",
    "first_answer": "0",
    "extra_ids": 0,
    "fail": False,
    "tasks": ["p_templates", "p_one", "p_stream"],
}


@functools.cache
def vocabulary(extra_ids):
    """One for all registrations: what is traced for a vocabulary is traced once."""
    return seqio.ByteVocabulary(extra_ids=extra_ids)


def make_columns(count, first_answer, split):
    del split
    return {
        "number": [str(i) for i in range(count)],
        "answer": [first_answer, *(str(2 * i) for i in range(1, count))],
        "index": np.arange(count),
    }


def settings():
    path = os.environ.get(VARIABLE)
    given = {}
    if path:
        with open(path) as file:
            given = json.load(file)
    return DEFAULTS | given


def register():
    given = settings()
    bytes_of = vocabulary(given["extra_ids"])
    feature = seqio.Feature(bytes_of, add_eos=True)
    columns = functools.partial(make_columns, given["rows"], given["first_answer"])

    for name, texts in (
        ("p_templates", ("Double {number}.", given["second"], "{number} twice is")),
        ("p_one", ("Twice {number}?",)),
    ):
        templates = TemplateSet(
            name,
            [Template(text, "{answer}", f"{name}_{i}") for i, text in enumerate(texts)],
            fields=("number", "answer"),
            target_fields=("answer",),
        )
        seqio.TaskRegistry.remove(name)
        seqio.TaskRegistry.add(
            name,
            source=ColumnSource(name, columns, ["train"]),
            preprocessors=[templates.as_preprocessor(), TOKENIZE],
            output_features={"inputs": feature, "targets": feature},
        )
    rows = testing.toy_rows(7, seed=3)
    testing.register_toy_task("p_stream", rows=rows, vocabulary=bytes_of, source="tensor")
    if given["fail"]:
        broken = seqio.TaskRegistry.get("p_one")
        source = ColumnSource(
            "p_one", lambda split: {"number": ["1", "2"], "index": [0, 1]}, ["train"]
        )
        seqio.TaskRegistry.remove("p_one")
        seqio.TaskRegistry.add(
            "p_one",
            source=source,
            preprocessors=broken.preprocessors,
            output_features=broken.output_features,
        )
    add_mixture("p_all", dict.fromkeys(given["tasks"], 1.0))
