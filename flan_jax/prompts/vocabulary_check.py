"""Which characters a vocabulary cannot give back."""

from typing import Protocol


class TextVocabulary(Protocol):
    """What the check needs of a vocabulary; every seqio vocabulary has it."""

    def encode(self, s: str) -> list[int]:
        """Text to token ids."""
        ...

    def decode(self, ids: list[int]) -> str:
        """Token ids to text."""
        ...


def lost_characters(text: str, vocabulary: TextVocabulary) -> tuple[str, ...]:
    """Returns what `vocabulary` changes in `text`, each once, in order of appearance.

    A character counts as lost when the text "a?a" with it in the middle does not come back. Two
    blanks stand for runs of blanks that come back as one.

    With T5's SentencePiece model, newline and tab come back as a blank, while braces, "<", "~", "^"
    and the backslash come back as the unknown mark:

        lost_characters("f(x) = {x < 2}", vocabulary) == ("{", "<", "}")
    """
    probes = list(dict.fromkeys(text))
    if "  " in text:
        probes.append("  ")
    return tuple(
        probe
        for probe in probes
        if vocabulary.decode(vocabulary.encode(f"a{probe}a")) != f"a{probe}a"
    )
