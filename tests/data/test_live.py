"""The training stream: what is in it, in which order, and that it can be continued exactly."""

import collections
import itertools
import json

import numpy as np
import pytest
import seqio

from flan_jax import testing
from flan_jax.data.config import DatasetConfig
from flan_jax.data.live import TrainIterator
from flan_jax.data.mixture import resolve
from flan_jax.errors import CheckpointError, DataError, NotFoundError

KINDS = ("tensor", "generator", "tfds", "text")


def random_blue(dataset):
    """A step that draws: appends 'blue' to half of the inputs."""
    import tensorflow as tf

    @seqio.map_over_dataset(num_seeds=1)
    def step(features, seed):
        says = tf.random.stateless_uniform((), seed) < 0.5
        inputs = tf.where(says, features["inputs"] + " blue", features["inputs"])
        return {**features, "inputs": inputs}

    return step(dataset)


@pytest.fixture(scope="module", autouse=True)
def tasks(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("rows"))
    for i, kind in enumerate(KINDS):
        steps = [random_blue] if kind == "tensor" else []
        testing.register_toy_task(
            f"live_{kind}", 30 + i, source=kind, directory=folder, seed=10 * i, preprocessors=steps
        )
    testing.register_toy_mixture("live_mix", {f"live_{kind}": 1.0 for kind in KINDS})


def make_config(name="live_mix", **changes):
    fields = {
        "mixture_or_task_name": name,
        "task_feature_lengths": {"inputs": 20, "targets": 14},
        "split": "train",
        "batch_size": 8,
        "shuffle": True,
        "seed": 3,
        "pack": True,
        "packing_window": 16,
        "snapshot_period": 10,
    }
    return DatasetConfig(**{**fields, **changes})


def take(stream, count):
    return list(itertools.islice(stream, count))


def assert_same(left, right):
    assert len(left) == len(right)
    for i, (one, other) in enumerate(zip(left, right, strict=True)):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=f"batch {i} {name}")


def segments(batch):
    """The (task, inputs, targets) of a packed batch."""
    for row in range(len(batch["decoder_segment_ids"])):
        for segment in range(1, batch["decoder_segment_ids"][row].max() + 1):
            inside = batch["decoder_segment_ids"][row] == segment
            inputs = batch["encoder_segment_ids"][row] == segment
            yield (
                int(batch["decoder_task_ids"][row][inside][0]),
                tuple(batch["encoder_input_tokens"][row][inputs].tolist()),
                tuple(batch["decoder_target_tokens"][row][inside].tolist()),
            )


@pytest.fixture(scope="module")
def produced(tasks):
    """A stream over all kinds of source and its first 26 batches."""
    stream = TrainIterator(make_config())
    return stream, take(stream, 26)


@pytest.mark.parametrize("step", [pytest.param(9, marks=pytest.mark.exhaustive), 23])
def test_resume_continues_with_identical_batches_from_any_source(produced, step):
    stream, batches = produced  # A snapshot at 20: step 9 is replayed from the start.
    resumed = TrainIterator(make_config())
    resumed.restore(stream.state_at(step))
    assert resumed.step == step
    assert_same(take(resumed, 26 - step), batches[step:])
    assert resumed.stats() == stream.stats()


@pytest.mark.parametrize(
    ("name", "in_memory", "shuffle"),
    [("live_tfds", False, False), ("live_tensor", False, True), ("live_tfds", True, True)],
)
def test_resume_of_a_resume_reaches_the_same_batches(name, in_memory, shuffle):
    cfg = make_config(name, pack=False, in_memory=in_memory, shuffle=shuffle)
    first = TrainIterator(cfg)
    batches = take(first, 30)
    second = TrainIterator(cfg)
    second.restore(first.state_at(12))
    take(second, 10)
    third = TrainIterator(cfg)
    third.restore(second.state_at(22))
    assert_same(take(third, 8), batches[22:])


def test_rows_of_a_task_do_not_depend_on_other_tasks_but_on_the_seed(produced):
    stream, batches = produced
    alone = TrainIterator(make_config("live_text"))
    rows = [example[1:] for batch in take(alone, 3) for example in segments(batch)]
    index = stream.task_names.index("live_text")
    first = [e[1:] for batch in batches[:2] for e in segments(batch) if e[0] == index]
    # Packing looks ahead, so the orders differ, within the window.
    assert first and not collections.Counter(first) - collections.Counter(rows)
    other = take(TrainIterator(make_config("live_text", seed=4)), 3)
    assert rows != [example[1:] for batch in other for example in segments(batch)]


def seqio_tokens(name, lengths):
    dataset = seqio.TaskRegistry.get(name).get_dataset(
        sequence_length=lengths, split="train", shuffle=False
    )
    return collections.Counter(
        (tuple(row["inputs"].tolist()), tuple(row["targets"].tolist()))
        for row in dataset.as_numpy_iterator()
    )


