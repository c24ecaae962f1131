import functools
import math

import pytest
import sacrebleu
from rouge_score import rouge_scorer

from flan_jax.errors import DataError
from tasks.metrics import bleu, edit_distance, rouge

TEXTS = [
    ("The cat sat on the mat . It was happy .", "A cat sat on a mat . It was not unhappy ."),
    ("Prices rose 3.5% in May, the bank said.", "In May prices rose by 3.5%, said the bank."),
    ("Rain is expected tomorrow.", "Snow fell."),
]
TARGETS, PREDICTIONS = [target for target, _ in TEXTS], [prediction for _, prediction in TEXTS]


def test_rouge_by_hand():
    # Common words a, c of 3 and 2: P = 1, R = 2/3, F 4/5. No common pair of words.
    found = rouge(["a b c"], ["a c"])
    assert found == pytest.approx({"rouge1": 80.0, "rouge2": 0.0, "rougeLsum": 80.0})


def test_rouge_is_the_mean_of_rouge_scores_rows():
    kinds = ["rouge1", "rouge2"]
    scorer = rouge_scorer.RougeScorer(kinds)
    rows = [scorer.score(target, prediction) for target, prediction in TEXTS]
    means = {kind: 100 * sum(row[kind].fmeasure for row in rows) / len(rows) for kind in kinds}
    found = rouge(TARGETS, PREDICTIONS)
    assert {kind: found[kind] for kind in kinds} == pytest.approx(means)


def test_rouge_does_not_stem():
    assert rouge(["running"], ["runs"])["rouge1"] == 0.0


@pytest.mark.parametrize("end", [" . ", "\n"])
def test_rouge_lsum_compares_sentences(end):
    # In another order the sentences are still found whole; as one line "a b" is the longest
    # common subsequence of 2 of 4 words.
    found = rouge([f"a b{end}c d"], [f"c d{end}a b"])
    assert found["rougeLsum"] == pytest.approx(100.0)
    assert rouge(["a b c d"], ["c d a b"])["rougeLsum"] == pytest.approx(50.0)


def test_rouge_takes_the_best_reference_for_each_type():
    # Against "c b a x" rouge1 is 2 * 3 / 7 and rouge2 0. Against "a b y z" rouge1 is 2 * 2 / 7 and
    # rouge2 2 * 1 / 5; the longest common subsequence is "a b", 2 * 2 / 7.
    found = rouge([["c b a x", "a b y z"]], ["a b c"])
    assert found == pytest.approx({"rouge1": 600 / 7, "rouge2": 200 / 5, "rougeLsum": 400 / 7})


def test_bleu_by_hand():
    # Of 5 words 4 match, of 4 pairs 3, of 3 triples 2, of 2 quadruples 1; the lengths are equal.
    found = bleu(["a b c d e"], ["a b c d f"])
    assert found == {"bleu": pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4))}
    # One word short: exp(1 - 5/4).
    assert bleu(["a b c d e"], ["a b c d"])["bleu"] == pytest.approx(100 * math.exp(-1 / 4))


def test_bleu_is_sacrebleus_of_the_corpus():
    score = sacrebleu.BLEU(tokenize="intl", smooth_method="exp", force=True)
    expected = score.corpus_score(PREDICTIONS, [TARGETS]).score
    assert bleu(TARGETS, PREDICTIONS) == {"bleu": expected}
    assert 0 < expected < 100
    # Unlike the default tokeniser, 'intl' parts the dash.
    dash = ["well – known things here"], ["well–known things here"]
    assert bleu(*dash)["bleu"] == pytest.approx(100.0)


def test_bleu_smooths_exponentially():
    # 2 of 4 words match. None of 3 pairs, 2 triples and 1 quadruple does: they count 1/2, 1/4, 1/8.
    expected = 100 * (2 / 4 * (1 / 2) / 3 * (1 / 4) / 2 * (1 / 8) / 1) ** (1 / 4)
    assert bleu(["a b c d"], ["a x c y"])["bleu"] == pytest.approx(expected)
    # A corpus without quadruples has BLEU 0, however good.
    assert bleu(["a b c"], ["a b c"])["bleu"] == 0.0


def test_bleu_takes_rows_with_different_numbers_of_references():
    found = bleu([["x x x x x", "a b c d"], ["e f g h i"]], ["a b c d", "e f g h i"])
    assert found["bleu"] == pytest.approx(100.0)


def test_edit_distance_by_hand():
    # kitten/sitting is one word replaced; "on" inserted and "now" deleted are two.
    found = edit_distance(["the kitten sat", "go on now", "x"], ["the sitting sat", "go", "X"])
    expected = {"min_edit": 0, "max_edit": 2, "mean_edit": 1, "median_edit": 1, "sum_edit": 3}
    assert found == expected
    assert edit_distance(["a", "a"], ["a", "b"])["median_edit"] == 0.5


def test_edit_distance_has_empty_words_between_marks():
    # "Hi", "", "you", "" against "hi", "you".
    assert edit_distance(["Hi, you!"], ["hi you"])["sum_edit"] == 2
    # Which mark it is does not matter.
    assert edit_distance(["Hi, you!"], ["Hi; you?"])["sum_edit"] == 0


def test_edit_distance_may_keep_the_case():
    cased = functools.partial(edit_distance, lower=False)
    assert cased(["In May"], ["in may"])["sum_edit"] == 2
    assert edit_distance(["In May"], ["in may"])["sum_edit"] == 0


@pytest.mark.parametrize("metric", [rouge, bleu, edit_distance])
def test_no_rows_and_unpaired_rows_are_errors(metric):
    with pytest.raises(DataError, match="over no rows"):
        metric([], [])
    with pytest.raises(DataError, match="1 targets but 0 predictions"):
        metric(["a"], [])


@pytest.mark.parametrize("metric", [rouge, bleu])
def test_a_row_without_references_is_an_error(metric):
    with pytest.raises(DataError, match="no reference"):
        metric([[]], ["x"])
