"""Typed rates of stages, by hand."""

import pytest

from flan_jax.data.order.rates import Cap, Fraction, Weight, matching, shares
from flan_jax.errors import ConfigError, NotFoundError

NAMES = ["cot_a", "cot_b", "ni", "qa"]
OWN = [1.0, 3.0, 4.0, 2.0]
ROWS = [10, 30, 500, 20]


def test_without_stages_the_mixtures_rates_hold():
    assert shares(NAMES, OWN, ROWS, {}, "here") == pytest.approx([0.1, 0.3, 0.4, 0.2])


def test_weights_and_numbers_replace_rates():
    found = shares(NAMES, OWN, ROWS, {"cot_*": Weight(1.0), "ni": 0}, "here")
    assert found == pytest.approx([0.25, 0.25, 0.0, 0.5])


def test_caps_are_rows_of_the_task():
    assert shares(NAMES, OWN, ROWS, {"*": Cap(40)}, "here") == pytest.approx([0.1, 0.3, 0.4, 0.2])


def test_a_fraction_is_shared_by_the_tasks_own_rates():
    found = shares(NAMES, OWN, ROWS, {"cot_*": Fraction(0.8)}, "here")
    assert found == pytest.approx([0.2, 0.6, 0.2 * 4 / 6, 0.2 * 2 / 6])
    found = shares(NAMES, OWN, ROWS, {"cot_*": Fraction(1.0), "ni": 0, "qa": 0}, "here")
    assert found == pytest.approx([0.25, 0.75, 0, 0])


def test_a_name_goes_before_patterns_and_the_first_pattern_before_others():
    found = matching(["cot_*", "*", "cot_b"], NAMES, "here")
    assert found == {"cot_a": "cot_*", "cot_b": "cot_b", "ni": "*", "qa": "*"}


@pytest.mark.parametrize(
    "given, message",
    [
        ({"*": 0}, "no task is left"),
        ({"cot_a": Fraction(0.7), "ni": Fraction(0.6)}, "add up to 1.3"),
        ({"cot_*": Fraction(1.0)}, "2 other tasks would have none"),
        ({"cot_*": Fraction(0.5), "ni": 0, "qa": 0}, "no task is left for 0.5"),
        ({"cot_*": "much"}, "A rate is 'much'"),
    ],
)
def test_rates_that_cannot_be_met(given, message):
    with pytest.raises(ConfigError, match=message):
        shares(NAMES, OWN, ROWS, given, "here")


def test_a_pattern_for_no_task_is_a_mistake():
    with pytest.raises(NotFoundError, match="names 'cot_c', which stands for none.*cot_"):
        shares(NAMES, OWN, ROWS, {"cot_c": 1}, "here")
    with pytest.raises(ConfigError, match="Fraction"):
        Fraction(1.5)
    with pytest.raises(ConfigError, match="Cap"):
        Cap(0)
