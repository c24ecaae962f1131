"""Evaluation of toy tasks: the same metrics as seqio's Evaluator, in order, failures contained."""

import json

import numpy as np
import pytest

from flan_jax import testing
from flan_jax.decode import DecodeConfig
from flan_jax.errors import DataError
from flan_jax.eval import runner


def silent(text):
    del text


def mean_words(targets, predictions):
    """Depends on every prediction and on its row."""
    weights = np.arange(1, len(targets) + 1)
    words = np.array(
        [len(p.split()) + 10 * (t == p) for t, p in zip(targets, predictions, strict=True)]
    )
    return {"weighted_words": float((weights * words).sum())}


def mean_score(targets, scores):
    weights = np.arange(1, len(targets) + 1)
    return {"weighted_score": float((weights * np.asarray(scores)).sum())}


def mean_aux(targets, predictions, aux_values):
    return {"best_score": float(np.max(aux_values["scores"]))}


def broken(targets, predictions):
    raise ZeroDivisionError("no such luck")


def rows_of(folder, task, step):
    text = (folder / f"{task}-{step}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_metrics_equal_those_of_seqios_evaluator(tiny, dataset, tmp_path):
    import seqio

    metric_fns = [mean_words, mean_score, mean_aux]
    task = testing.register_toy_task("eval_seqio", num_examples=19, metric_fns=metric_fns)
    cfg = dataset("eval_seqio")
    found = runner.evaluate_tasks(*tiny.args(), cfg, output_dir=tmp_path, step=3, say=silent)
    lines = rows_of(tmp_path, "eval_seqio", 3)

    vocabulary = task.output_features["targets"].vocabulary
    by_index = [(i, vocabulary.encode(line["prediction"])) for i, line in enumerate(lines)]
    padded = [(i, tokens + [1] + [0] * (20 - len(tokens))) for i, tokens in by_index]
    evaluator = seqio.Evaluator(
        "eval_seqio",
        feature_converter=seqio.EncDecFeatureConverter(pack=False),
        sequence_length=cfg.task_feature_lengths,
        num_examples=None,
    )
    scores = [(i, line["targets_score"]) for i, line in enumerate(lines)]
    aux = {"scores": [line["score"] for line in lines]}
    expected, _ = evaluator.evaluate(
        compute_metrics=True,
        predict_fn=lambda ds: padded,
        score_fn=lambda ds: scores,
        predict_with_aux_fn=lambda ds: (padded, aux),
    )
    expected = expected.result()["eval_seqio"]
    evaluator.close()
    assert set(expected) == {"weighted_words", "weighted_score", "best_score"}
    for name, value in expected.items():
        np.testing.assert_allclose(found["eval_seqio"][name], value, rtol=1e-6)
    assert found["eval_seqio"]["num_examples"] == 19


def test_predictions_keep_the_order_and_do_not_depend_on_batches_or_devices(
    tiny, tiny_on_eight_devices, dataset, tmp_path
):
    testing.register_toy_task("eval_order", num_examples=21, seed=4)
    texts = [inputs for inputs, _ in testing.toy_rows(21, seed=5)]
    config = DecodeConfig(method="sample", temperature=1.5)
    runner.evaluate_tasks(
        *tiny_on_eight_devices.args(),
        dataset("eval_order"),
        config,
        output_dir=tmp_path / "8",
        say=silent,
    )
    runner.evaluate_tasks(
        *tiny.args(),
        dataset("eval_order", batch_size=5),
        config,
        output_dir=tmp_path / "1",
        say=silent,
    )
    many, one = rows_of(tmp_path / "8", "eval_order", 0), rows_of(tmp_path / "1", "eval_order", 0)
    assert [row["inputs"] for row in many] == texts
    assert [row["prediction"] for row in many] == [row["prediction"] for row in one]
    np.testing.assert_allclose(
        [row["score"] for row in many], [row["score"] for row in one], atol=1e-5
    )
    assert len({row["prediction"] for row in many}) > 5


def test_one_failing_task_is_named_and_the_others_count(tiny, dataset, tmp_path):
    testing.register_toy_task("eval_good", num_examples=5)
    testing.register_toy_task("eval_bad", num_examples=5, metric_fns=[broken])
    testing.register_toy_mixture("eval_both", {"eval_good": 1, "eval_bad": 1})
    said = []
    found = runner.evaluate_tasks(
        *tiny.args(), dataset("eval_both"), output_dir=tmp_path, say=said.append
    )
    assert "exact_match" in found["eval_good"]
    assert found["eval_bad"] == {"error": "ZeroDivisionError: no such luck"}
    assert any("eval_bad FAILED" in line for line in said)
    with pytest.raises(DataError, match="1 of 2 tasks .*\n.*eval_bad: ZeroDivisionError"):
        runner.raise_failures(found)
    runner.raise_failures({"eval_good": found["eval_good"]})
    assert "no such luck" in runner.format_table(found)


def test_subset_is_seeded_reported_and_part_of_the_whole(tiny, dataset, tmp_path):
    testing.register_toy_task("eval_subset", num_examples=21)
    for name, seed, count in (("a", 0, 6), ("b", 0, 6), ("c", 1, 6), ("all", 0, None)):
        found = runner.evaluate_tasks(
            *tiny.args(),
            dataset("eval_subset", seed=seed),
            output_dir=tmp_path / name,
            num_examples=count,
            say=silent,
        )
    assert found["eval_subset"]["num_available"] == 21
    a, b, c, whole = (
        [(row["inputs"], row["prediction"]) for row in rows_of(tmp_path / name, "eval_subset", 0)]
        for name in ("a", "b", "c", "all")
    )
    assert a == b and a != c and len(a) == 6
    positions = [whole.index(row) for row in a]
    assert positions == sorted(positions) and positions != list(range(6))


def test_cut_inputs_and_unfinished_outputs_are_counted(tiny, dataset):
    rows = [("copy red", "red"), ("copy " + "red " * 9, "red " * 9)]
    testing.register_toy_task("eval_cut", rows=rows)
    config = DecodeConfig(max_decode_length=1)
    found = runner.evaluate_tasks(*tiny.args(), dataset("eval_cut"), config, say=silent)["eval_cut"]
    assert found["num_examples"] == 2
    assert found["truncated_inputs"] == 1 and found["truncated_targets"] == 1
    assert 0 <= found["unfinished"] <= 2
    assert found["decode_tokens_per_s"] > 0


def test_several_outputs_of_a_row_are_written_best_first(tiny, dataset, tmp_path):
    testing.register_toy_task("eval_beam", num_examples=3)
    config = DecodeConfig(method="beam", beam_size=3)
    runner.evaluate_tasks(
        *tiny.args(), dataset("eval_beam"), config, output_dir=tmp_path, say=silent
    )
    for row in rows_of(tmp_path, "eval_beam", 0):
        assert len(row["predictions"]) == 3
        assert row["predictions"][0] == row["prediction"]
        assert row["scores"] == sorted(row["scores"], reverse=True)


def test_teacher_forced_loss_is_weighted_by_token_packed_or_not(tiny, dataset):
    testing.register_toy_task("eval_loss_a", num_examples=11)
    testing.register_toy_task("eval_loss_b", num_examples=4, seed=9)
    testing.register_toy_mixture("eval_loss", {"eval_loss_a": 1, "eval_loss_b": 1})
    plain = runner.train_eval(*tiny.args(), dataset("eval_loss"), say=silent)
    packed = runner.train_eval(*tiny.args(), dataset("eval_loss", pack=True), say=silent)
    assert set(plain) == {"eval_loss_a", "eval_loss_b"}
    for task, values in plain.items():
        assert values["num_tokens"] == packed[task]["num_tokens"]
        np.testing.assert_allclose(values["loss"], packed[task]["loss"], rtol=1e-5)

    found = runner.evaluate_tasks(*tiny.args(), _scored(dataset, "eval_loss_a", 11), say=silent)[
        "eval_loss_a"
    ]
    loss = -found["total_score"] / plain["eval_loss_a"]["num_tokens"]
    np.testing.assert_allclose(plain["eval_loss_a"]["loss"], loss, rtol=1e-5)


def _scored(dataset, name, num_examples):
    """Registers the task anew with the sum of its scores as metric."""

    def total(targets, scores):
        return {"total_score": float(np.sum(scores))}

    testing.register_toy_task(name, num_examples=num_examples, metric_fns=[total])
    return dataset(name)


def test_a_resolved_mixture_is_read_once(tiny, dataset, monkeypatch):
    from flan_jax.data import eval_data
    from flan_jax.data.mixture import resolve

    testing.register_toy_task("eval_read_once", num_examples=5)
    cfg = dataset("eval_read_once")
    resolved = resolve(cfg)
    # As resolving again does through a task module's register().
    testing.register_toy_task("eval_read_once", num_examples=5)
    reads = []
    read = eval_data.eval_examples
    monkeypatch.setattr(
        eval_data, "eval_examples", lambda *args, **kwargs: reads.append(1) or read(*args, **kwargs)
    )
    for _ in range(2):
        runner.evaluate_tasks(*tiny.args(), cfg, mixture=resolved, say=silent)
    runner.train_eval(*tiny.args(), cfg, mixture=resolved, say=silent)
    assert len(reads) == 1
