"""Question answering: exact match and word F1 over the best of several answers, and MultiRC."""

import re
import string
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from flan_jax.errors import DataError
from tasks.metrics.classification import positive_f1
from tasks.metrics.rows import f1_percent, mean_percent, paired, references

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)
_BLANK_PUNCTUATION = str.maketrans({mark: " " for mark in string.punctuation + "‘’´`"})
_TRUE_LABELS, _FALSE_LABELS = ("yes", "true"), ("no", "false")


def squad(targets: Sequence[Sequence[str]], predictions: Sequence[str]) -> dict[str, float]:
    """`exact_match` and word `f1` in percent, each by the best of a row's answers.

    Compared are texts in lower case, without punctuation and without articles, as in SQuAD's
    script of version 1.1. Nothing left of both texts is an exact match with F1 0, as there.
    """
    return _best_of_answers(targets, predictions, _without_punctuation)


def trivia_qa(targets: Sequence[Sequence[str]], predictions: Sequence[str]) -> dict[str, float]:
    """`exact_match` and word `f1` in percent, as `squad` but for the punctuation.

    TriviaQA's script puts a blank in its place, and knows a few more marks: "twenty-one" and
    "twenty one" are the same answer here, and different ones in SQuAD.
    """
    return _best_of_answers(targets, predictions, _with_blanks_for_punctuation)


def record(targets: Sequence[Mapping[str, Any]], predictions: Sequence[str]) -> dict[str, float]:
    """ReCoRD: `squad` over one row per query.

    Args:
      targets: {'value': the answers, 'group': what rows of the same query share}. Of several rows
        of one query (there is one per answer in training data) the first is counted.
      predictions: texts.
    """
    first: dict[Hashable, tuple[Sequence[str], str]] = {}
    for target, prediction in zip(*paired(targets, predictions), strict=True):
        first.setdefault(target["group"], (target["value"], prediction))
    answers, texts = zip(*first.values(), strict=True)
    return squad(answers, texts)


def multirc(
    targets: Sequence[Mapping[str, Any]], predictions: Sequence[str | None]
) -> dict[str, float]:
    """MultiRC: `f1` over all answers, `exact_match` over questions with every answer right.

    Args:
      targets: {'value': the label, 'group': what the candidate answers of a question share}.
      predictions: labels. Anything else counts as the wrong one of the two labels.

    Labels are yes and no, or true and false, in any case; the F1 is that of yes and true.

    Raises:
      DataError: a target is another label.
    """
    paired(targets, predictions)
    labels = [target["value"] for target in targets]
    for label in labels:
        if label.casefold() not in _TRUE_LABELS + _FALSE_LABELS:
            raise DataError(f"multirc knows yes, no, true and false, not the label {label!r}.")
    all_right: dict[Hashable, bool] = defaultdict(lambda: True)
    for target, prediction in zip(targets, predictions, strict=True):
        all_right[target["group"]] &= target["value"] == prediction
    is_true = [label.casefold() in _TRUE_LABELS for label in labels]
    return {
        "f1": positive_f1(is_true, labels, predictions),
        "exact_match": mean_percent(list(all_right.values())),
    }


def _best_of_answers(
    targets: Sequence[Sequence[str]], predictions: Sequence[str], reduce: Callable[[str], str]
) -> dict[str, float]:
    matches, f1s = [], []
    for answers, prediction in zip(*paired(targets, predictions), strict=True):
        found = reduce(prediction)
        wanted = [reduce(answer) for answer in references(answers)]
        matches.append(found in wanted)
        f1s.append(max(_word_f1(answer, found) for answer in wanted))
    return {"exact_match": mean_percent(matches), "f1": sum(f1s) / len(f1s)}


def _word_f1(answer: str, prediction: str) -> float:
    wanted, found = Counter(answer.split()), Counter(prediction.split())
    return f1_percent((wanted & found).total(), found.total(), wanted.total())


def _without_punctuation(text: str) -> str:
    return _without_articles(text.lower().translate(_DELETE_PUNCTUATION))


def _with_blanks_for_punctuation(text: str) -> str:
    return _without_articles(text.lower().translate(_BLANK_PUNCTUATION))


def _without_articles(text: str) -> str:
    return " ".join(_ARTICLE.sub(" ", text).split())