@pytest.mark.parametrize(("eos_after_trim", "in_memory"), [(True, False), (False, True)])
def test_an_epoch_holds_what_seqio_gives_and_cuts_are_counted(eos_after_trim, in_memory):
    testing.register_toy_task("live_cut", 30, eos_after_trim=eos_after_trim)
    lengths = {"inputs": 5, "targets": 4}
    cfg = make_config(
        "live_cut",
        task_feature_lengths=lengths,
        pack=False,
        shuffle=False,
        batch_size=30,
        in_memory=in_memory,
    )
    stream = TrainIterator(cfg)
    batch = next(stream)
    ours = collections.Counter(
        (tuple(inputs[inputs > 0].tolist()), tuple(targets[targets > 0].tolist()))
        for inputs, targets in zip(
            batch["encoder_input_tokens"], batch["decoder_target_tokens"], strict=True
        )
    )
    assert ours == seqio_tokens("live_cut", lengths)
    rows = testing.toy_rows(30)
    stats = stream.stats()["tasks"]["live_cut"]
    assert stats["truncated_inputs"] == sum(len(a.split()) + 1 > 5 for a, _ in rows) > 0
    cut = sum(len(b.split()) + 1 > 4 for _, b in rows)
    assert stats["truncated_targets"] == cut > 0
    # append_eos leaves the end token to be trimmed off; append_eos_after_trim keeps it.
    assert stats["targets_without_eos"] == (0 if eos_after_trim else cut)


def test_strict_refuses_cut_targets():
    cfg = make_config("live_text", task_feature_lengths={"inputs": 20, "targets": 3}, strict=True)
    with pytest.raises(DataError, match="more than 3 target tokens"):
        next(TrainIterator(cfg))


def test_memory_stream_shows_every_row_once_an_epoch_in_a_new_order():
    cfg = make_config("live_text", in_memory=True, pack=False, batch_size=33)
    first, second = take(TrainIterator(cfg), 2)
    orders = [[tuple(row) for row in batch["encoder_input_tokens"]] for batch in (first, second)]
    assert sorted(orders[0]) == sorted(orders[1]) and orders[0] != orders[1]


def test_the_first_rows_of_a_split_are_all_that_is_drawn():
    cfg = make_config("live_text", in_memory=True, pack=False, batch_size=8, max_examples=4)
    in_order = list(seqio_tokens("live_text", cfg.task_feature_lengths))  # As first met.
    first_four = [inputs for inputs, _ in in_order[:4]]
    for batch in take(TrainIterator(cfg), 3):
        rows = [tuple(row[row > 0].tolist()) for row in batch["encoder_input_tokens"]]
        assert collections.Counter(rows) == {row: 2 for row in first_four}
    assert "max_examples" not in make_config("live_text").stream_fields()


def test_stats_are_of_the_batches_and_json_able(produced):
    stream, batches = produced
    stats = json.loads(json.dumps(stream.stats()))
    examples = [example for batch in batches for example in segments(batch)]
    assert stats["rows"] == 26 * 8 and stats["examples"] == len(examples)
    assert stats["input_tokens"] == sum((b["encoder_segment_ids"] > 0).sum() for b in batches)
    by_task = collections.Counter(example[0] for example in examples)
    assert [stats["tasks"][name]["examples"] for name in stream.task_names] == [
        by_task[i] for i in range(4)
    ]
    fills = [task["decoder_fill"] for task in stats["tasks"].values()]
    assert stats["decoder_fill"] == pytest.approx(sum(fills))
    assert stats["fill"] == max(stats["encoder_fill"], stats["decoder_fill"]) > 0.9


def test_state_of_another_stream_is_refused_with_the_difference():
    state = TrainIterator(make_config()).state_at(0)
    with pytest.raises(CheckpointError, match="seed: 3 when saved, 5 now"):
        TrainIterator(make_config(seed=5)).restore(state)
    with pytest.raises(CheckpointError, match="task live_generator: .* when saved, absent now"):
        TrainIterator(make_config("live_text")).restore(state)
    with pytest.raises(CheckpointError, match="cannot be read"):
        TrainIterator(make_config()).restore(b"\x00\x01")
    with pytest.raises(CheckpointError, match="format 99"):
        TrainIterator(make_config()).restore(state.replace(b'"version": 2', b'"version": 99'))
    # Where snapshots are taken does not change the rows.
    TrainIterator(make_config(snapshot_period=3)).restore(state)


def test_damaged_snapshot_is_a_checkpoint_error():
    cfg = make_config("live_text", in_memory=True, snapshot_period=1)
    stream = TrainIterator(cfg)
    next(stream)
    with pytest.raises(CheckpointError, match="damaged"):
        TrainIterator(cfg).restore(stream.state_at(1)[:-100])


def test_state_of_a_batch_not_yet_produced_is_our_bug():
    with pytest.raises(ValueError, match="0 batches"):
        TrainIterator(make_config()).state_at(1)


@pytest.mark.parametrize("in_memory", [True, False])
def test_failing_source_names_the_task(in_memory):
    def fail(dataset):
        import tensorflow as tf

        def convert(features):
            with tf.control_dependencies([tf.debugging.Assert(False, ["bad row 7"])]):
                return {name: tf.identity(value) for name, value in features.items()}

        return dataset.map(convert)

    testing.register_toy_task("live_bad", 4, preprocessors=[fail])
    with pytest.raises(DataError, match="'live_bad', split 'train'.*bad row 7"):
        next(TrainIterator(make_config("live_bad", in_memory=in_memory)))


@pytest.mark.parametrize("in_memory", [True, False])
def test_source_that_does_not_know_it_is_empty(in_memory):
    testing.register_toy_task("live_empty", rows=[], report_size=False)
    with pytest.raises(DataError, match="'live_empty' has no rows"):
        next(TrainIterator(make_config("live_empty", in_memory=in_memory)))


def test_resolve_names_the_split_that_is_missing():
    resolve(make_config())
    with pytest.raises(NotFoundError, match="no split 'test'"):
        resolve(make_config(split="test"))


def test_vocabulary_size():
    assert TrainIterator(make_config()).vocabulary_size == testing.toy_vocabulary().vocab_size
