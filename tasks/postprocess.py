"""seqio postprocessors: from the decoded text and the row to what `tasks.metrics` compare.

seqio calls them with the text of the targets (`is_target`) and with every prediction; `example` is
the row in both cases, its texts bytes and its numbers numpy scalars.
"""

import math
from collections.abc import Mapping
from typing import Any

from flan_jax.errors import DataError
from tasks.answers import as_text
from tasks.metrics import RankedOption

Example = Mapping[str, Any]


def strip(output: str, example: Example | None = None, is_target: bool = False) -> str:
    """The text without blanks around it: for labels and for texts with one reference.

    >>> strip(" yes ")
    'yes'
    """
    del example, is_target
    return as_text(output).strip()


def answers(
    output: str, example: Example | None = None, is_target: bool = False
) -> str | list[str]:
    """Target: all of the row's 'answers'. Prediction: the stripped text.

    >>> answers("4", {"answers": [b"4", b"four"]}, is_target=True)
    ['4', 'four']
    """
    if not is_target:
        return strip(output)
    return [strip(answer) for answer in _feature(example, "answers")]


def number(output: str, example: Example | None = None, is_target: bool = False) -> float | None:
    """The number that the whole text is; None when it is none, or not finite.

    >>> number(" 3.5"), number("3 or 4"), number("nan")
    (3.5, None, None)
    """
    del example, is_target
    try:
        value = float(as_text(output))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def multirc(
    output: str, example: Example | None = None, is_target: bool = False
) -> str | dict[str, Any]:
    """Target: {'value': the label, 'group': (paragraph, question)}. Prediction: the stripped text.

    The group is of the row's integers 'idx/paragraph' and 'idx/question'.
    """
    if not is_target:
        return strip(output)
    return {"value": strip(output), "group": _numbers(example, "idx/paragraph", "idx/question")}


def record(
    output: str, example: Example | None = None, is_target: bool = False
) -> str | dict[str, Any]:
    """Target: {'value': the 'answers', 'group': (passage, query)}. Prediction: the stripped text.

    The group is of the row's integers 'idx/passage' and 'idx/query'.
    """
    if not is_target:
        return strip(output)
    return {
        "value": answers(output, example, is_target=True),
        "group": _numbers(example, "idx/passage", "idx/query"),
    }


def rank(
    output: str, example: Example | None = None, is_target: bool = False
) -> str | RankedOption:
    """Target: what `rank_classification` must know of the option that the row is of.

    From 'idx' ([question, option], both counted from 0), 'is_correct', and the tokens 'targets'.
    Its characters are those of 'targets_pretokenized', or else of the decoded tokens.
    """
    if not is_target:
        return strip(output)
    question, option = (int(value) for value in _feature(example, "idx"))
    return RankedOption(
        example=question,
        option=option,
        is_correct=bool(_feature(example, "is_correct")),
        num_tokens=len(_feature(example, "targets")),
        num_characters=len(as_text((example or {}).get("targets_pretokenized", output))),
    )


def _numbers(example: Example | None, *names: str) -> tuple[int, ...]:
    return tuple(int(_feature(example, name)) for name in names)


def _feature(example: Example | None, name: str) -> Any:
    if example is None or name not in example:
        raise DataError(
            f"The postprocessor needs the feature {name!r}, but the row has only "
            f"{sorted(example or ())}; the task must keep it."
        )
    return example[name]
