import logging
import math
import random

import pytest
import scipy.stats

from flan_jax.errors import ConfigError, DataError
from tasks.metrics import accuracy, binary_f1, correlation, macro_f1, matthews


def test_accuracy():
    assert accuracy(["a", "b", "a", "c"], ["a", "b", "b", None]) == {"accuracy": 50.0}


def test_binary_f1_by_hand():
    targets = ["yes", "yes", "yes", "no", "no", "no"]
    predictions = ["yes", "yes", "no", "yes", "no", "no"]
    # Two true positives of three found and three wanted: precision = recall = F1 = 2/3.
    found = binary_f1("yes")(targets, predictions)
    assert found == pytest.approx({"f1": 200 / 3, "accuracy": 400 / 6})
    # The same rows with "no" as the positive label: 2 of 3 and 2 of 3 again.
    assert binary_f1("no")(targets, predictions)["f1"] == pytest.approx(200 / 3)


def test_binary_f1_takes_an_invalid_prediction_for_the_wrong_label():
    # One hit; "maybe" for a "no" is a false positive, None for a "yes" a false negative:
    # F1 = 2 / (2 + 1 + 1).
    found = binary_f1("yes")(["yes", "no", "yes"], ["yes", "maybe", None])
    assert found == pytest.approx({"f1": 50.0, "accuracy": 100 / 3})
    # It never scores better than the label that it stands for.
    assert found == binary_f1("yes")(["yes", "no", "yes"], ["yes", "yes", "no"])


def test_binary_f1_without_a_hit_is_zero():
    assert binary_f1("yes")(["no", "no"], ["no", "no"]) == {"f1": 0.0, "accuracy": 100.0}


def test_binary_f1_of_more_than_two_labels_is_an_error():
    with pytest.raises(DataError, match=r"\['Yes', 'no', 'yes'\] instead of two"):
        binary_f1("Yes")(["yes", "no"], ["yes", "no"])


def test_macro_f1_by_hand():
    targets = ["x", "x", "y", "y", "z", "z"]
    predictions = ["x", "y", "y", "y", "x", "junk"]
    # x: 1 hit, 2 found, 2 wanted: 2/4. y: 2 hits, 3 found, 2 wanted: 4/5. z: 0.
    found = macro_f1(("x", "y", "z"))(targets, predictions)
    assert found == pytest.approx({"macro_f1": 100 * (0.5 + 0.8 + 0) / 3, "accuracy": 50.0})


def test_macro_f1_counts_labels_that_do_not_occur():
    assert macro_f1(("x", "y"))(["x"], ["x"]) == {"macro_f1": 50.0, "accuracy": 100.0}


def test_labels_are_checked():
    with pytest.raises(DataError, match=r"Targets \['No'\] are none of"):
        macro_f1(("yes", "no"))(["No"], ["no"])
    with pytest.raises(DataError, match=r"Targets \['x'\] are none of"):
        matthews(("yes", "no"))(["x"], ["no"])
    with pytest.raises(ConfigError, match="different texts"):
        macro_f1("yes")
    with pytest.raises(ConfigError, match="different texts"):
        macro_f1(("yes", "yes"))
    with pytest.raises(ConfigError, match="takes two labels"):
        matthews(("a", "b", "c"))


def test_matthews_is_the_correlation_of_labels_as_0_and_1():
    # For two classes Matthews' coefficient is Pearson's of the indicators.
    draw = random.Random(0)
    targets = [draw.randint(0, 1) for _ in range(40)]
    predictions = [each if draw.random() < 0.7 else 1 - each for each in targets]
    names = ("unacceptable", "acceptable")
    found = matthews(names)([names[i] for i in targets], [names[i] for i in predictions])
    expected = 100 * scipy.stats.pearsonr(targets, predictions)[0]
    assert found == {"matthews": pytest.approx(expected)}
    assert 0 < expected < 100


def test_matthews_takes_an_invalid_prediction_for_the_wrong_label():
    targets = ["bad", "good", "good", "bad", "good"]
    # True positives 2, false negative 1, true negative 1, false positive 1:
    # (2 * 1 - 1 * 1) / sqrt(3 * 3 * 2 * 2) = 1 / 6.
    found = matthews(("bad", "good"))(targets, ["bad", "good", "good", "", None])
    assert found == {"matthews": pytest.approx(100 / 6)}


def test_matthews_of_one_label_is_zero_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        assert matthews(("a", "b"))(["a", "b"], ["b", "b"]) == {"matthews": 0.0}
    assert "not defined" in caplog.text


def test_correlation_agrees_with_scipy():
    draw = random.Random(1)
    targets = [float(draw.randint(0, 5)) for _ in range(50)]
    predictions = [round(each + draw.gauss(0, 1.5), 1) for each in targets]
    found = correlation(targets, predictions)
    assert found == pytest.approx(
        {
            "pearson": 100 * scipy.stats.pearsonr(targets, predictions)[0],
            "spearman": 100 * scipy.stats.spearmanr(targets, predictions)[0],
        }
    )


def test_correlation_by_hand():
    # Centred: (-1, 0, 1) and (-4/3, -1/3, 5/3). Products 3; squares 2 and (16 + 1 + 25) / 9 = 14/3.
    found = correlation([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    assert found == pytest.approx({"pearson": 100 * 3 / math.sqrt(2 * 14 / 3), "spearman": 100.0})


def test_correlation_takes_no_number_for_the_far_end_of_the_scale():
    targets = [0.0, 1.0, 4.0, 5.0]
    found = correlation(targets, [None, 1.0, math.inf, math.nan])
    assert found == pytest.approx(correlation(targets, [5.0, 1.0, 0.0, 0.0]))


@pytest.mark.parametrize("rows", [([1.0, 2.0], [3.0, 3.0]), ([1.0, 1.0], [2.0, 3.0]), ([1], [1])])
def test_correlation_of_constants_is_zero_with_a_warning(rows, caplog):
    with caplog.at_level(logging.WARNING):
        assert correlation(*rows) == {"pearson": 0.0, "spearman": 0.0}
    assert "constant" in caplog.text


def test_correlation_survives_huge_predictions():
    found = correlation([0.0, 1.0, 2.0], [1.0, 2.0, 1e308])
    assert found == pytest.approx({"pearson": 100 * math.sqrt(3) / 2, "spearman": 100.0})


def test_correlation_with_a_target_that_is_no_number_is_an_error():
    with pytest.raises(DataError, match="no number"):
        correlation([1.0, None], [1.0, 2.0])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "metric", [accuracy, binary_f1("a"), macro_f1(("a", "b")), matthews(("a", "b")), correlation]
)
def test_no_rows_and_unpaired_rows_are_errors(metric):
    with pytest.raises(DataError, match="over no rows"):
        metric([], [])
    with pytest.raises(DataError, match="1 targets but 2 predictions"):
        metric(["a"], ["a", "b"])
