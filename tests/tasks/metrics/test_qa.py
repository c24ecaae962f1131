import pytest

from flan_jax.errors import DataError
from tasks.metrics import multirc, record, squad, trivia_qa


def test_squad_normalises_case_punctuation_articles_and_blanks():
    assert squad([["The  Eiffel Tower."]], ["eiffel tower"]) == {"exact_match": 100.0, "f1": 100.0}
    # Punctuation is deleted, so the parts of a word join up; "another" holds no article.
    assert squad([["twenty-one"]], ["twentyone"])["exact_match"] == 100.0
    assert squad([["another"]], ["other"])["exact_match"] == 0.0


def test_squad_f1_by_hand():
    # After the article is gone: 2 words in common, 3 found, 2 wanted. P = 2/3, R = 1, F1 = 4/5.
    assert squad([["the red fox"]], ["red fox runs"]) == pytest.approx(
        {"exact_match": 0.0, "f1": 80.0}
    )
    # Words count as often as they occur: 1 in common, 3 found, 2 wanted: 2 * 1 / 5.
    assert squad([["so what"]], ["so so so"])["f1"] == pytest.approx(40.0)
    assert squad([["x"]], [""]) == {"exact_match": 0.0, "f1": 0.0}


def test_squad_takes_the_best_answer_of_each_row_and_the_mean_of_rows():
    targets = [["x y", "z"], ["k"]]
    # Row 1: F1 with "x y" is 2 * 1 / 3, with "z" 0. Row 2 is exact.
    assert squad(targets, ["x", "k"]) == pytest.approx(
        {"exact_match": 50.0, "f1": 100 * (2 / 3 + 1) / 2}
    )


def test_nothing_left_of_both_texts_is_an_exact_match_with_f1_zero():
    assert squad([["The"]], ["a"]) == {"exact_match": 100.0, "f1": 0.0}


def test_trivia_qa_puts_blanks_for_punctuation():
    targets = [["twenty-one"], ["don`t_know"], ["‘the’ Beatles´"]]
    predictions = ["Twenty One", "don t know", "beatles"]
    assert trivia_qa(targets, predictions) == {"exact_match": 100.0, "f1": 100.0}
    assert squad(targets[:1], predictions[:1])["exact_match"] == 0.0


def test_a_row_without_answers_is_an_error():
    with pytest.raises(DataError, match="no reference"):
        squad([[]], ["x"])


def test_record_counts_a_query_once():
    targets = [
        {"value": ["Ann", "Ann Smith"], "group": (0, 0)},
        {"value": ["Ann", "Ann Smith"], "group": (0, 0)},
        {"value": ["Bob"], "group": (0, 1)},
        {"value": ["Cid"], "group": (1, 0)},
    ]
    found = record(targets, ["ann smith", "no one", "Bob Jones", "Cid"])
    # Three queries: exact, F1 2 * 1 / 3, exact.
    assert found == pytest.approx({"exact_match": 200 / 3, "f1": 100 * (1 + 2 / 3 + 1) / 3})


def test_multirc_by_hand():
    rows = [
        ("yes", (0, 0), "yes"),
        ("no", (0, 0), "no"),
        ("yes", (0, 1), "yes"),
        ("no", (0, 1), "yes"),
        ("yes", (1, 0), "perhaps"),
    ]
    targets = [{"value": label, "group": group} for label, group, _ in rows]
    # F1: 2 hits, 3 found, 3 wanted. Only the first of three questions is right throughout.
    found = multirc(targets, [prediction for *_, prediction in rows])
    assert found == pytest.approx({"f1": 200 / 3, "exact_match": 100 / 3})


def test_multirc_takes_an_invalid_prediction_for_the_wrong_label():
    targets = [{"value": label, "group": i} for i, label in enumerate(["True", "False"])]
    # One hit, two found (None stands for True), one wanted: 2 * 1 / 3.
    assert multirc(targets, ["True", None]) == pytest.approx({"f1": 200 / 3, "exact_match": 50.0})


def test_multirc_refuses_other_labels():
    with pytest.raises(DataError, match="not the label '1'"):
        multirc([{"value": "1", "group": 0}], ["1"])


@pytest.mark.parametrize("metric", [squad, trivia_qa, record, multirc])
def test_no_rows_and_unpaired_rows_are_errors(metric):
    with pytest.raises(DataError, match="over no rows"):
        metric([], [])
    with pytest.raises(DataError, match="1 targets but 0 predictions"):
        metric([["a"]], [])
