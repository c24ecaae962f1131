"""Rates with a type, for stages of a mixture of prepared tasks."""

import dataclasses
import fnmatch
import math
from collections.abc import Mapping, Sequence
from typing import Any

import gin

from flan_jax.errors import ConfigError, NotFoundError, suggest


@gin.configurable(module="order")
@dataclasses.dataclass(frozen=True)
class Weight:
    """Each task has this rate, in the unit of the mixture's other rates; 0 draws none of it."""

    value: float

    def __post_init__(self):
        _check("Weight", self.value, 0.0, math.inf)


@gin.configurable(module="order")
@dataclasses.dataclass(frozen=True)
class Cap:
    """Each task has as many rows as it was prepared from for its rate, at most so many.

    Examples-proportional mixing (Raffel et al. 2020, arXiv 1910.10683, section 3.5.2).
    """

    rows: int

    def __post_init__(self):
        _check("Cap", self.rows, 1.0, math.inf)


@gin.configurable(module="order")
@dataclasses.dataclass(frozen=True)
class Fraction:
    """All tasks of the pattern together have this share of the draws, in (0, 1].

    Among them it is divided by the mixture's rates, as what is left is among the other tasks.
    """

    value: float

    def __post_init__(self):
        _check("Fraction", self.value, 1e-9, 1.0)


def described(rate: Any) -> dict[str, float]:
    """Returns a rate as JSON-able values."""
    return {type(rate).__name__: next(iter(dataclasses.asdict(_typed(rate)).values()))}


def matching(patterns: Sequence[str], names: Sequence[str], where: str) -> dict[str, str]:
    """Returns task name -> the pattern that stands for it; names without one are left out.

    A name written out goes before patterns with '*', and of those the first one counts.

    Args:
      patterns: as of `fnmatch`.
      names: of the tasks.
      where: they are written, for messages.

    Raises:
      NotFoundError: a pattern stands for no task.
    """
    found: dict[str, str] = {}
    for name in names:
        fitting = [each for each in patterns if each == name]
        fitting += [each for each in patterns if fnmatch.fnmatchcase(name, each)]
        if fitting:
            found[name] = fitting[0]
    for pattern in patterns:
        if pattern not in found.values():
            raise NotFoundError(
                f"{where} names {pattern!r}, which stands for none of the {len(names)} tasks."
                + suggest(pattern, names)
            )
    return found


def shares(
    names: Sequence[str],
    own: Sequence[float],
    rows: Sequence[int],
    given: Mapping[str, Any],
    where: str,
) -> list[float]:
    """Returns each task's share of the draws; they add up to 1.

    Args:
      names: of the tasks.
      own: their rates in the mixture.
      rows: how many rows each was prepared from.
      given: pattern -> Weight, Cap, Fraction or a number, which is a Weight.
      where: the rates are written, for messages.

    Raises:
      NotFoundError: a pattern stands for no task.
      ConfigError: the rates cannot be met.
    """
    typed = {pattern: _typed(rate) for pattern, rate in given.items()}
    pattern_of = matching(list(typed), names, where)
    free: dict[str, float] = {}
    parts: dict[str, dict[str, float]] = {}
    for name, rate, count in zip(names, own, rows, strict=True):
        pattern = pattern_of.get(name)
        asked = None if pattern is None else typed[pattern]
        if isinstance(asked, Fraction):
            parts.setdefault(str(pattern), {})[name] = rate
        elif isinstance(asked, Cap):
            free[name] = float(min(count, asked.rows))
        else:
            free[name] = rate if asked is None else asked.value
    found = dict.fromkeys(names, 0.0)
    taken = math.fsum(typed[pattern].value for pattern in parts)
    if taken > 1 + 1e-9:
        raise ConfigError(f"{where}: the fractions add up to {taken:g}; at most 1 is possible.")
    total = math.fsum(free.values())
    left = max(0.0, 1 - taken)
    if left < 1e-9 and total > 0:
        raise ConfigError(
            f"{where}: the fractions take all draws, and {len(free)} other tasks would have none. "
            "Give those 0, or lower the fractions."
        )
    if left >= 1e-9 and total <= 0:
        raise ConfigError(
            f"{where}: no task is left for {left:g} of the draws. Give one a rate above 0"
            + (", or raise the fractions to 1." if parts else ".")
        )
    for name, rate in free.items():
        found[name] = left * rate / total if total else 0.0
    for pattern, members in parts.items():
        total = math.fsum(members.values())
        if total <= 0:
            raise ConfigError(
                f"{where}: the tasks of {pattern!r} have rates of 0 in the mixture, so nothing "
                "says how they divide their fraction. Give them Weights."
            )
        for name, rate in members.items():
            found[name] = typed[pattern].value * rate / total
    return [found[name] for name in names]


def _typed(rate: Any) -> Any:
    if isinstance(rate, Weight | Cap | Fraction):
        return rate
    if isinstance(rate, int | float) and not isinstance(rate, bool):
        return Weight(float(rate))
    raise ConfigError(
        f"A rate is {rate!r}; a number, order.Weight, order.Cap or order.Fraction is expected."
    )


def _check(name: str, value: Any, least: float, most: float) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most or value == math.inf:
        raise ConfigError(f"order.{name}({value!r}): a number from {least:g} to {most:g}.")
