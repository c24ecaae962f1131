"""Rows of a decoder alone, with seqio's converters as the reference."""

import numpy as np
import pytest
import seqio
import tensorflow as tf

from flan_jax.data.layout import RowLayout
from flan_jax.data.packing import Example, Packer, assemble, assemble_prefixes
from flan_jax.errors import ConfigError

L, T = 9, 6
PREFIX_LM = RowLayout("decoder_only", bidirectional_inputs=True)
CAUSAL = RowLayout("decoder_only")


def random_examples(seed, count=40, with_inputs=True):
    generator = np.random.default_rng(seed)

    def tokens(low, high):
        size = generator.integers(low, high + 1)
        return generator.integers(1, 90, size).astype(np.int32)

    return [
        Example(int(generator.integers(3)), tokens(0, L if with_inputs else 0), tokens(1, T))
        for _ in range(count)
    ]


def seqio_features(converter, examples, names):
    def read():
        for example in examples:
            yield {name: getattr(example, name) for name in names}

    spec = {name: tf.TensorSpec((None,), tf.int32) for name in names}
    dataset = tf.data.Dataset.from_generator(read, output_signature=spec)
    lengths = {"inputs": L, "targets": T}
    dataset = converter(dataset, task_feature_lengths={name: lengths[name] for name in names})
    rows = list(dataset.as_numpy_iterator())
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def in_order(examples, length):
    """Rows filled as seqio fills them: in order, a new one where the next example does not fit.

    seqio takes as many examples at a time as a row has tokens, and starts anew with the next.
    """
    rows, room = [], 0
    for number, example in enumerate(examples):
        size = len(example.inputs) + len(example.targets)
        if size > room or number % length == 0:
            rows.append([])
            room = length
        rows[-1].append(example)
        room -= size
    return rows


def assert_equal_features(ours, theirs, extra=("decoder_task_ids",)):
    assert set(ours) - set(theirs) == set(extra)
    for name, expected in theirs.items():
        assert ours[name].dtype == np.int32
        np.testing.assert_array_equal(ours[name], expected, err_msg=name)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("bos_id", "loss_on"), [(0, "targets"), (7, "all")])
def test_unpacked_features_equal_those_of_seqios_prefix_lm(seed, bos_id, loss_on):
    examples = random_examples(seed)
    layout = RowLayout("decoder_only", loss_on, bos_id, bidirectional_inputs=True)
    ours = assemble([[one] for one in examples], len(examples), L, T, False, layout)
    converter = seqio.PrefixLMFeatureConverter(
        loss_on_targets_only=loss_on == "targets", pack=False, bos_id=bos_id
    )
    theirs = seqio_features(converter, examples, ("inputs", "targets"))
    # seqio shifts the last token on to the padding; ours ends with the example.
    sizes_B = np.array([len(one.inputs) + len(one.targets) for one in examples])
    theirs["decoder_input_tokens"] *= np.arange(L + T) < sizes_B[:, None]
    assert_equal_features(ours, theirs)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("loss_on", ["targets", "all"])
def test_packed_features_equal_those_of_seqios_prefix_lm(seed, loss_on):
    examples = random_examples(seed)
    layout = RowLayout("decoder_only", loss_on, bidirectional_inputs=True)
    rows = in_order(examples, L + T)
    ours = assemble(rows, len(rows), L, T, True, layout)
    converter = seqio.PrefixLMFeatureConverter(loss_on_targets_only=loss_on == "targets")
    assert_equal_features(ours, seqio_features(converter, examples, ("inputs", "targets")))


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize("loss_on", ["targets", "all"])
def test_features_of_targets_alone_equal_those_of_seqios_lm(pack, loss_on):
    examples = random_examples(5, with_inputs=False)
    rows = in_order(examples, T) if pack else [[one] for one in examples]
    ours = assemble(rows, len(rows), 0, T, pack, RowLayout("decoder_only", loss_on))
    theirs = seqio_features(seqio.LMFeatureConverter(pack=pack), examples, ("targets",))
    if not pack:
        sizes_B = np.array([len(one.targets) for one in examples])
        theirs["decoder_input_tokens"] *= np.arange(T) < sizes_B[:, None]
    assert_equal_features(ours, theirs)


