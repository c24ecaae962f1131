import itertools
import logging
import math
import random

import numpy as np
import pytest

from flan_jax.errors import ConfigError, DataError
from tasks.metrics import RankedOption, rank_classification


def rows(*questions):
    """One question a list of (score, is_correct); returns (targets, scores) in that order."""
    targets, scores = [], []
    for example, options in enumerate(questions):
        for option, (score, is_correct) in enumerate(options):
            targets.append(RankedOption(example, option, is_correct, 1, 1))
            scores.append(score)
    return targets, np.array(scores, np.float32)


def test_the_likeliest_option_is_the_answer_whatever_the_order_of_rows():
    targets, scores = rows(
        [(-1, True), (-2, False)],
        [(-3, True), (-2, False), (-5, False)],
        [(-9, False), (-8, True)],
        [(-0.5, False)],
    )
    expected = {"accuracy": 50.0, "ties": 0.0}
    assert rank_classification()(targets, scores) == expected
    order = list(range(len(targets)))
    random.Random(0).shuffle(order)
    assert rank_classification()([targets[i] for i in order], scores[order]) == expected


def test_a_tie_counts_by_the_share_of_right_options():
    found = rank_classification()(
        *rows(
            [(-1, True), (-1, False), (-1, False)],  # 1/3
            [(-1, True), (-2, False), (-2, False)],  # 1
            [(-1, False), (-1, False), (-2, True)],  # 0
            [(-1, True), (-1, True), (-1, False)],  # 2/3
        )
    )
    assert found == pytest.approx({"accuracy": 50.0, "ties": 75.0})


def test_any_of_several_right_options_is_right():
    found = rank_classification(num_classes=3)(
        *rows([(-3, True), (-1, True), (-2, False)], [(-3, True), (-2, True), (-1, False)])
    )
    # No question has exactly one right option, so there is no F1.
    assert found == {"accuracy": 50.0, "ties": 0.0}


def test_scores_are_normalised_by_length():
    # Log-likelihood, tokens, characters. Sum: option 0; per token: 1; per character: 2.
    options = [(-4.0, 1, 4), (-6.0, 6, 6), (-7.5, 3, 30)]
    scores = [score for score, *_ in options]
    for right, normalise in enumerate(("sum", "token", "char")):
        targets = [
            RankedOption(0, i, i == right, tokens, characters)
            for i, (_, tokens, characters) in enumerate(options)
        ]
        found = rank_classification(normalise=normalise)(targets, scores)
        assert found == {"accuracy": 100.0, "ties": 0.0}, normalise


def test_an_empty_option_has_length_one():
    targets = [RankedOption(0, 0, True, 1, 0), RankedOption(0, 1, False, 2, 5)]
    found = rank_classification(normalise="char")(targets, [-1.0, -10.0])
    assert found["accuracy"] == 100.0


def test_two_classes_by_hand():
    found = rank_classification(num_classes=2)(
        *rows(
            [(-2, False), (-1, True)],  # class 1, difference 1: right
            [(-1, False), (-3, True)],  # class 1, difference -2: wrong
            [(-4, True), (-4, False)],  # class 0, difference 0: half right
            [(-1, True), (-5, False)],  # class 0, difference -4: right
        )
    )
    # Class 1: 1 hit, 1.5 found, 2 wanted, F1 = 2 / 3.5. Of the pairs (1, 0), (1, -4), (-2, 0) and
    # (-2, -4) three are in order.
    expected = {"accuracy": 62.5, "ties": 25.0, "f1": 200 / 3.5, "auc": 75.0}
    assert found == pytest.approx(expected)


def test_auc_is_the_share_of_pairs_in_order():
    draw = random.Random(2)
    questions = []
    for _ in range(60):
        is_positive = draw.random() < 0.4
        # Few values, so that some differences are equal.
        scores = [-draw.randint(1, 4), -draw.randint(1, 4) + is_positive]
        questions.append([(scores[0], not is_positive), (scores[1], is_positive)])
    found = rank_classification(num_classes=2)(*rows(*questions))
    differences = {True: [], False: []}
    for (low, _), (high, is_positive) in questions:
        differences[is_positive].append(high - low)
    pairs = list(itertools.product(differences[True], differences[False]))
    in_order = sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs)
    assert found["auc"] == pytest.approx(100 * in_order / len(pairs))
    assert 50 < found["auc"] < 100


def test_auc_of_one_class_is_50_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        found = rank_classification(num_classes=2)(*rows([(-2, False), (-1, True)]))
    assert found == {"accuracy": 100.0, "ties": 0.0, "f1": 100.0, "auc": 50.0}
    assert "one class only" in caplog.text


def test_more_classes_have_a_mean_f1():
    found = rank_classification(num_classes=3)(
        *rows(
            [(-1, True), (-2, False), (-3, False)],
            [(-1, False), (-2, True), (-3, False)],
            [(-3, False), (-1, True), (-2, False)],
        )
    )
    # Class 0: 1 hit, 2 found, 1 wanted. Class 1: 1 hit, 1 found, 2 wanted. Class 2: 0.
    assert found == pytest.approx(
        {"accuracy": 200 / 3, "ties": 0.0, "macro_f1": 100 * (2 / 3 + 2 / 3 + 0) / 3}
    )


def test_rows_that_are_missing_double_or_not_finite_are_errors():
    metric = rank_classification()
    targets, scores = rows([(-1, True), (-2, False)], [(-1, True), (-2, False)])
    with pytest.raises(DataError, match=r"Question 1 has the options \[1\] instead of 0 to 1"):
        metric([*targets[:2], targets[3]], [-1.0, -2.0, -3.0])
    with pytest.raises(DataError, match="instead of 0 to 2"):
        rank_classification(num_classes=3)(targets, scores)
    with pytest.raises(DataError, match="Option 0 of question 0 occurs twice"):
        metric([targets[0], targets[0]], [-1.0, -2.0])
    for bad in (math.nan, -math.inf):
        with pytest.raises(DataError, match="Option 1 of question 0 has the score"):
            metric(targets[:2], [-1.0, bad])
    with pytest.raises(DataError, match="over no rows"):
        metric([], np.zeros(0))
    with pytest.raises(DataError, match="4 targets but 1 scores"):
        metric(targets, scores[:1])


def test_arguments_are_checked():
    with pytest.raises(ConfigError, match="normalise must be one of"):
        rank_classification(normalise="words")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="two classes at least"):
        rank_classification(num_classes=1)
