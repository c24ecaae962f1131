"""Leaving out a window of steps, as PaLM did after loss spikes.

PaLM (Chowdhery et al. 2022, arXiv 2204.02311, section 5.1) went back to a checkpoint some 100 steps
before a spike and left out 200 to 500 batches, those before and during it. Here a skipped step
reads its batch and makes no update: parameters and optimizer stay, the number of the step goes on.
Every later step therefore has the rows and the learning rate that it would have had.

A checkpoint keeps which steps were skipped before it. One that was trained on steps now to be
skipped is set aside, and the run goes on from the newest before them.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from flan_jax.errors import ConfigError

EXTRA_KEY = "skipped_steps"


@dataclasses.dataclass(frozen=True)
class Skips:
    """Windows of steps without an update.

    Attributes:
      windows: (first, last) of each, both skipped; ascending, apart from each other.
    """

    windows: tuple[tuple[int, int], ...] = ()

    def holds(self, step: int) -> bool:
        """Whether a step (the first is 1) is skipped."""
        return any(first <= step <= last for first, last in self.windows)

    def until(self, step: int) -> list[list[int]]:
        """Returns the windows up to a step as JSON, the last one cut there."""
        return [[first, min(last, step)] for first, last in self.windows if first <= step]

    def fit(self, step: int, extra: dict[str, Any]) -> bool:
        """Whether a checkpoint of this step left out exactly the steps that are to be."""
        return extra.get(EXTRA_KEY, []) == self.until(step)


def parse(windows: Sequence[Sequence[int]] | None, total_steps: int) -> Skips:
    """Checks windows as written in a configuration.

    Args:
      windows: pairs (first, last).
      total_steps: of the run.

    Raises:
      ConfigError: one is no pair, lies outside the run, or they overlap.
    """
    setting = "train_script.train.skip_steps"
    found = []
    for window in windows or ():
        numbers = tuple(window) if isinstance(window, Sequence) else ()
        if len(numbers) != 2 or not all(type(number) is int for number in numbers):
            raise ConfigError(
                f"{setting} has {window!r}; expected pairs of whole numbers, the first and the "
                "last step to skip: [(1200, 1500)]."
            )
        if not 1 <= numbers[0] <= numbers[1] <= total_steps:
            raise ConfigError(
                f"{setting} has {window!r}; expected 1 <= first <= last <= {total_steps}, the "
                "steps of the run."
            )
        found.append(numbers)
    found.sort()
    merged: list[tuple[int, int]] = []
    for first, last in found:
        if merged and first <= merged[-1][1]:
            raise ConfigError(f"{setting}: {merged[-1]} and {(first, last)} overlap. Join them.")
        if merged and first == merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return Skips(tuple(merged))


def explain_no_fit(skips: Skips) -> Callable[[Sequence[int]], str]:
    """Returns what says why none of a run's checkpoints will do, given their steps."""

    def text(steps: Sequence[int]) -> str:
        wanted = list(skips.windows) or "no steps"
        return (
            f"train_script.train.skip_steps skips {wanted}, and none of the kept checkpoints (of "
            f"the steps {', '.join(map(str, steps))}) is from before the first step whose skipping "
            f"changed. Skip steps after {min(steps)} instead, or start a new MODEL_DIR. "
            "utils.SaveCheckpointConfig.keep_period keeps more of them. Nothing was changed."
        )

    return text
