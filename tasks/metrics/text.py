"""Exact match of answers, failures to find one, and ROUGE-L as Tk-Instruct measures it."""

import string
from collections.abc import Sequence

from tasks.metrics.rows import mean_percent, paired, rouge_scorer

_DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Lower-cases, deletes ASCII punctuation and collapses blanks; articles stay.

    The exact-match normalisation of Tk-Instruct.

    >>> normalise("  The answer,  please! ")
    'the answer please'
    """
    return " ".join(text.lower().translate(_DELETE_PUNCTUATION).split())


def exact_match(targets: Sequence[str], predictions: Sequence[str | None]) -> dict[str, float]:
    """Share of predictions equal to their target, in percent. None never matches."""
    hits = sum(p is not None and p == t for t, p in zip(*paired(targets, predictions), strict=True))
    return {"exact_match": 100.0 * hits / len(targets)}


def extraction_failure_rate(
    targets: Sequence[str], predictions: Sequence[str | None]
) -> dict[str, float]:
    """Share of predictions (None) in which no final answer was found, in percent."""
    paired(targets, predictions)
    return {"extraction_failure_rate": 100.0 * sum(p is None for p in predictions) / len(targets)}


def exact_match_any(
    targets: Sequence[Sequence[str]], predictions: Sequence[str]
) -> dict[str, float]:
    """Share of predictions equal, after `normalise`, to any of their references, in percent."""
    hits = [
        float(any(normalise(prediction) == normalise(reference) for reference in references))
        for references, prediction in zip(*paired(targets, predictions), strict=True)
    ]
    return {"exact_match": round(mean_percent(hits), 4)}


def rouge_l(targets: Sequence[Sequence[str]], predictions: Sequence[str]) -> dict[str, float]:
    """Mean ROUGE-L F-measure in percent, the best over each row's references.

    google rouge-score with the Porter stemmer; the mean is over rows and rounded to 4 decimals, as
    in Tk-Instruct. Meant for English: rouge-score drops other scripts.
    """
    scorer = rouge_scorer(("rougeL",), use_stemmer=True)
    scores = [
        max(scorer.score(reference, prediction)["rougeL"].fmeasure for reference in references)
        for references, prediction in zip(*paired(targets, predictions), strict=True)
    ]
    return {"rouge_l": round(mean_percent(scores), 4)}
