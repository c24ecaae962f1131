"""Evaluation rows: all of them, once, in order, with what metrics need."""

import numpy as np
import pytest

from flan_jax import testing
from flan_jax.data.config import DatasetConfig
from flan_jax.data.eval_data import EvalBatches, eval_examples, loss_batches
from flan_jax.errors import DataError

LENGTHS = {"inputs": 6, "targets": 5}


@pytest.fixture(scope="module")
def tasks():
    testing.register_toy_task("eval_a", 21, seed=1)
    testing.register_toy_task("eval_b", 5, seed=2)
    testing.register_toy_mixture("eval_mix", {"eval_a": 1.0, "eval_b": 9.0})
    return eval_examples(make_config())


def make_config(name="eval_mix", **changes):
    fields = {
        "mixture_or_task_name": name,
        "task_feature_lengths": LENGTHS,
        "split": "validation",
        "batch_size": 4,
        "shuffle": False,
        "seed": 0,
    }
    return DatasetConfig(**{**fields, **changes})


def test_examples_are_the_split_in_order_with_their_texts(tasks):
    assert [task.name for task in tasks] == ["eval_a", "eval_b"]
    rows = testing.toy_rows(21, seed=2)  # The second split's seed is one higher.
    assert len(tasks[0].examples) == 21
    vocabulary = testing.toy_vocabulary()
    for example, (inputs, targets) in zip(tasks[0].examples, rows, strict=True):
        assert example["inputs_pretokenized"].decode() == inputs
        assert example["targets_pretokenized"].decode() == targets
        assert example["inputs"].dtype == np.int32
        assert example["inputs"].tolist() == [*vocabulary.encode(inputs)[:5], 1]
        assert set(example) == {"inputs", "targets", "inputs_pretokenized", "targets_pretokenized"}
    assert tasks[0].truncated_inputs == sum(len(a.split()) + 1 > 6 for a, _ in rows) > 0
    assert tasks[0].truncated_targets == sum(len(b.split()) + 1 > 5 for _, b in rows) > 0


def test_max_examples_takes_the_first(tasks):
    some = eval_examples(make_config(), max_examples=3)
    assert [len(task.examples) for task in some] == [3, 3]
    np.testing.assert_array_equal(some[0].examples[2]["inputs"], tasks[0].examples[2]["inputs"])


def test_empty_split_is_an_error():
    testing.register_toy_task("eval_none", rows=[], report_size=False)
    with pytest.raises(DataError, match="'eval_none' has no rows"):
        eval_examples(make_config("eval_none"))


@pytest.mark.parametrize("sort_by_length", [True, False])
def test_batches_hold_each_example_once_and_results_return_in_order(tasks, sort_by_length):
    examples = tasks[0].examples
    batches = EvalBatches(
        examples, LENGTHS, 4, task_id=7, sort_by_length=sort_by_length, input_buckets=(4,)
    )
    assert len(batches) == len(list(batches)) == 6
    results, widths = [], []
    for batch in batches:
        tokens_BxL = batch.features["encoder_input_tokens"]
        widths.append(tokens_BxL.shape[1])
        assert batch.features["decoder_target_tokens"].shape == (4, 5)
        assert batch.row_weights_B.sum() == len(batch.indices)
        assert not tokens_BxL[batch.row_weights_B == 0].any()
        assert set(np.unique(batch.features["decoder_task_ids"])) <= {0, 7}
        results.append([tuple(row[row > 0].tolist()) for row in tokens_BxL])
    assert sum(len(result) for result in results) == 24
    ordered = batches.in_order(results)
    assert ordered == [tuple(example["inputs"].tolist()) for example in examples]
    lengths = [len(example["inputs"]) for example in examples]
    lengths = sorted(lengths) if sort_by_length else lengths
    longest = [max(lengths[i : i + 4]) for i in range(0, len(lengths), 4)]
    assert widths == [4 if most <= 4 else 6 for most in longest]
    assert widths.count(4) == (1 if sort_by_length else 0)


def test_predictions_need_no_targets():
    batches = EvalBatches([{"inputs": np.array([3, 1], np.int32)}], LENGTHS, 2)
    (batch,) = batches
    assert not batch.features["decoder_target_tokens"].any()
    assert batch.features["encoder_input_tokens"].tolist() == [[3, 1, 0, 0, 0, 0], [0] * 6]


@pytest.mark.parametrize("pack", [True, False])
def test_loss_batches_count_every_target_once(tasks, pack):
    weights = {"eval_a": 0, "eval_b": 0}
    names = []
    for name, batch in loss_batches(make_config(pack=pack, packing_window=8), tasks):
        names.append(name)
        assert batch["decoder_target_tokens"].shape == (4, 5)
        assert ("decoder_segment_ids" in batch) == pack
        assert set(batch["decoder_task_ids"][batch["decoder_loss_weights"] > 0]) == {
            int(name == "eval_b")
        }
        weights[name] += int(batch["decoder_loss_weights"].sum())
    for task in tasks:
        assert weights[task.name] == sum(len(example["targets"]) for example in task.examples)
    assert names == sorted(names)
    few = [name for name, _ in loss_batches(make_config(pack=pack), tasks, max_batches=1)]
    assert few == ["eval_a", "eval_b"]
