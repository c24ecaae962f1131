"""The coreference cluster: DPR, Winogrande, WSC and, for evaluation only, WSC273."""

from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

from tasks import metrics, postprocess
from tasks.flan2021.dataset import Dataset, Files, Row
from tasks.flan2021.rows import take_option
from tasks.flan2021.wordings.coreference import WORDINGS

_NO_YES = ("no", "yes")
# Words that, before the place of a candidate, belong to the candidate: the trophy, his son.
_DETERMINERS = frozenset({"a", "an", "her", "his", "my", "the", "their"})
_POSSESSIVE = r"(?i)my|your|his|her|its|our|their"


def definite_pronoun_resolution(row: Row) -> dict[str, Any]:
    """Definite pronoun resolution.

    In {'sentence': 'Ann thanked Sue because she helped.', 'pronoun': 'she', 'candidates': ['Ann',
    'Sue'], 'label': 1}, out {'sentence': 'Ann thanked Sue because she helped.', 'pronoun': 'she',
    'options': ['Ann', 'Sue'], 'answer': 'Sue'}.
    """
    return {
        "sentence": row["sentence"],
        "pronoun": row["pronoun"],
        "options": row["candidates"],
        "answer": take_option(row["candidates"], row["label"]),
    }


def winogrande(row: Row) -> dict[str, Any]:
    """Winogrande as sentence completion: the text is cut at the blank.

    In {'sentence': 'The box fell on the vase, so the _ broke.', 'option1': 'box', 'option2':
    'vase', 'label': 1}, out {'context': 'The box fell on the vase, so the', 'options': ['box
    broke.', 'vase broke.'], 'answer': 'vase broke.'}.
    """
    context = tf.strings.regex_replace(row["sentence"], r"(?s)_.*", "")
    rest = tf.strings.regex_replace(row["sentence"], r"(?s)^[^_]*_", "")
    options = tf.stack([row["option1"] + rest, row["option2"] + rest], axis=-1)
    return {
        "context": tf.strings.strip(context),
        "options": options,
        "answer": take_option(options, row["label"]),
    }


def wsc(row: Row) -> dict[str, Any]:
    """WSC of SuperGLUE, the pronoun put between asterisks and the noun phrase in brackets.

    In {'text': 'Bob said he saw Al, and he waved.', 'span1_index': 4, 'span1_text': 'Al',
    'span2_index': 6, 'span2_text': 'he', 'label': 0, 'idx': 0}, out {'context': 'Bob said he saw
    [Al], and *he* waved.', 'text1': 'Al', 'text2': 'he', 'options': ['no', 'yes'], 'answer':
    'no'}.
    """
    text1 = tf.strings.regex_replace(row["span1_text"], r"\s+", " ")
    text2 = tf.strings.regex_replace(row["span2_text"], r"\s+", " ")
    context = _mark(row["text"], row["span2_index"], text2, r"\1*\2*\3")
    options = tf.constant(_NO_YES)
    return {
        "context": _mark(context, row["span1_index"], text1, r"\1[\2]\3"),
        "text1": text1,
        "text2": text2,
        "options": options,
        "answer": options[row["label"]],
    }


def _mark(text: tf.Tensor, index: tf.Tensor, span: tf.Tensor, rewrite: str) -> tf.Tensor:
    """Returns `text` with marks around `span`, which starts with the word number `index`.

    Some spans differ from the text in case, or end with a full stop that it does not have, and some
    indices are wrong; then the first place of the span in the text is marked.
    """
    span = tf.strings.regex_replace(span, r"\pP+$", "")
    # Words are taken literally; a pronoun inside the noun phrase has its asterisks already.
    words = tf.strings.regex_replace(span, " ", r"\\E\\*?\\s+\\*?\\Q")
    phrase = tf.strings.join([r"(\*?\Q", words, r"\E\*?)([^\pL\pN]|$)"])
    before = tf.strings.join([r"(?i)^((?:\S+\s+){", tf.strings.as_string(index), r"}\pP*?)"])
    marked = tf.strings.regex_replace(text, before + phrase, rewrite)
    anywhere = r"(?i)(^|[^\pL\pN])" + phrase
    first = tf.strings.regex_replace(text, anywhere, rewrite, replace_global=False)
    return tf.where(marked != text, marked, first)


def wsc273(row: Row) -> dict[str, Any]:
    """WSC273 as sentence completion: the text is cut at the pronoun.

    In {'text': 'The box is in the bag, as it is small.', 'pronoun_start': 26, 'pronoun_end': 28,
    'pronoun_text': 'it', 'option1': 'The box', 'option2': 'The bag', 'option1_normalized': 'the
    box', 'option2_normalized': 'the bag', 'label': 0, 'idx': 0}, out {'context': 'The box is in the
    bag, as', 'options': ['the box is small.', 'the bag is small.'], 'answer': 'the box is small.'}.
    """
    # Positions count characters, not bytes.
    start, end = (tf.cast(row[f"pronoun_{side}"], tf.int32) for side in ("start", "end"))
    before = tf.strings.substr(row["text"], 0, start, unit="UTF8_CHAR")
    rest = tf.strings.substr(row["text"], end, 1_000_000, unit="UTF8_CHAR")
    candidates = tf.stack([row["option1_normalized"], row["option2_normalized"]])
    options = tf.where(
        tf.strings.regex_full_match(row["pronoun_text"], _POSSESSIVE),
        tf.strings.regex_replace(candidates, "(?:'s)?$", "'s", replace_global=False),
        candidates,
    )
    options = options + rest
    return {
        "context": tf.strings.strip(before),
        "options": options,
        "answer": options[row["label"]],
    }


