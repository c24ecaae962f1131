r"""Final answers: how targets state them and how they are read back from generated text.

What is accepted after the last statement of an answer, by kind (case does not matter):

| kind     | accepted                                           | becomes                        |
|----------|----------------------------------------------------|--------------------------------|
| number   | 42 · 1,234 · $3.50 · -7 · 12.0 · 50% · 1/2 · 3+4=7 | plain: 42, 1234, 3.5, 12, 50   |
| yes_no   | yes · no · true · false                            | yes, no, yes, no               |
| letter   | (C) · C · C. · c) · option C · (C) 12 km           | (C)                            |
| text     | the rest of the line                               | lower case, no outer punctuation |

A statement of an answer is the word "answer" followed by "is", "must be", "should be", "would be",
":" or "=", with "therefore", "thus", "then" or "hence" in between: "So the answer is 4.", "Final
answer: 4", "The answer must therefore be 4". Without one, a single line counts as the
answer when it is short: thirty words where a bare answer was asked for, otherwise three, and none
for kind text. Anything else is a failure (None), which `extraction_failure_rate` counts.
"""

import decimal
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from flan_jax.errors import NotFoundError, suggest

AnswerKind = Literal["number", "yes_no", "letter", "text"]

_ADVERB = r"(?:\s*,?\s*(?:therefore|thus|then|hence)\s*,?)?"
# After "is" a "then" may open the answer itself.
_LATE_ADVERB = r"(?:\s*,?\s*(?:therefore|thus|hence)\b\s*,?)?"
_STATEMENT = re.compile(
    rf"\banswer{_ADVERB}\s*(?:(?:is|(?:must|should|would){_ADVERB}\s+be)\b{_LATE_ADVERB}\s*[:=]?|[:=])\s*",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[-−]?\s?[$€£]?\s?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:\s?/\s?\d+)?")
_YES_NO = re.compile(r"\W*(yes|no|true|false)\b", re.IGNORECASE)
# A bare "a" or "i" is a word, not an option, so bare letters must be capitals or carry a bracket,
# and "A" or "I" must not open a sentence.
_LETTER = re.compile(
    r"\W*(?:(?i:option|choice)\s+)?"
    r"(?:\(\s*([A-Za-z])\s*\)|([A-Za-z])\)|([B-HJ-Z])\b(?!')|([AI])(?=\s*(?:$|[.,:;\n])))",
)
_OUTER_PUNCTUATION = " \t\n.,;:!?\"'()[]“”‘’`*"


def extract(text: str, kind: AnswerKind, bare: bool = False) -> str | None:
    """Returns the canonical final answer in a generated text, or None when there is none.

    Args:
      text: what the model wrote.
      kind: see the table above.
      bare: the model was asked for nothing but the answer.

    >>> extract("3 + 4 = 7. So the answer is 7.", "number")
    '7'
    """
    read = _reader(kind)
    statements = list(_STATEMENT.finditer(text))
    if statements:
        return read(text[statements[-1].end() :])
    words = 0 if kind == "text" else 3
    return read(text) if _is_short(text, 30 if bare else words) else None


def canonical(answer: str, kind: AnswerKind) -> str:
    """Returns a reference answer in the form `extract` gives; the plain text where it has none."""
    return _reader(kind)(answer) or _plain(answer) or ""


def answer_postprocessor(kind: AnswerKind, bare: bool = False) -> Callable[..., str | None]:
    """Returns a seqio postprocess function for tasks whose examples keep a feature 'answer'.

    For a prediction: its `extract`. For the target: the example's 'answer', canonical.
    """
    _reader(kind)

    def postprocess(
        output: str, example: Mapping[str, Any] | None = None, is_target: bool = False
    ) -> str | None:
        if not is_target:
            return extract(output, kind, bare)
        answer = (example or {}).get("answer", output)
        return canonical(as_text(answer), kind)

    return postprocess


def as_text(value: Any) -> str:
    """Returns a str for a str, bytes, or a 0-d numpy array of either (what seqio hands on)."""
    value = getattr(value, "item", lambda: value)()
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _number(text: str) -> str | None:
    line = _line(text)
    # "3 + 4 = 7" states 7.
    found = _NUMBER.search(line.rpartition("=")[2]) or _NUMBER.search(line)
    if found is None:
        return None
    plain = re.sub(r"[\s$€£,]", "", found.group()).replace("−", "-")
    numerator, slash, denominator = plain.partition("/")
    value = format(decimal.Decimal(numerator).normalize(), "f")
    return value + slash + denominator


def _yes_no(text: str) -> str | None:
    found = _YES_NO.match(text)
    if found is None:
        return None
    return "yes" if found.group(1).lower() in ("yes", "true") else "no"


def _letter(text: str) -> str | None:
    found = _LETTER.match(text)
    if found is None:
        return None
    return f"({next(group for group in found.groups() if group).upper()})"


def _plain(text: str) -> str | None:
    return " ".join(_line(text).strip(_OUTER_PUNCTUATION).lower().split()) or None


_READERS: dict[str, Callable[[str], str | None]] = {
    "number": _number,
    "yes_no": _yes_no,
    "letter": _letter,
    "text": _plain,
}


def _reader(kind: str) -> Callable[[str], str | None]:
    if kind not in _READERS:
        raise NotFoundError(
            f"No answer kind {kind!r}; there are {list(_READERS)}.{suggest(kind, _READERS)}"
        )
    return _READERS[kind]


def _line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _is_short(text: str, most_words: int) -> bool:
    return 0 < len(text.split()) <= most_words and "\n" not in text.strip()
