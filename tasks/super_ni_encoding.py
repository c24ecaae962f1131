"""Tk-Instruct's prompt encodings of Super-NaturalInstructions.

The source text is definition + positive examples + negative examples + task input, joined by
nothing (arXiv 2204.07705, section 4.1 and its released code). With definition and one positive
example it reads

    Definition: Add the numbers.

     Positive Example 1 -
    Input: 1 2.
     Output: 3.

    Now complete the following example -
    Input: 4 5.
    Output:

where the last line ends in one blank. T5's vocabulary reads a newline as a blank.
"""

import dataclasses
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flan_jax.errors import NotFoundError, suggest
from flan_jax.prompts import choose, text_index
from tasks.super_ni_files import Demonstration

_SALT = 0x5EED


@dataclasses.dataclass(frozen=True)
class Encoding:
    """What a prompt shows besides the input."""

    definition: bool
    positive: int
    negative: int = 0
    explanation: bool = False


ENCODINGS: Mapping[str, Encoding] = {
    "input_only": Encoding(False, 0),
    "def": Encoding(True, 0),
    "pos_1": Encoding(False, 1),
    "pos_2": Encoding(False, 2),
    "pos_4": Encoding(False, 4),
    "def_pos_1": Encoding(True, 1),
    "def_pos_2": Encoding(True, 2),
    "def_pos_4": Encoding(True, 4),
    "def_pos_2_neg_2": Encoding(True, 2, 2),
    "def_pos_2_neg_2_expl": Encoding(True, 2, 2, True),
    "def_pos_2_expl": Encoding(True, 2, 0, True),
}
MIXED = "mixed"
# Tk-Instruct's mixed mode draws evenly among these for each training instance.
MIXED_ENCODINGS = ("def", "pos_2", "def_pos_2", "def_pos_2_neg_2", "def_pos_2_expl")


def candidates(encoding: str) -> tuple[Encoding, ...]:
    """Returns the encodings a name stands for: one, or the five of 'mixed'.

    Raises:
      NotFoundError: unknown name, with the nearest ones.
    """
    if encoding == MIXED:
        return tuple(ENCODINGS[name] for name in MIXED_ENCODINGS)
    if encoding not in ENCODINGS:
        known = [*ENCODINGS, MIXED]
        raise NotFoundError(
            f"tasks.SuperNI.encoding is {encoding!r}; the encodings are {known}."
            + suggest(encoding, known)
        )
    return (ENCODINGS[encoding],)


def pick(encodings: Sequence[Encoding], seed: int, instance_id: str) -> Encoding:
    """Returns the encoding of one instance, drawn evenly by (seed, id)."""
    return encodings[choose(seed ^ _SALT, text_index(instance_id), len(encodings))]


def definition_text(definition: str) -> str:
    r"""Returns the definition part.

    >>> definition_text(" Add the numbers ")
    'Definition: Add the numbers.\n\n'
    """
    return _close("Definition: " + definition.strip()) + "\n\n"


def example_text(example: Demonstration, number: int, kind: str, explain: bool) -> str:
    r"""Returns one example's part; `kind` is 'Positive' or 'Negative', `number` counts from 1.

    >>> example_text(Demonstration("1 2", "3", "It adds."), 1, "Positive", explain=True)
    ' Positive Example 1 -\nInput: 1 2.\n Output: 3.\n Explanation: It adds.\n\n'
    """
    text = f" {kind} Example {number} -\n"
    text = _close(f"{text}Input: {example.input.strip()}") + "\n"
    text = _close(f"{text} Output: {example.output.strip()}") + "\n"
    if explain and example.explanation is not None:
        text = _close(f"{text} Explanation: {example.explanation.strip()}") + "\n"
    return text + "\n"


def input_text(task_input: str) -> str:
    r"""Returns the part that asks for the output.

    >>> input_text("4 5")
    'Now complete the following example -\nInput: 4 5.\nOutput: '
    """
    lead = "Now complete the following example -\n"
    return _close(f"{lead}Input: {task_input.strip()}") + "\nOutput: "


def _close(text: str) -> str:
    return text if text.endswith(tuple(string.punctuation)) else text + "."


def fit_examples(limit_of: str = "inputs") -> Callable[..., Any]:
    r"""Returns the seqio preprocessor that assembles the prompt from its parts.

    It drops whole examples, the last first, until the prompt fits into the length of the feature
    `limit_of`: positive ones are taken while they fit, then negative ones. Lengths are sums of the
    parts' token counts, plus one for EOS. That equals the count of the whole text for vocabularies
    whose pieces do not cross blanks (T5's) and for bytes, since every part ends where a blank does.

    In, per row: strings definition, task_input, positive [P], negative [N]; int32
    definition_tokens, task_input_tokens, positive_tokens [P], negative_tokens [N], positive_count,
    negative_count (how many of P and N are real). Out: those replaced by string `inputs` and int32
    `positive_used`, `negative_used`, `examples_dropped`; other features pass through. For instance
    a definition of 5 tokens, two positive examples of 20 each, a task_input of 15 and a limit of 45
    give positive_used 1, negative_used 0, examples_dropped 1.
    """

    def preprocess(dataset, sequence_length: Mapping[str, int] | None = None):
        import tensorflow as tf

        limit = (sequence_length or {}).get(limit_of)

        def taken(base, lengths, count):
            totals = base + tf.cumsum(lengths)
            real = tf.range(tf.size(lengths)) < count
            fits = real if limit is None else real & (totals <= limit)
            return tf.reduce_sum(tf.cast(fits, tf.int32))

        def assemble(row):
            base = row["definition_tokens"] + row["task_input_tokens"] + 1
            positive = taken(base, row["positive_tokens"], row["positive_count"])
            base += tf.reduce_sum(row["positive_tokens"][:positive])
            negative = taken(base, row["negative_tokens"], row["negative_count"])
            text = tf.strings.join(
                [
                    row["definition"],
                    tf.strings.reduce_join(row["positive"][:positive]),
                    tf.strings.reduce_join(row["negative"][:negative]),
                    row["task_input"],
                ]
            )
            available = row["positive_count"] + row["negative_count"]
            kept = {key: value for key, value in row.items() if key not in PART_FEATURES}
            return {
                **kept,
                "inputs": text,
                "positive_used": positive,
                "negative_used": negative,
                "examples_dropped": available - positive - negative,
            }

        return dataset.map(assemble, num_parallel_calls=tf.data.AUTOTUNE)

    return preprocess


PART_FEATURES = (
    "definition",
    "definition_tokens",
    "task_input",
    "task_input_tokens",
    *(f"{side}{part}" for side in ("positive", "negative") for part in ("", "_tokens", "_count")),
)
