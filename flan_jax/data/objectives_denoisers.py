"""Denoisers and mixtures of them: which tokens of a text are hidden, and how many fit into a row.

Plain numbers, without TensorFlow; `flan_jax.data.objectives` turns them into seqio preprocessors.

Sources. T5: Raffel et al. 2020 (arXiv 1910.10683, section 3.1.4) and the public `t5` package. UL2R:
Tay et al. 2022 (arXiv 2210.11399). UL2: Tay et al. 2022 (arXiv 2205.05131).
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from flan_jax.errors import ConfigError

# A piece may leave this share of the inputs' length empty before the lengths count as mismatched.
_SLACK = 0.05


@dataclasses.dataclass(frozen=True)
class SpanCorruption:
    """Hides spans of tokens behind sentinels; the targets give them back (T5).

    Of n tokens, round(n * density) are hidden (at least 1, at most n - 1) in
    round(hidden / mean_span) spans (at least 1). Both are 32-bit arithmetic, as in T5, and halves
    go to the even number. Spans that stay and spans that go take turns, the first one stays, and
    all divisions into spans are equally likely.

    Attributes:
      name: how messages and statistics call it.
      mean_span: mean tokens of a hidden span, at least 1.
      density: share of the tokens that is hidden.
      random_count: with few long spans a row, rounding their number shifts their mean length: 180
        hidden tokens in spans of 32 are 6 spans of 30. Set, the number is rounded up or down at
        random with the quotient as its mean, so that the mean span is exact over many rows.
    """

    name: str
    mean_span: float
    density: float
    random_count: bool = False

    def __post_init__(self):
        if not (0 < self.density < 1 and self.mean_span >= 1):
            raise ConfigError(
                f"SpanCorruption {self.name!r} has density {self.density} and mean_span "
                f"{self.mean_span}; a density lies between 0 and 1, a mean span is at least 1."
            )

    def hidden(self, tokens: int) -> int:
        """Returns how many of `tokens`, at least 2, are hidden."""
        hidden = round(float(np.float32(tokens) * np.float32(self.density)))
        return min(max(hidden, 1), tokens - 1)

    def most_spans(self, tokens: int) -> int:
        """Returns the largest number of hidden spans in `tokens`, at least 2, tokens."""
        hidden = self.hidden(tokens)
        count = float(np.float32(hidden) / np.float32(self.mean_span))
        count = math.ceil(count) if self.random_count else round(count)
        return min(max(count, 1), tokens - hidden)

    def sizes(self, tokens: int) -> tuple[int, int]:
        """Returns the most tokens of inputs and of targets, sentinels included, EOS not."""
        hidden, spans = self.hidden(tokens), self.most_spans(tokens)
        return tokens - hidden + spans, hidden + spans


@dataclasses.dataclass(frozen=True)
class PrefixSplit:
    """Cuts a text in two at a random place: the prefix is the inputs, the rest the targets.

    Attributes:
      name: how messages and statistics call it.
      target_share: mean share of the tokens that become targets, at most 0.5. With 0.5 the prefix
        of n tokens is uniform in [1, n - 1]; with less, uniform in [(1 - 2 * target_share) of
        n - 1, n - 1].
    """

    name: str
    target_share: float = 0.5

    def __post_init__(self):
        if not 0 < self.target_share <= 0.5:
            raise ConfigError(
                f"PrefixSplit {self.name!r} has target_share {self.target_share}; it lies above 0 "
                "and is at most 0.5, where the split is uniform over the whole text."
            )

    def shortest_prefix(self, tokens: int) -> int:
        """Returns the fewest tokens of a prefix of `tokens`, at least 2, tokens."""
        return max(1, round(float(np.float32(1 - 2 * self.target_share) * np.float32(tokens - 1))))

    def sizes(self, tokens: int) -> tuple[int, int]:
        """Returns the most tokens of inputs and of targets, EOS not counted."""
        return tokens - 1, tokens - self.shortest_prefix(tokens)


Denoiser = SpanCorruption | PrefixSplit


@dataclasses.dataclass(frozen=True)
class Share:
    """A denoiser's place in a mixture.

    Attributes:
      denoiser: what is done.
      rate: share of the examples, in the unit of the mixture's other rates.
      mode: put in front of the inputs: a text, which the vocabulary encodes, or token ids.
    """

    denoiser: Denoiser
    rate: float = 1.0
    mode: str | tuple[int, ...] = ""

    def __post_init__(self):
        if not self.rate > 0:
            raise ConfigError(f"Share of {self.denoiser.name!r} has rate {self.rate}; above 0.")


T5_SPANS = SpanCorruption("span_corruption", 3, 0.15)
LM_SPLIT = PrefixSplit("prefix_lm")

NLU, NLG, S2S = "[NLU]", "[NLG]", "[S2S]"

# U-PaLM: regular 25%, extreme 25%, sequential 50%. Of the extreme one the paper says "mean span 32
# or up to 50% corrupted": here half of its share has spans of 32 at 15%, half 50% in spans of 3.
UL2R: tuple[Share, ...] = (
    Share(SpanCorruption("r", 3, 0.15), 0.25, NLU),
    Share(SpanCorruption("x_long", 32, 0.15, random_count=True), 0.125, NLG),
    Share(SpanCorruption("x_dense", 3, 0.5), 0.125, NLG),
    Share(PrefixSplit("s"), 0.5, S2S),
)

# Not verified against the paper. Equal rates, and a sequential one with a quarter of the tokens as
# targets, are the reading of "S at 25%" taken here; the other would give S a quarter of the rate.
UL2: tuple[Share, ...] = (
    Share(SpanCorruption("r_3", 3, 0.15), 1, NLU),
    Share(SpanCorruption("r_8", 8, 0.15, random_count=True), 1, NLU),
    Share(SpanCorruption("x_3_dense", 3, 0.5), 1, NLG),
    Share(SpanCorruption("x_8_dense", 8, 0.5, random_count=True), 1, NLG),
    Share(SpanCorruption("x_64", 64, 0.15, random_count=True), 1, NLG),
    Share(SpanCorruption("x_64_dense", 64, 0.5, random_count=True), 1, NLG),
    Share(PrefixSplit("s", 0.25), 1, S2S),
)


def text_length(denoiser: Denoiser, input_room: int, target_room: int) -> int:
    """Returns how many tokens of text give a row that fills the inputs.

    >>> text_length(T5_SPANS, 511, 113)
    568

    T5's 512 and 114 are these with an EOS each. A prefix split takes one token less than the
    shorter side: its longest prefix is all but one of its tokens, its longest target likewise.

    Args:
      denoiser: what is done to the text.
      input_room: tokens of the inputs, without EOS and mode tokens.
      target_room: tokens of the targets, without EOS.

    Raises:
      ConfigError: the targets are too short for inputs of this length.
    """
    if isinstance(denoiser, PrefixSplit):
        length = min(input_room, target_room)
        if length < 2:
            raise ConfigError(_too_short(denoiser, input_room, target_room))
        return length

    def fits(tokens: int) -> bool:
        inputs, targets = denoiser.sizes(tokens)
        return inputs <= input_room and targets <= target_room

    length = 1
    # Sizes grow by 0 or 1 a token, so the first length that does not fit ends the search.
    while fits(length + 1):
        length += 1
    if length < 2:
        raise ConfigError(_too_short(denoiser, input_room, target_room))
    left = input_room - denoiser.sizes(length)[0]
    if left > max(2, _SLACK * input_room):
        wanted = length
        while denoiser.sizes(wanted + 1)[0] <= input_room:
            wanted += 1
        raise ConfigError(
            f"Denoiser {denoiser.name!r} fills inputs of {input_room} tokens only with targets of "
            f"{denoiser.sizes(wanted)[1]} tokens, and there is room for {target_room} (EOS and "
            "mode tokens not counted). Lengthen 'targets' in TASK_FEATURE_LENGTHS by "
            f"{denoiser.sizes(wanted)[1] - target_room}, or shorten 'inputs'."
        )
    return length


def check_sentinels(denoiser: Denoiser, tokens: int, sentinels: int) -> None:
    """Refuses a denoiser that needs more sentinels for `tokens` tokens than there are.

    Raises:
      ConfigError: with the number needed.
    """
    if not isinstance(denoiser, SpanCorruption):
        return
    needed = denoiser.most_spans(tokens)
    if needed > sentinels:
        raise ConfigError(
            f"Denoiser {denoiser.name!r} hides up to {needed} spans of {tokens} tokens, and the "
            f"vocabulary has {sentinels} sentinel ids. Give it {needed} (extra_ids of the "
            "vocabulary), let its last ids serve (tasks.Pretraining.sentinels), shorten 'inputs', "
            "or leave the denoiser out."
        )


def normalised(shares: Sequence[Share]) -> list[float]:
    """Returns the rates as shares of 1; ConfigError for an empty mixture."""
    if not shares:
        raise ConfigError("A mixture of denoisers needs at least one.")
    total = sum(share.rate for share in shares)
    return [share.rate / total for share in shares]


def _too_short(denoiser: Denoiser, input_room: int, target_room: int) -> str:
    return (
        f"Denoiser {denoiser.name!r} needs two tokens of text at least, and inputs of {input_room} "
        f"and targets of {target_room} tokens (EOS and mode tokens not counted) have no room for "
        "them. Lengthen both in TASK_FEATURE_LENGTHS."
    )
