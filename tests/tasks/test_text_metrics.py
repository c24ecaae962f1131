import pytest

from flan_jax.errors import DataError
from tasks.metrics import exact_match, exact_match_any, extraction_failure_rate, normalise, rouge_l


def test_exact_match_counts_none_as_wrong():
    assert exact_match(["4", "yes", "(A)", "x"], ["4", "no", None, "x"]) == {"exact_match": 50.0}


def test_extraction_failure_rate_counts_none():
    found = extraction_failure_rate(["a", "b", "c", "d"], ["a", None, "x", "y"])
    assert found == {"extraction_failure_rate": 25.0}


def test_normalise_keeps_articles_and_drops_punctuation():
    assert normalise("  The  answer, is: U.S.! ") == "the answer is us"


def test_exact_match_any_takes_the_best_reference():
    targets = [["no", "Not at all."], ["a b"], ["x"]]
    assert exact_match_any(targets, ["not at all", "A  b!", "y"]) == {"exact_match": 66.6667}


def test_rouge_l_by_hand():
    # Longest common subsequence "the sat" of 3 and 2 words: precision 1, recall 2/3, F 0.8.
    assert rouge_l([["the cat sat"]], ["the sat"]) == {"rouge_l": 80.0}
    # The stemmer makes "running" and "runs" one word; the empty prediction scores 0.
    targets = [["nothing alike", "running fast"], ["x y"]]
    assert rouge_l(targets, ["runs fast", ""]) == {"rouge_l": 50.0}


def test_rouge_l_is_the_maximum_over_references_not_their_mean():
    both = rouge_l([["completely other words", "a good title"]], ["a good title"])
    assert both == {"rouge_l": 100.0}


def test_unpaired_or_empty_lists_are_errors():
    with pytest.raises(DataError, match="2 targets but 1 predictions"):
        exact_match(["a", "b"], ["a"])
    with pytest.raises(DataError, match="over no rows"):
        rouge_l([], [])
