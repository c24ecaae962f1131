import functools

import numpy as np
import pytest
import seqio

from flan_jax.errors import DataError
from tasks import metrics, postprocess
from tasks.registration import ColumnSource, add_text_task

FORMS = [" Yes\n", b" Yes\n", np.array(b" Yes\n"), np.array(" Yes\n"), np.bytes_(b" Yes\n")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("is_target", [True, False])
def test_strip(form, is_target):
    assert postprocess.strip(form, example={}, is_target=is_target) == "Yes"


@pytest.mark.parametrize(
    "stored",
    [
        ["4", "four "],
        [b"4", b"four "],
        np.array([b"4", b"four "], object),
        np.array(["4", "four "]),
    ],
)
def test_answers(stored):
    example = {"answers": stored}
    assert postprocess.answers("4", example, is_target=True) == ["4", "four"]
    assert postprocess.answers(" 4", example, is_target=False) == "4"


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3.0), (" 2.5\n", 2.5), ("-1e2", -100.0), (b"4.", 4.0), (np.array(b"0"), 0.0)]
    + [(text, None) for text in ("", "four", "3 of 5", "nan", "inf", "-Infinity", "1e999")],
)
def test_number(text, value):
    assert postprocess.number(text, example={}, is_target=True) == value


def test_multirc():
    example = {"idx/paragraph": np.int64(3), "idx/question": np.array(7), "idx/answer": 1}
    assert postprocess.multirc("yes", example, is_target=True) == {"value": "yes", "group": (3, 7)}
    assert postprocess.multirc(" no ", example, is_target=False) == "no"


def test_record():
    example = {"idx/passage": 1, "idx/query": np.int32(2), "answers": np.array([b"Ann", b"Bo"])}
    target = postprocess.record("Ann", example, is_target=True)
    assert target == {"value": ["Ann", "Bo"], "group": (1, 2)}
    assert postprocess.record("Ann ", example, is_target=False) == "Ann"


def test_rank():
    example = {
        "idx": np.array([5, 1]),
        "is_correct": np.bool_(True),
        "targets": np.array([8, 9, 1]),
        "targets_pretokenized": "naïf".encode(),
    }
    option = postprocess.rank("naïf", example, is_target=True)
    assert option == metrics.RankedOption(5, 1, True, num_tokens=3, num_characters=4)
    del example["targets_pretokenized"]
    assert postprocess.rank("naïf", example, is_target=True) == option


@pytest.mark.parametrize(
    ("function", "missing"),
    [
        (postprocess.answers, "answers"),
        (postprocess.multirc, "idx/paragraph"),
        (postprocess.record, "answers"),
        (postprocess.rank, "idx"),
    ],
)
def test_a_feature_that_was_not_kept_is_an_error(function, missing):
    with pytest.raises(DataError, match=f"needs the feature '{missing}'"):
        function("x", {"other": 1}, is_target=True)
    with pytest.raises(DataError, match=f"needs the feature '{missing}'"):
        function("x", None, is_target=True)


def evaluated(metric_fn, postprocess_fn, columns, outputs):
    """Registers a task over the columns and has seqio apply its metric to the outputs."""
    vocabulary = seqio.ByteVocabulary()
    task = add_text_task(
        "test_postprocess",
        ColumnSource("rows", lambda split: columns, ["test"]),
        [],
        vocabulary=vocabulary,
        postprocess_fn=postprocess_fn,
        metric_fns=[metric_fn],
    )
    try:
        examples = list(task.get_dataset(None, "test", shuffle=False).as_numpy_iterator())
    finally:
        seqio.TaskRegistry.remove("test_postprocess")
    (metric,) = task.metric_objs
    if isinstance(outputs[0], str):
        tokens = [vocabulary.encode(text) for text in outputs]
        longest = max(map(len, tokens))
        outputs = [each + [0] * (longest - len(each)) for each in tokens]
    made = metric.from_model_output(examples, np.array(outputs), task.output_features)
    return made.actual_compute(examples, task.output_features)[0]


def test_seqio_applies_a_metric_over_predictions_with_its_postprocessor():
    columns = {
        "inputs": ["?", "?"],
        "targets": ["4", "b"],
        "answers": [["4", "four"], ["b", ""]],
    }
    found = evaluated(metrics.squad, postprocess.answers, columns, ["Four", "c"])
    assert found == {"exact_match": 50.0, "f1": 50.0}


def test_seqio_applies_a_factorys_metric_and_a_partial():
    columns = {"inputs": ["?", "?"], "targets": ["yes", "no"]}
    found = evaluated(metrics.binary_f1("yes"), postprocess.strip, columns, [" yes", "yes"])
    assert found == pytest.approx({"f1": 200 / 3, "accuracy": 50.0})
    cased = functools.partial(metrics.edit_distance, lower=False)
    assert evaluated(cased, postprocess.strip, columns, ["Yes", "no"])["sum_edit"] == 1


def test_seqio_applies_rank_classification_to_scores():
    columns = {
        "inputs": ["?"] * 4,
        "targets": ["a", "bbb", "a", "bbb"],
        "idx": [[0, 0], [0, 1], [1, 0], [1, 1]],
        "is_correct": [True, False, False, True],
    }
    scores = [-1.5, -2.0, -1.5, -2.0]
    metric = metrics.rank_classification(num_classes=2)
    found = evaluated(metric, postprocess.rank, columns, scores)
    assert found == {"accuracy": 50.0, "ties": 0.0, "f1": 0.0, "auc": 50.0}
    # Per token, with EOS: -0.75 and -0.5.
    metric = metrics.rank_classification(num_classes=2, normalise="token")
    found = evaluated(metric, postprocess.rank, columns, scores)
    assert found == pytest.approx({"accuracy": 50.0, "ties": 0.0, "f1": 200 / 3, "auc": 50.0})
