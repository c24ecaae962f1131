"""The operations of MiniFLAN on short lists of words, and the words that say them.

An operation is of one of three kinds: `order` moves the words, `length` drops or repeats some, and
`change` rewrites single words. Compositions are ordered pairs of operations; the kinds of the pair
are its cluster.
"""

import dataclasses
from collections.abc import Callable, Mapping

Words = tuple[str, ...]

ANIMALS = ("cat", "dog", "cow", "hen", "pig", "fox")
YOUNG = ("kitten", "puppy", "calf", "chick", "piglet", "cub")
FRUITS = ("plum", "pear", "fig", "lime", "kiwi", "date")
COLOURS = ("red", "blue", "green", "pink", "grey", "gold")
DIGITS = tuple("0123456789")
DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
GROUPS = (ANIMALS, FRUITS, COLOURS, DIGITS)
CONTENT = tuple(word for group in GROUPS for word in group)

_JAM, _PAINT = "jam", "paint"
_CAPITALS = {
    word: word.upper() for word in (*ANIMALS, *YOUNG, *FRUITS, *COLOURS, *DIGIT_NAMES, _JAM, _PAINT)
}
_SMALL = {capital: word for word, capital in _CAPITALS.items()}

# Every word that a list can hold, before or after any operations.
LIST_WORDS = (*CONTENT, *YOUNG, *DIGIT_NAMES, _JAM, _PAINT, *_SMALL)


@dataclasses.dataclass(frozen=True)
class Operation:
    """One primitive operation.

    Attributes:
      name: as in task names.
      kind: 'order', 'length' or 'change'.
      apply: list -> list.
      phrasings: ways to ask for it, each of them an instruction by itself.
    """

    name: str
    kind: str
    apply: Callable[[Words], Words]
    phrasings: tuple[str, ...]


def _each(change: Callable[[str], str]) -> Callable[[Words], Words]:
    """Applies `change` to every word, whether or not it is in capitals, and keeps the capitals."""

    def apply(words: Words) -> Words:
        return tuple(
            _CAPITALS.get(change(_SMALL[word]), word) if word in _SMALL else change(word)
            for word in words
        )

    return apply


def _lookup(table: Mapping[str, str]) -> Callable[[str], str]:
    return lambda word: table.get(word, word)


_NEXT = {digit: DIGITS[(index + 1) % 10] for index, digit in enumerate(DIGITS)}
_GROWN_TO_YOUNG: dict[str, str] = dict(zip(ANIMALS, YOUNG, strict=True))
_SPELLED: dict[str, str] = dict(zip(DIGITS, DIGIT_NAMES, strict=True))

OPERATIONS = (
    Operation("reverse", "order", lambda w: w[::-1], ("reverse", "flip", "invert", "mirror")),
    Operation("rotate", "order", lambda w: w[1:] + w[:1], ("rotate", "cycle", "roll", "spin")),
    Operation(
        "swap_ends",
        "order",
        lambda w: w if len(w) < 2 else (w[-1], *w[1:-1], w[0]),
        ("swap ends", "exchange ends", "trade ends", "switch ends"),
    ),
    Operation(
        "drop_first",
        "length",
        lambda w: w[1:],
        ("drop first", "skip first", "omit first", "discard first"),
    ),
    Operation(
        "drop_last",
        "length",
        lambda w: w[:-1],
        ("drop last", "skip last", "omit last", "discard last"),
    ),
    Operation(
        "keep_first",
        "length",
        lambda w: w[:1],
        ("keep first", "take first", "pick first", "choose first"),
    ),
    Operation(
        "keep_last",
        "length",
        lambda w: w[-1:],
        ("keep last", "take last", "pick last", "choose last"),
    ),
    Operation(
        "double_first",
        "length",
        lambda w: w[:1] + w,
        ("double first", "repeat first", "echo first", "copy first"),
    ),
    Operation(
        "capitals",
        "change",
        lambda w: tuple(_CAPITALS.get(word, word) for word in w),
        ("capitalise", "enlarge", "shout", "uppercase"),
    ),
    Operation(
        "count_up",
        "change",
        _each(_lookup(_NEXT)),
        ("increment numbers", "raise numbers", "bump numbers", "advance numbers"),
    ),
    Operation(
        "young",
        "change",
        _each(_lookup(_GROWN_TO_YOUNG)),
        ("rejuvenate animals", "youthen animals", "juvenilise animals", "infantilise animals"),
    ),
    Operation(
        "cook",
        "change",
        _each(_lookup(dict.fromkeys(FRUITS, _JAM))),
        ("cook fruits", "boil fruits", "stew fruits", "preserve fruits"),
    ),
    Operation(
        "mix",
        "change",
        _each(_lookup(dict.fromkeys(COLOURS, _PAINT))),
        ("mix colours", "blend colours", "stir colours", "merge colours"),
    ),
    Operation(
        "spell",
        "change",
        _each(_lookup(_SPELLED)),
        ("spell digits", "name digits", "pronounce digits", "say digits"),
    ),
)
BY_NAME = {operation.name: operation for operation in OPERATIONS}


def run(names: tuple[str, ...], words: Words) -> list[Words] | None:
    """The lists after each operation, or None where one of them changes nothing or all is gone.

    >>> run(("reverse", "keep_first"), ("cat", "7", "red"))
    [('red', '7', 'cat'), ('red',)]
    >>> run(("cook",), ("cat", "7")) is None
    True
    """
    found, now = [], words
    for name in names:
        after = BY_NAME[name].apply(now)
        if after == now or not after:
            return None
        found.append(after)
        now = after
    return None if now == words else found