def test_id_zero_is_a_token_and_every_example_starts_with_bos():
    row = [
        Example(2, np.array([0, 4], np.int32), np.array([0, 9, 0], np.int32)),
        Example(1, np.array([5], np.int32), np.array([6], np.int32)),
    ]
    layout = RowLayout("decoder_only", bos_id=3, bidirectional_inputs=True)
    batch = assemble([row], 2, 6, 3, True, layout)
    assert {name: array[0].tolist() for name, array in batch.items()} == {
        "decoder_target_tokens": [0, 4, 0, 9, 0, 5, 6, 0, 0],
        "decoder_input_tokens": [3, 0, 4, 0, 9, 3, 5, 0, 0],
        "decoder_loss_weights": [0, 0, 1, 1, 1, 0, 1, 0, 0],
        "decoder_causal_attention": [1, 1, 1, 0, 0, 1, 1, 0, 0],
        "decoder_task_ids": [2, 2, 2, 2, 2, 1, 1, 0, 0],
        "decoder_segment_ids": [1, 1, 1, 1, 1, 2, 2, 0, 0],
        "decoder_positions": [0, 1, 2, 3, 4, 0, 1, 0, 0],
    }
    assert not any(array[1].any() for array in batch.values())
    alone = assemble([row[:1]], 1, 6, 3, False, layout)
    assert alone["decoder_input_tokens"].tolist() == [[3, 0, 4, 0, 9, 0, 0, 0, 0]]
    assert "decoder_causal_attention" not in assemble([row], 1, 6, 3, True, CAUSAL)


def test_loss_weights_of_a_task_replace_those_of_its_targets():
    turns = Example(
        0,
        np.array([7, 8], np.int32),
        np.array([3, 4, 5], np.int32),
        weights=np.array([0, 2, 1], np.int32),
    )
    plain = Example(0, np.array([9], np.int32), np.array([6, 1], np.int32))
    weights = {}
    for loss_on in ("targets", "all"):
        batch = assemble([[turns, plain]], 1, 6, 4, True, RowLayout("decoder_only", loss_on))
        weights[loss_on] = batch["decoder_loss_weights"][0].tolist()
    assert weights["targets"] == [0, 0, 0, 2, 1, 0, 1, 1, 0, 0]
    assert weights["all"] == [1, 1, 0, 2, 1, 1, 1, 1, 0, 0]
    two_sides = assemble([[turns, plain]], 1, 6, 6, packed=True)
    assert two_sides["decoder_loss_weights"].tolist() == [[0, 2, 1, 1, 1, 0]]


def test_prefixes_are_led_in_by_bos_and_padding_rows_are_empty():
    inputs = [np.array([4, 0], np.int32), np.zeros(0, np.int32)]
    batch = assemble_prefixes(inputs, 3, 3, RowLayout("decoder_only", bos_id=2))
    assert batch["decoder_prefix_tokens"].tolist() == [[2, 4, 0, 0], [2, 0, 0, 0], [0] * 4]
    assert batch["decoder_prefix_lengths"].tolist() == [3, 1, 0]
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int32)}


def test_packed_rows_of_one_capacity_are_full_and_hold_each_example_once():
    generator = np.random.default_rng(0)
    examples = [
        Example(0, np.full(a, i, np.int32), np.full(b, i, np.int32))
        for i, (a, b) in enumerate(
            zip(
                generator.lognormal(4.5, 0.7, 2000).clip(2, 400).astype(int),
                generator.lognormal(2.5, 1.0, 2000).clip(2, 112).astype(int),
                strict=True,
            )
        )
    ]
    packer, rest, rows = Packer(400, 112, 128, CAUSAL), iter(examples), []
    while True:
        for _, example in zip(range(packer.missing), rest, strict=False):
            packer.add(example)
        if packer.missing == 128:
            break
        rows.append(packer.take_row())
    sizes = [sum(len(one.inputs) + len(one.targets) for one in row) for row in rows]
    assert max(sizes) <= 512
    assert np.mean(sizes[:-30]) / 512 > 0.98  # The last rows drain the pool.
    assert max(sum(len(one.inputs) for one in row) for row in rows) > 400
    assert sorted(int(one.targets[0]) for row in rows for one in row) == list(range(2000))


def test_an_encoder_needs_inputs():
    CAUSAL.check_lengths({"targets": 4}, "x")
    with pytest.raises(ConfigError, match="my_cfg has lengths for targets only.*'inputs'"):
        RowLayout().check_lengths({"targets": 4}, "my_cfg")
