"""Rows and features, with seqio's own converter as the reference."""

import numpy as np
import pytest
import seqio
import tensorflow as tf

from flan_jax.data.packing import Example, Packer, assemble

L, T = 12, 8
SHARED = (
    "encoder_input_tokens",
    "decoder_target_tokens",
    "decoder_input_tokens",
    "decoder_loss_weights",
)


def random_examples(count, seed=0, low=1, inputs=L, targets=T):
    generator = np.random.default_rng(seed)
    return [
        Example(
            int(generator.integers(3)),
            generator.integers(1, 90, generator.integers(low, inputs + 1)).astype(np.int32),
            generator.integers(1, 90, generator.integers(low, targets + 1)).astype(np.int32),
        )
        for _ in range(count)
    ]


def seqio_features(examples, pack):
    def read():
        for example in examples:
            yield {"inputs": example.inputs, "targets": example.targets}

    spec = {name: tf.TensorSpec((None,), tf.int32) for name in ("inputs", "targets")}
    dataset = tf.data.Dataset.from_generator(read, output_signature=spec)
    converter = seqio.EncDecFeatureConverter(pack=pack)
    dataset = converter(dataset, task_feature_lengths={"inputs": L, "targets": T})
    rows = list(dataset.as_numpy_iterator())
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def test_unpacked_features_equal_seqios():
    examples = random_examples(20)
    examples.append(Example(0, np.zeros(0, np.int32), np.zeros(0, np.int32)))
    examples.append(Example(0, np.array([5, 0, 6], np.int32), np.array([7, 0, 1], np.int32)))
    ours = assemble([[example] for example in examples], len(examples), L, T, packed=False)
    theirs = seqio_features(examples, pack=False)
    assert set(theirs) == set(SHARED)
    for name in SHARED:
        assert ours[name].dtype == np.int32
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_packed_features_equal_seqios_for_the_same_rows():
    # Full targets make seqio's greedy packer close a row exactly where this list does.
    sizes = [[(4, 3), (2, 2), (6, 3)], [(5, 8)], [(3, 4), (9, 4)], [(12, 8)]]
    generator = np.random.default_rng(1)
    rows = [
        [
            Example(0, *(generator.integers(1, 90, size).astype(np.int32) for size in pair))
            for pair in row
        ]
        for row in sizes
    ]
    theirs = seqio_features([example for row in rows for example in row], pack=True)
    ours = assemble(rows, len(rows), L, T, packed=True)
    assert set(ours) - set(theirs) == {"decoder_task_ids"}
    for name, expected in theirs.items():
        np.testing.assert_array_equal(ours[name], expected, err_msg=name)


def test_worked_example_of_the_docstring():
    row = [Example(2, np.array([3, 9, 1], np.int32), np.array([4, 1], np.int32))]
    packed = assemble([row], 2, 4, 3, packed=True)
    expected = {
        "encoder_input_tokens": [3, 9, 1, 0],
        "decoder_target_tokens": [4, 1, 0],
        "decoder_loss_weights": [1, 1, 0],
        "decoder_task_ids": [2, 2, 0],
        "encoder_segment_ids": [1, 1, 1, 0],
        "encoder_positions": [0, 1, 2, 0],
        "decoder_segment_ids": [1, 1, 0],
        "decoder_positions": [0, 1, 0],
        "decoder_input_tokens": [0, 4, 0],
    }
    assert {name: array[0].tolist() for name, array in packed.items()} == expected
    assert all(not array[1].any() for array in packed.values())
    unpacked = assemble([row], 1, 4, 3, packed=False)
    assert unpacked["decoder_input_tokens"].tolist() == [[0, 4, 1]]


def take_all(examples, window, inputs=L, targets=T):
    packer, rest, rows = Packer(inputs, targets, window), iter(examples), []
    while True:
        for _, example in zip(range(packer.missing), rest, strict=False):
            packer.add(example)
        if packer.missing == window:
            return rows
        rows.append(packer.take_row())


def test_segments_of_packed_rows_are_exactly_the_examples():
    examples = random_examples(300, seed=2)
    rows = take_all(examples, window=32)
    batch = assemble(rows, len(rows), L, T, packed=True)
    found = []
    for r in range(len(rows)):
        for segment in range(1, batch["decoder_segment_ids"][r].max() + 1):
            here = batch["decoder_segment_ids"][r] == segment
            inputs = batch["encoder_input_tokens"][r][batch["encoder_segment_ids"][r] == segment]
            targets = batch["decoder_target_tokens"][r][here]
            assert batch["decoder_input_tokens"][r][here].tolist() == [0, *targets[:-1]]
            (task_id,) = set(batch["decoder_task_ids"][r][here].tolist())
            found.append((task_id, inputs.tolist(), targets.tolist()))
    given = [(one.task_id, one.inputs.tolist(), one.targets.tolist()) for one in examples]
    assert sorted(found) == sorted(given)


def test_no_example_waits_more_rows_than_the_window():
    window, order = 16, {}
    examples = random_examples(400, seed=3)
    for number, row in enumerate(take_all(examples, window)):
        for example in row:
            order[id(example)] = number
    entered = {}
    packer, rest = Packer(L, T, window), iter(examples)
    for number in range(max(order.values()) + 1):
        for _, example in zip(range(packer.missing), rest, strict=False):
            entered[id(example)] = number
            packer.add(example)
        packer.take_row()
    assert len(order) == len(entered) == 400
    assert max(order[key] - entered[key] for key in order) < window


def test_state_is_the_waiting_list():
    examples = random_examples(120, seed=4)
    packer = Packer(L, T, 24)
    for example in examples[:24]:
        packer.add(example)
    for _ in range(3):
        packer.take_row()
    copy = Packer(L, T, 24)
    for example in packer.waiting():
        copy.add(example)
    rest = iter(examples[24:])
    for _ in range(5):
        for _, example in zip(range(packer.missing), rest, strict=False):
            packer.add(example)
            copy.add(example)
        left, right = packer.take_row(), copy.take_row()
        assert [id(example) for example in left] == [id(example) for example in right]


@pytest.mark.parametrize(
    ("kind", "least"),
    [("long inputs", 0.95), ("long targets", 0.95), ("both", 0.84)],
)
def test_fill_of_the_fuller_side(kind, least):
    generator = np.random.default_rng(0)
    count = 3000
    short, long = generator.lognormal(2.0, 0.8, count), generator.lognormal(4.8, 0.6, count)
    inputs = {"long inputs": long, "long targets": long / 4, "both": long}[kind]
    targets = {"long inputs": short, "long targets": long[::-1] / 3, "both": long[::-1] / 4}[kind]
    examples = [
        Example(0, np.ones(int(np.clip(a, 2, 512)), np.int32), np.ones(b, np.int32))
        for a, b in zip(inputs, np.clip(targets, 2, 128).astype(int), strict=True)
    ]
    rows = take_all(examples, 256, 512, 128)[:-60]  # The last rows drain the pool.
    used = np.array([(len(one.inputs), len(one.targets)) for row in rows for one in row])
    fill = used.sum(axis=0) / (np.array([512, 128]) * len(rows))
    assert fill.max() >= least, fill
    assert fill.max() <= 1.0
