"""The block that lists the possible answers: FLAN 2021's fixed form, Flan 2022's many forms.

FLAN 2021 (arXiv 2109.01652, section 2.3) ends a classification prompt with the class names, since
free text spreads probability over many ways to say the same class. Flan 2022 draws the heading, the
mark before each option and its end for each example, and where the marks are labels the label
becomes the answer.
"""

import dataclasses
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flan_jax.errors import ConfigError
from flan_jax.prompts import choice

# Labels are made for so many options; longer lists are rendered in the fixed form.
MOST_LABELLED = 26
FIXED_HEADING = "OPTIONS:"


@dataclasses.dataclass(frozen=True)
class Marks:
    """What stands before each option.

    Attributes:
      texts: text before option i; its first character, a newline or a blank, parts the option from
        what came before. A single one serves any number of options.
      labels: what the answer becomes; none when the options are not labelled.
    """

    texts: tuple[str, ...]
    labels: tuple[str, ...] = ()

    def text(self, i: int) -> str:
        """Returns the text before option number `i`."""
        return self.texts[min(i, len(self.texts) - 1)]


FIXED_MARKS = Marks(("\n- ",))


def _roman(number: int) -> str:
    digits = (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")
    text = ""
    for value, digit in digits:
        text += digit * (number // value)
        number %= value
    return text


def _labelled() -> tuple[Marks, ...]:
    numbers = range(1, MOST_LABELLED + 1)
    series = (
        tuple(string.ascii_uppercase),
        tuple(string.ascii_lowercase),
        tuple(str(n) for n in numbers),
        tuple(_roman(n).upper() for n in numbers),
        tuple(_roman(n) for n in numbers),
    )
    made = []
    for break_ in ("\n", " "):
        for left, right in (("(", ")"), ("[", "]"), ("", ")"), ("", ".")):
            for labels in series:
                shown = tuple(left + label + right for label in labels)
                made.append(Marks(tuple(f"{break_}{label} " for label in shown), shown))
    return tuple(made)


def _bulleted() -> tuple[Marks, ...]:
    newline = tuple(Marks((f"\n{sign} ",)) for sign in ("-", "--", "+", "*", "[+]", "[-]", "="))
    inline = tuple(Marks((f" {sign} ",)) for sign in ("-", "--", "+", "*", "/", "[+]"))
    return newline + inline


# The kinds of Flan 2022's candidates (marks: signs and five series of labels, on lines of their own
# or in one line; ends: none, semicolon, full stop); the headings are ours.
HEADINGS = (
    "",
    FIXED_HEADING,
    "Options:",
    "OPTIONS",
    "Choices:",
    "CHOICES:",
    "Possible answers:",
    "Available answers:",
    "Answer with one of these:",
    "Pick one:",
    "Choose one:",
    "Select one:",
    "One of these is right:",
    "The candidates:",
    "Candidates:",
    "Your options are:",
)
MARKS = _bulleted() + _labelled()
ENDS = ("", ";", ".")


class OptionsRenderer:
    """Renders options, each example in one of the forms.

    Args:
      headings: first lines; '' for none.
      marks: what stands before the options.
      ends: what stands after each option.
      seed: heading, marks and end of an example are drawn, each for itself, by (seed, index).

    Raises:
      ConfigError: one of the three is empty.
    """

    def __init__(
        self,
        headings: Sequence[str] = (FIXED_HEADING,),
        marks: Sequence[Marks] = (FIXED_MARKS,),
        ends: Sequence[str] = ("",),
        seed: int = 0,
    ):
        for name, value in (("headings", headings), ("marks", marks), ("ends", ends)):
            if not value:
                raise ConfigError(f"OptionsRenderer: {name} is empty; give at least one.")
        self.headings = tuple(headings)
        self.marks = tuple(marks)
        self.ends = tuple(ends)
        self._seeds = tuple(choice.seed_state(seed) ^ salt for salt in (0, 1, 2))

    @classmethod
    def random(cls, seed: int = 0) -> "OptionsRenderer":
        """Returns the renderer of Flan 2022's kind: all headings, marks and ends."""
        return cls(HEADINGS, MARKS, ENDS, seed)

    def render(self, options: Sequence[str], answer: str, index: int) -> dict[str, Any]:
        r"""Renders one example in Python.

        In ['no', 'yes'], 'yes', out for the fixed form {'options_': 'OPTIONS:\n- no\n- yes',
        'answer': 'yes', 'answer_index': 1}; for a form with labels {'options_': 'Choices:\n(A)
        no\n(B) yes', 'answer': '(B)', 'answer_index': 1}. An answer that is not among the options
        stays as it is, with index -1.
        """
        heading, marks, end = (
            table[choice.choose(seed, index, len(table))]
            for seed, table in zip(self._seeds, self._tables, strict=True)
        )
        if len(options) > MOST_LABELLED:
            marks = FIXED_MARKS
        block = "".join(marks.text(i) + option + end for i, option in enumerate(options))
        # Without a heading there is nothing that the first mark's break could part.
        block = heading + block if heading else block[1:]
        at = options.index(answer) if answer in options else -1
        if at >= 0 and marks.labels:
            answer = marks.labels[at]
        return {"options_": block, "answer": answer, "answer_index": at}

    @property
    def _tables(self) -> tuple[Sequence[Any], ...]:
        return self.headings, self.marks, self.ends

    def as_preprocessor(self, index_field: str = "index") -> Callable[[Any], Any]:
        r"""Returns a seqio preprocessor that renders each example's options.

        In {'options': ['no', 'yes'], 'answer': 'yes', 'index': 7}, out the same plus the scalar
        string 'options_' ('OPTIONS:\n- no\n- yes') and int32 'answer_index' (1); 'answer' becomes
        the label where the form has labels. Equal to `render(options, answer, 7)`.
        """

        def preprocess(dataset):
            from flan_jax.prompts import graph

            render = self._compile(index_field)
            return dataset.map(render, num_parallel_calls=graph.AUTOTUNE)

        return preprocess

    def _compile(self, index_field: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        import tensorflow as tf

        from flan_jax.prompts import graph

        width = max(len(marks.texts) for marks in self.marks)
        # The fixed marks come last, for lists too long for labels.
        rows = [*self.marks, FIXED_MARKS]
        texts = [[marks.text(i) for i in range(width)] for marks in rows]
        labels = [list(marks.labels) or [""] * MOST_LABELLED for marks in rows]

        def render(example):
            options, answer = example["options"], example["answer"]
            heading, which, end = (
                graph.choose(seed, example[index_field], len(table))
                for seed, table in zip(self._seeds, self._tables, strict=True)
            )
            count = tf.size(options)
            which = tf.where(count > MOST_LABELLED, tf.constant(len(self.marks), tf.int64), which)
            # Options beyond a row's marks, which only rows of equal marks have, repeat the last.
            places = tf.minimum(tf.range(count), width - 1)
            before = tf.gather(tf.gather(tf.constant(texts), which), places)
            items = tf.strings.join([before, options, tf.gather(tf.constant(self.ends), end)])
            block = tf.strings.reduce_join(items)
            heading = tf.gather(tf.constant(self.headings), heading)
            without = tf.strings.substr(block, 1, tf.maximum(tf.strings.length(block) - 1, 0))
            equal = tf.equal(options, answer)
            known = tf.reduce_any(equal)
            at = tf.where(known, tf.argmax(tf.cast(equal, tf.int32), output_type=tf.int32), -1)
            row = tf.gather(tf.constant(labels), which)
            label = tf.gather(row, tf.clip_by_value(at, 0, MOST_LABELLED - 1))
            labelled = known & (tf.strings.length(label) > 0)
            return {
                **example,
                "options_": tf.where(heading == "", without, heading + block),
                "answer": tf.where(labelled, label, answer),
                "answer_index": at,
            }

        return render