def _winogrande_rows(record: Mapping[str, Any]) -> Iterable[Row]:
    """Reads a line of the original files or of MosaicML's winogrande.jsonl."""
    if "context_options" in record:
        before, option1, option2 = _common_start(record["context_options"], frozenset())
        sentence = f"{before} _{_rest(record)}"
        return [
            {"sentence": sentence, "option1": option1, "option2": option2, "label": record["gold"]}
        ]
    row = {name: record[name] for name in ("sentence", "option1", "option2")}
    return [{**row, "label": {"1": 0, "2": 1}.get(record.get("answer", ""), -1)}]


def _wsc_rows(record: Mapping[str, Any]) -> Iterable[Row]:
    # Copies of the set differ in how they write a label: true or "true".
    label = {"true": 1, "false": 0}.get(str(record.get("label")).lower(), -1)
    row = {"text": record["text"], **record["target"], "idx": record["idx"], "label": label}
    return [row]


def _wsc273_rows(record: Mapping[str, Any]) -> Iterable[Row]:
    """Reads a line of MosaicML's winograd_wsc.jsonl, which does not say what the pronoun was."""
    before, option1, option2 = _common_start(record["context_options"], _DETERMINERS)
    return [
        {
            "text": before + _rest(record),
            "pronoun_start": len(before),
            "pronoun_end": len(before),
            "pronoun_text": "",
            "option1": option1,
            "option1_normalized": option1,
            "option2": option2,
            "option2_normalized": option2,
            "label": record["gold"],
            "idx": -1,
        }
    ]


def _common_start(texts: tuple[str, str], determiners: frozenset[str]) -> tuple[str, str, str]:
    """Splits two texts that differ in their end into what they share and the two ends.

    >>> _common_start(("It hit the cat", "It hit the dog"), frozenset({"the"}))
    ('It hit', 'the cat', 'the dog')
    """
    first, second = (text.split(" ") for text in texts)
    shared = 0
    # Each end keeps a word at least.
    while shared < min(len(first), len(second)) - 1 and first[shared] == second[shared]:
        shared += 1
    while shared and first[shared - 1].lower() in determiners:
        shared -= 1
    return " ".join(first[:shared]), " ".join(first[shared:]), " ".join(second[shared:])


def _rest(record: Mapping[str, Any]) -> str:
    """Returns what comes after the candidate, with the blank before it if it has one."""
    rest = record["continuation"]
    return f" {rest}" if rest[0].isalnum() or rest[0] == '"' else rest


DATASETS = (
    Dataset(
        name="definite_pronoun_resolution",
        paper_name="DPR",
        tfds="definite_pronoun_resolution:1.1.0",
        splits={"train": "train[:-200]", "validation": "train[-200:]", "test": "test"},
        fields=("sentence", "pronoun", "answer"),
        process=definite_pronoun_resolution,
        row_options=True,
        wordings=WORDINGS["definite_pronoun_resolution"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        citation="rahman2012resolving",
        note="Where the pronoun comes more than once, its first occurrence is meant. The original "
        "files give five lines to an example.",
    ),
    Dataset(
        name="winogrande",
        paper_name="Winogrande",
        tfds="winogrande:1.2.0",
        splits={
            "train": "train_xl[:30000]",
            "validation": "train_xl[-200:]",
            "test": "validation",
        },
        fields=("context", "answer"),
        process=winogrande,
        row_options=True,
        wordings=WORDINGS["winogrande"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        licence="CC BY",
        citation="sakaguchi2020winogrande",
        files=Files(
            format="jsonl",
            splits={
                "train_xl": "train_xl.jsonl",
                "validation": "dev.jsonl",
                "test": "test.jsonl",
            },
            rows=_winogrande_rows,
            url="https://winogrande.allenai.org/",
        ),
        note="The public code pinned version 1.1.0, which TFDS 4.9.10 does not have.",
    ),
    Dataset(
        name="wsc",
        row_by_row=True,
        paper_name=None,
        tfds="super_glue/wsc:1.0.2",
        splits={"train": "train[:-50]", "validation": "train[-50:]", "test": "validation"},
        fields=("context", "text1", "text2", "answer"),
        process=wsc,
        options=_NO_YES,
        wordings=WORDINGS["wsc"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        licence="CC BY 4.0",
        citation="levesque2012winograd",
        files=Files(
            format="jsonl",
            splits={"train": "train.jsonl", "validation": "val.jsonl", "test": "test.jsonl"},
            rows=_wsc_rows,
            url="https://super.gluebenchmark.com/tasks",
        ),
        note="The text shows the pronoun between asterisks and the noun phrase in square brackets, "
        "because either may come more than once. FLAN 2021 shows the bare text and names the two "
        "in the wording; Flan 2022 marks the pronoun and takes super_glue/wsc.fixed. The paper has "
        "WSC273 instead.",
    ),
    Dataset(
        name="wsc273",
        row_by_row=True,
        paper_name="WSC273",
        tfds="wsc273:1.0.0",
        splits={"test": "test"},
        fields=("context", "answer"),
        process=wsc273,
        row_options=True,
        wordings=WORDINGS["wsc273"],
        metric_fns=(metrics.accuracy,),
        postprocess_fn=postprocess.strip,
        licence="CC BY 4.0",
        citation="levesque2012winograd",
        files=Files(
            format="jsonl",
            splits={"test": "winograd_wsc.jsonl"},
            rows=_wsc273_rows,
            url="https://github.com/mosaicml/llm-foundry/tree/main/scripts/eval/local_data",
        ),
        note="Evaluation only. A candidate put in the place of a possessive pronoun takes 's, and "
        "the blank before what comes after is that of the text; the public code does neither. The "
        "original file is XML; ours is MosaicML's copy, where the pronoun is lost.",
    ),
)
