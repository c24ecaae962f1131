"""Metrics over labels (accuracy, F1, Matthews) and over numbers (Pearson and Spearman).

A prediction that is none of the labels is an invalid one and never right.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import numpy as np

from flan_jax.errors import ConfigError, DataError
from tasks.metrics.rows import average_ranks, f1_percent, mean_percent, paired

logger = logging.getLogger(__name__)

LabelMetric = Callable[[Sequence[str], Sequence[str | None]], dict[str, float]]


def accuracy(targets: Sequence[Any], predictions: Sequence[Any]) -> dict[str, float]:
    """Share of predictions equal to their target, in percent."""
    pairs = zip(*paired(targets, predictions), strict=True)
    return {"accuracy": mean_percent([bool(t == p) for t, p in pairs])}


def binary_f1(positive: str) -> LabelMetric:
    """Returns a metric: F1 of the label `positive` among two labels, and accuracy.

    An invalid prediction counts as the wrong one of the two, as in T5's MRPC and QQP: a false
    positive where the target is negative, else a false negative.

    Raises (the metric):
      DataError: the targets have other labels than `positive` and one more.
    """

    def metric(targets: Sequence[str], predictions: Sequence[str | None]) -> dict[str, float]:
        paired(targets, predictions)
        labels = {positive, *targets}
        if len(labels) > 2:
            raise DataError(
                f"binary_f1({positive!r}) found the labels {sorted(labels)} instead of two."
            )
        f1 = positive_f1([target == positive for target in targets], targets, predictions)
        return {"f1": f1, **accuracy(targets, predictions)}

    return metric


def positive_f1(
    positive: Sequence[bool], targets: Sequence[str], predictions: Sequence[str | None]
) -> float:
    """F1 in percent of one of two labels, where whatever is not right is the other label.

    Args:
      positive: per row, whether the target is the label whose F1 it is.
      targets: labels.
      predictions: labels, or anything else.
    """
    counts = Counter(
        (is_positive, target == prediction)
        for is_positive, target, prediction in zip(positive, targets, predictions, strict=True)
    )
    hits, false_positives = counts[True, True], counts[False, False]
    return f1_percent(hits, hits + false_positives, sum(positive))


def macro_f1(labels: Sequence[str]) -> LabelMetric:
    """Returns a metric: the unweighted mean over `labels` of each one's F1, and accuracy.

    As in T5's CB. A label that is neither target nor prediction has F1 0 and counts in the mean. An
    invalid prediction is a miss of its target's label and a find of none.

    Raises (the metric):
      DataError: a target is none of `labels`.
    """
    known = _distinct(labels)

    def metric(targets: Sequence[str], predictions: Sequence[str | None]) -> dict[str, float]:
        paired(targets, predictions)
        _check_targets(targets, known)
        wanted, found = Counter(targets), Counter(predictions)
        hits = Counter(t for t, p in zip(targets, predictions, strict=True) if t == p)
        each = [f1_percent(hits[label], found[label], wanted[label]) for label in known]
        return {"macro_f1": sum(each) / len(each), **accuracy(targets, predictions)}

    return metric


def matthews(labels: Sequence[str]) -> LabelMetric:
    """Returns a metric: Matthews correlation of two labels, times 100.

    An invalid prediction counts as the wrong one of the two. 0 where targets or predictions are all
    the same label, for which the coefficient is not defined.

    Raises:
      ConfigError: not two labels.

    Raises (the metric):
      DataError: a target is none of `labels`.
    """
    known = _distinct(labels)
    if len(known) != 2:
        raise ConfigError(f"matthews takes two labels, not {list(known)}.")

    def metric(targets: Sequence[str], predictions: Sequence[str | None]) -> dict[str, float]:
        paired(targets, predictions)
        _check_targets(targets, known)
        counts = Counter(
            (target == known[1], target == prediction)
            for target, prediction in zip(targets, predictions, strict=True)
        )
        tp, fn = counts[True, True], counts[True, False]
        tn, fp = counts[False, True], counts[False, False]
        scale = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
        if not scale:
            logger.warning("Matthews correlation of one label only is not defined; it is given 0.")
        return {"matthews": 100.0 * (tp * tn - fp * fn) / scale if scale else 0.0}

    return metric


def correlation(targets: Sequence[float], predictions: Sequence[float | None]) -> dict[str, float]:
    """Pearson's and Spearman's correlation, times 100.

    A prediction that is no number (None, or not finite) counts as the worst of the targets' scale:
    the smallest or the largest target, whichever is farther from the row's own. Where targets or
    predictions are all the same, a correlation is not defined; it is given as 0, with a warning.

    Raises:
      DataError: a target is no number.
    """
    paired(targets, predictions)
    if not all(_is_number(target) for target in targets):
        raise DataError("A target of the metric 'correlation' is no number.")
    wanted = np.array([float(target) for target in targets])
    low, high = wanted.min(), wanted.max()
    farther = np.where(high - wanted > wanted - low, high, low)
    found = np.array(
        [
            float(p) if _is_number(p) else worst
            for p, worst in zip(predictions, farther, strict=True)
        ]
    )
    return {
        "pearson": 100.0 * _pearson(wanted, found),
        "spearman": 100.0 * _pearson(average_ranks(wanted), average_ranks(found)),
    }


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    x, y = _unit(x), _unit(y)
    if not x.any() or not y.any():
        logger.warning("A correlation with constant values is not defined; it is given as 0.")
        return 0.0
    return float(np.clip(x @ y, -1.0, 1.0))


def _unit(values: np.ndarray) -> np.ndarray:
    """Centred and of length 1; zeros where all values are the same."""
    if values.min() == values.max():
        return np.zeros_like(values)
    # A model may write numbers whose squares overflow.
    values = values / np.abs(values).max()
    values = values - values.mean()
    return values / np.linalg.norm(values)


def _is_number(value: Any) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _distinct(labels: Sequence[str]) -> tuple[str, ...]:
    if isinstance(labels, str) or not labels or len(set(labels)) != len(labels):
        raise ConfigError(f"Labels of a metric must be several different texts, not {labels!r}.")
    return tuple(labels)


def _check_targets(targets: Sequence[str], labels: Sequence[str]) -> None:
    if strange := set(targets) - set(labels):
        raise DataError(
            f"Targets {sorted(map(str, strange))[:3]} are none of the metric's labels {labels}."
        )
