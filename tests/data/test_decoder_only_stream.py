"""The stream and evaluation rows of decoder-only models, with and without inputs and weights."""

import itertools
import json

import numpy as np
import pytest
import seqio
import tensorflow as tf

from flan_jax import testing
from flan_jax.data import batched, report, report_page, report_text
from flan_jax.data.config import DatasetConfig
from flan_jax.data.eval_data import EvalBatches, eval_examples, loss_batches
from flan_jax.data.layout import RowLayout
from flan_jax.data.live import TrainIterator
from flan_jax.errors import CheckpointError, ConfigError, DataError
from flan_jax.prompts import RowStep
from tasks.registration import TOKENIZE

CAUSAL = RowLayout("decoder_only")
PREFIX_LM = RowLayout("decoder_only", bidirectional_inputs=True)
LENGTHS = {"inputs": 6, "targets": 5}


def make_config(name, **changes):
    fields = {
        "mixture_or_task_name": name,
        "task_feature_lengths": LENGTHS,
        "split": "train",
        "batch_size": 8,
        "shuffle": True,
        "seed": 3,
        "pack": True,
        "packing_window": 16,
        "snapshot_period": 3,
    }
    return DatasetConfig(**{**fields, **changes})


def add_weights(change=lambda weights: weights, dtype=tf.int32):
    """A step after tokenising: target tokens of even id count 2, others 0."""

    def step(dataset):
        def convert(features):
            weights = 2 * tf.cast(features["targets"] % 2 == 0, dtype)
            return {**features, "targets_loss_weights": change(weights)}

        return dataset.map(convert)

    return step


def register_weighted(name, step=None, eos=True):
    """A task whose weights count the end token in, which its targets have in their text."""
    task = testing.register_toy_task(name, 30, seed=7)
    testing.unregister(name)
    features = {
        "inputs": task.output_features["inputs"],
        "targets": seqio.Feature(task.output_features["targets"].vocabulary, add_eos=False),
    }
    *before, tokenize, append_eos = task.preprocessors

    def close(dataset):
        return dataset.map(lambda row: {**row, "targets": tf.concat([row["targets"], [1]], 0)})

    return seqio.TaskRegistry.add(
        name,
        source=task.source,
        preprocessors=[*before, tokenize, close, step or add_weights(), append_eos],
        output_features=features,
        metric_fns=[],
        shuffle_buffer_size=16,
    )


@pytest.fixture(scope="module", autouse=True)
def tasks():
    testing.register_toy_task("alone", 30, inputs_eos=False)
    testing.register_toy_task("alone_text", 25, has_inputs=False, seed=4)
    register_weighted("alone_weighted")
    testing.register_toy_mixture("alone_mix", {"alone": 1.0, "alone_weighted": 1.0})


def take(stream, count):
    return list(itertools.islice(stream, count))


