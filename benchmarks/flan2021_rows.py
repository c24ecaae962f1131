"""Made-up rows in the files of ten FLAN 2021 data sets, texts as long as the real ones' are.

Lengths in characters are means over the real files, rounded.
"""

import json
import pathlib
import random
from collections.abc import Callable
from typing import Any

_WORDS = (
    "the of and to in is was that for it on with as his be at by had not are but from or have they "
    "which one you were her all she there would their we him been has when who will more no if out "
    "so said what up its about into than them can only other new some could time these two may then"
).split()


class Writer:
    """Writes random text of about a length."""

    def __init__(self, seed: int):
        self._draw = random.Random(seed)

    def text(self, characters: int) -> str:
        """Returns a sentence of words, its length within 40% of `characters`."""
        wanted = characters * self._draw.uniform(0.6, 1.4)
        words: list[str] = []
        size = 0
        while size < wanted:
            words.append(self._draw.choice(_WORDS))
            size += len(words[-1]) + 1
        return " ".join(words).capitalize() + "."

    def number(self, count: int) -> int:
        """Returns a number in [0, count)."""
        return self._draw.randrange(count)


def _pair(premise: int, hypothesis: int, labels: tuple[Any, ...]) -> Callable[[Writer, int], Any]:
    return lambda w, i: {
        "premise": w.text(premise),
        "hypothesis": w.text(hypothesis),
        "label": labels[w.number(len(labels))],
        "idx": i,
    }


def _wic(w: Writer, i: int) -> Any:
    return {
        "word": "time",
        "sentence1": w.text(45) + " time",
        "sentence2": w.text(45) + " time",
        "label": bool(w.number(2)),
        "idx": i,
        "start1": 0, "end1": 4, "start2": 0, "end2": 4, "version": 1.1,
    }  # fmt: skip


def _anli(w: Writer, i: int) -> Any:
    return {
        "uid": str(i),
        "context": w.text(330),
        "hypothesis": w.text(60),
        "label": "enc"[w.number(3)],
        "reason": "",
    }


def _copa(w: Writer, i: int) -> Any:
    return {
        "premise": w.text(35), "choice1": w.text(30), "choice2": w.text(30),
        "question": ("cause", "effect")[w.number(2)], "label": w.number(2), "idx": i,
    }  # fmt: skip


def _winogrande(w: Writer, i: int) -> Any:
    return {
        "qID": str(i), "sentence": f"{w.text(60)[:-1]} _ {w.text(40)}", "option1": "Ann",
        "option2": "Sue", "answer": str(1 + w.number(2)),
    }  # fmt: skip


def _bool_q(w: Writer, i: int) -> Any:
    return {
        "question": w.text(45)[:-1].lower(), "passage": f"{w.text(15)} -- {w.text(600)}",
        "label": bool(w.number(2)), "idx": i,
    }  # fmt: skip


def _ag_news(w: Writer, i: int) -> str:
    return f'"{1 + w.number(4)}","{w.text(45)}","{w.text(190)}"'


def _trec(w: Writer, i: int) -> str:
    label = ("DESC:def", "ENTY:animal", "ABBR:exp", "HUM:ind", "NUM:date", "LOC:city")[w.number(6)]
    return f"{label} {w.text(50)}"


def _snli(w: Writer, i: int) -> Any:
    return {
        "gold_label": ("entailment", "neutral", "contradiction")[w.number(3)],
        "sentence1": w.text(70), "sentence2": w.text(38),
    }  # fmt: skip


# Data set -> (file of its training split, a record).
_MAKERS: dict[str, tuple[str, Callable[[Writer, int], Any]]] = {
    "rte": ("train.jsonl", _pair(310, 55, ("entailment", "not_entailment"))),
    "cb": ("train.jsonl", _pair(330, 45, ("entailment", "contradiction", "neutral"))),
    "wic": ("train.jsonl", _wic),
    "copa": ("train.jsonl", _copa),
    "bool_q": ("train.jsonl", _bool_q),
    "anli_r1": ("train.jsonl", _anli),
    "snli": ("snli_1.0_train.jsonl", _snli),
    "winogrande": ("train_xl.jsonl", _winogrande),
    "ag_news_subset": ("train.csv", _ag_news),
    "trec": ("train_5500.label", _trec),
}
NAMES = tuple(_MAKERS)


def write_files(folder: pathlib.Path, rows: int, seed: int = 0) -> dict[str, str]:
    """Writes `rows` training rows of each data set; returns data set -> its folder."""
    for number, (name, (file, make)) in enumerate(_MAKERS.items()):
        writer = Writer(1000 * seed + number)
        records = [make(writer, i) for i in range(rows)]
        lines = [one if isinstance(one, str) else json.dumps(one) for one in records]
        path = folder / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return {name: str(folder / name) for name in NAMES}