def assert_same(left, right):
    for one, other in zip(left, right, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


# ---------------------------------------------------------------------------- the stream


def test_a_row_is_the_inputs_of_an_encoder_decoders_row_and_its_targets():
    cfg = make_config("alone", pack=False)
    ours, theirs = next(TrainIterator(cfg, layout=PREFIX_LM)), next(TrainIterator(cfg))
    assert ours["decoder_target_tokens"].shape == (8, 11)
    for row in range(8):
        inputs = theirs["encoder_input_tokens"][row]
        targets = theirs["decoder_target_tokens"][row]
        # The toy vocabulary pads with 0 alone.
        inputs, targets = inputs[inputs > 0].tolist(), targets[targets > 0].tolist()
        count = len(inputs) + len(targets)
        assert 1 not in inputs, "the task's inputs end without an end token"
        assert ours["decoder_target_tokens"][row][:count].tolist() == inputs + targets
        assert ours["decoder_loss_weights"][row].sum() == len(targets)
        assert ours["decoder_causal_attention"][row].sum() == len(inputs) + 1


def test_cuts_are_counted_as_for_two_sides():
    cfg = make_config("alone", in_memory=True, shuffle=False, pack=False, batch_size=30)
    streams = [TrainIterator(cfg, layout=layout) for layout in (CAUSAL, RowLayout())]
    for stream in streams:
        next(stream)
    ours, theirs = (stream.stats() for stream in streams)
    for name in ("truncated_inputs", "truncated_targets", "input_tokens", "target_tokens"):
        assert ours[name] == theirs[name] > 0
    filled = (ours["input_tokens"] + ours["target_tokens"]) / (30 * 11)
    assert ours["fill"] == ours["decoder_fill"] == pytest.approx(filled)
    assert ours["fill"] == pytest.approx(ours["tasks"]["alone"]["decoder_fill"])
    assert "encoder_fill" not in ours
    json.dumps(ours)


@pytest.mark.parametrize("name", ["alone_mix", "alone_weighted"])
def test_resume_goes_on_with_the_same_rows_and_weights(name):
    cfg = make_config(name)
    first = TrainIterator(cfg, layout=PREFIX_LM)
    batches = take(first, 9)
    assert {int(w) for w in np.unique(batches[0]["decoder_loss_weights"])} >= {0, 2}
    resumed = TrainIterator(cfg, layout=PREFIX_LM)
    resumed.restore(first.state_at(4))
    assert_same(take(resumed, 5), batches[4:])


def test_a_position_belongs_to_its_layout_and_the_default_one_is_as_before():
    cfg = make_config("alone")
    old = TrainIterator(cfg).state_at(0)
    assert b"layout" not in old and b"decoder_only" not in old
    with pytest.raises(CheckpointError, match="rows: absent when saved, .*decoder_only"):
        TrainIterator(cfg, layout=CAUSAL).restore(old)
    state = TrainIterator(cfg, layout=CAUSAL).state_at(0)
    TrainIterator(cfg, layout=CAUSAL).restore(state)
    with pytest.raises(CheckpointError, match="rows: "):
        TrainIterator(cfg, layout=PREFIX_LM).restore(state)


def test_inputs_and_targets_of_two_vocabularies_are_refused():
    from flan_jax.data.vocabularies import word_vocabulary

    task = testing.register_toy_task("alone_two", 5)
    other = seqio.Feature(word_vocabulary(testing.TOY_WORDS, extra_ids=3), add_eos=True)
    testing.unregister("alone_two")
    seqio.TaskRegistry.add(
        "alone_two",
        source=task.source,
        preprocessors=list(task.preprocessors),
        output_features={**task.output_features, "targets": other},
    )
    TrainIterator(make_config("alone_two"))
    with pytest.raises(DataError, match="inputs of 'alone_two' have another vocabulary"):
        TrainIterator(make_config("alone_two"), layout=CAUSAL)


# --------------------------------------------------------------------------- plain text


@pytest.mark.parametrize("in_memory", [True, False])
def test_text_without_inputs_is_learned_whole(in_memory):
    cfg = make_config(
        "alone_text",
        task_feature_lengths={"targets": 12},
        in_memory=in_memory,
        shuffle=False,
        pack=False,
        batch_size=25,
    )
    stream = TrainIterator(cfg, layout=CAUSAL)
    batch = next(stream)
    assert batch["decoder_target_tokens"].shape == (25, 12)
    vocabulary = testing.toy_vocabulary()
    texts = [" ".join(row) for row in testing.toy_rows(25, seed=4)]
    expected = [[*vocabulary.encode(text)[:11], 1] for text in texts]
    for row, tokens in zip(batch["decoder_target_tokens"], expected, strict=True):
        assert row[: len(tokens)].tolist() == tokens and not row[len(tokens) :].any()
    assert stream.vocabulary_size == vocabulary.vocab_size
    stats = stream.stats()
    assert stats["input_tokens"] == 0
    cut = sum(len(text.split()) + 1 > 12 for text in texts)
    assert stats["truncated_targets"] == cut > 0


def test_lengths_and_features_that_do_not_fit_say_what_to_do():
    alone = {"targets": 12}
    with pytest.raises(ConfigError, match="encoder-decoder reads 'inputs'"):
        TrainIterator(make_config("alone_text", task_feature_lengths=alone))
    with pytest.raises(DataError, match="leave 'inputs' out of TASK_FEATURE_LENGTHS"):
        TrainIterator(make_config("alone_text"), layout=CAUSAL)
    with pytest.raises(DataError, match="'alone' has inputs, .* Add a length"):
        TrainIterator(make_config("alone", task_feature_lengths=alone), layout=CAUSAL)
    with pytest.raises(ConfigError, match="one for 'input'. Did you mean 'inputs'"):
        make_config("alone", task_feature_lengths={"input": 5, "targets": 5})


def test_batched_tasks_may_lack_inputs_or_have_weights():
    def read(rows):
        return {"targets": rows}

    def weigh(rows):
        ones = tf.ones_like(rows["targets"])
        last = tf.concat([ones[:, :-1] * 0, ones[:, -1:]], axis=1)
        return {**rows, "targets_loss_weights": last}

    source = testing.register_toy_task("alone_source", 20).source
    feature = seqio.Feature(seqio.ByteVocabulary(), add_eos=True)
    for name, steps in (("alone_rows", [TOKENIZE]), ("alone_heavy", [TOKENIZE, RowStep(weigh)])):
        testing.unregister(name)
        task = seqio.TaskRegistry.add(
            name,
            source=source,
            preprocessors=[RowStep(read), *steps],
            output_features={"targets": feature},
        )
        cfg = make_config(name, task_feature_lengths={"targets": 40}, pack=False)
        assert batched.is_batched(task, cfg)
        batch = next(TrainIterator(cfg, layout=CAUSAL))
        sizes_B = (batch["decoder_target_tokens"] > 0).sum(axis=1)
        assert len(set(sizes_B.tolist())) > 1
        last_B = sizes_B - 1
        weights = batch["decoder_loss_weights"]
        if name == "alone_heavy":
            # The end token alone, where no cut has taken it.
            whole = batch["decoder_target_tokens"][range(8), last_B] == 1
            assert weights.sum(axis=1).tolist() == whole.astype(int).tolist() and whole.any()
        else:
            assert weights.sum(axis=1).tolist() == sizes_B.tolist()


# -------------------------------------------------------------------------- loss weights


@pytest.mark.parametrize("in_memory", [True, False])
def test_weights_are_cut_with_their_targets(in_memory):
    cfg = make_config("alone_weighted", pack=False, in_memory=in_memory)
    batch = next(TrainIterator(cfg, layout=CAUSAL))
    theirs = next(TrainIterator(cfg))
    for row in range(8):
        targets = theirs["decoder_target_tokens"][row]
        expected = [2 * (token % 2 == 0) for token in targets[targets > 0].tolist()]
        count = int((theirs["encoder_input_tokens"][row] > 0).sum())
        found = batch["decoder_loss_weights"][row][count : count + len(expected)]
        assert found.tolist() == expected
        assert theirs["decoder_loss_weights"][row][: len(expected)].tolist() == expected
    assert max((theirs["decoder_target_tokens"] > 0).sum(axis=1)) == 5


@pytest.mark.parametrize("read", ["stream", "evaluation"])
@pytest.mark.parametrize(
    ("change", "dtype", "message"),
    [
        (lambda weights: weights[1:], tf.int32, r"has (\d+) target tokens.* and \d+ numbers"),
        (lambda weights: weights * 0.25, tf.float32, "holds 0.5; whole numbers"),
        (lambda weights: weights - 1, tf.int32, "holds -1; whole numbers"),
    ],
)
def test_weights_that_do_not_fit_name_the_task(change, dtype, message, read):
    register_weighted("alone_wrong", add_weights(change, dtype))
    with pytest.raises(DataError, match=f"Task 'alone_wrong', split 'train'.*{message}"):
        if read == "stream":
            next(TrainIterator(make_config("alone_wrong"), layout=CAUSAL))
        else:
            eval_examples(make_config("alone_wrong"))


def test_weights_may_be_whole_numbers_of_any_dtype():
    register_weighted("alone_floats", add_weights(dtype=tf.float32))
    batch = next(TrainIterator(make_config("alone_floats"), layout=CAUSAL))
    assert batch["decoder_loss_weights"].dtype == np.int32
    assert set(np.unique(batch["decoder_loss_weights"])) == {0, 2}


# ---------------------------------------------------------------------------- evaluation


@pytest.mark.parametrize("pack", [True, False])
def test_loss_batches_weigh_every_target_once(pack):
    cfg = make_config("alone_mix", pack=pack, split="validation")
    tasks = eval_examples(cfg)
    found = {"alone": 0, "alone_weighted": 0}
    for name, batch in loss_batches(cfg, tasks, layout=PREFIX_LM):
        assert batch["decoder_target_tokens"].shape == (8, 11)
        assert ("decoder_segment_ids" in batch) == pack
        found[name] += int(batch["decoder_loss_weights"].sum())
    plain, weighted = tasks
    assert found["alone"] == sum(len(one["targets"]) for one in plain.examples)
    even = sum(int((one["targets"] % 2 == 0).sum()) for one in weighted.examples)
    assert found["alone_weighted"] == 2 * even
    with pytest.raises(ConfigError, match="reads 'inputs'"):
        next(loss_batches(make_config("alone", task_feature_lengths={"targets": 3}), tasks))


def test_prefix_batches_hold_the_inputs_in_buckets():
    (task,) = eval_examples(make_config("alone", split="validation"))
    layout = RowLayout("decoder_only", bos_id=9)
    batches = EvalBatches(
        task.examples, LENGTHS, 8, input_buckets=(3,), layout=layout, prefixes=True
    )
    results, widths = [], []
    for batch in batches:
        assert set(batch.features) == {"decoder_prefix_tokens", "decoder_prefix_lengths"}
        tokens_BxP = batch.features["decoder_prefix_tokens"]
        lengths_B = batch.features["decoder_prefix_lengths"]
        widths.append(tokens_BxP.shape[1])
        assert tokens_BxP.shape[1] == batch.input_length + 1
        assert (lengths_B > 0).tolist() == (batch.row_weights_B > 0).tolist()
        results.append([row[:n].tolist() for row, n in zip(tokens_BxP, lengths_B, strict=True)])
    assert set(widths) == {4, 7}
    expected = [[9, *example["inputs"].tolist()] for example in task.examples]
    assert batches.in_order(results) == expected
    scored = next(iter(EvalBatches(task.examples, LENGTHS, 8, layout=layout)))
    assert scored.features["decoder_target_tokens"].shape == (8, 11)


def test_text_without_inputs_is_evaluated_from_nothing():
    cfg = make_config("alone_text", task_feature_lengths={"targets": 12}, split="validation")
    (task,) = eval_examples(cfg)
    assert all(len(example["inputs"]) == 0 for example in task.examples)
    (batch, *_) = EvalBatches(task.examples, {"targets": 12}, 4, layout=CAUSAL, prefixes=True)
    assert batch.features["decoder_prefix_tokens"].tolist() == [[0]] * 4
    assert batch.features["decoder_prefix_lengths"].tolist() == [1] * 4


# ---------------------------------------------------------------------------- inspection


def test_inspection_shows_one_row_for_both():
    found = report.inspect_mixture(make_config("alone"), 1, layout=CAUSAL)
    two_sides = report.inspect_mixture(make_config("alone"), 1)
    sides = (6 * two_sides["encoder_fill"] + 5 * two_sides["decoder_fill"]) / 11
    assert found["encoder_fill"] is None and sides <= found["decoder_fill"] <= 1
    assert "6+5 tokens, packed" in report_text.format_inspection(found)
    assert "6/5 tokens, packed" in report_text.format_inspection(two_sides)
    assert "rows filled" in report_page.inspection_page({**found, "leaks": None})
    json.dumps(found)


def test_inspection_of_text_without_inputs():
    cfg = make_config("alone_text", task_feature_lengths={"targets": 12})
    found = report.inspect_mixture(cfg, 1, layout=CAUSAL)
    (task,) = found["tasks"]
    assert found["lengths"] == {"targets": 12} and set(task["sizes"]) == {"targets"}
    assert task["mean_input_tokens"] == 0.0 and task["truncated_targets"] > 0
    text = report_text.format_inspection(found)
    assert "12 tokens, packed" in text and "[1] targets:" in text and "[1] inputs" not in text
    assert report_page.inspection_page({**found, "leaks": None}).count("<b>targets,") == 1
