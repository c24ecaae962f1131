"""The stream over prepared data: tokens of the sources, the same rows whatever happens."""

import json
import pickle
import shutil

import numpy as np
import pytest

from flan_jax import testing
from flan_jax.data.config import DatasetConfig
from flan_jax.data.layout import RowLayout
from flan_jax.data.live import TrainIterator
from flan_jax.data.loader import Loader
from flan_jax.data.order.iterator import PreparedIterator, local_rows
from flan_jax.data.order.opening import open_plan
from flan_jax.data.order.reading import BatchReader
from flan_jax.data.order.settings import Settings
from flan_jax.data.packing import Example, assemble
from flan_jax.data.prepared.command import prepare
from flan_jax.errors import CheckpointError, ConfigError, DataError, NotFoundError

LENGTHS = {"inputs": 24, "targets": 16}
SETTINGS = Settings(window=64)
ROWS = {"order_a": testing.toy_rows(50, seed=1), "order_b": testing.toy_rows(9, seed=2)}


def config(folder, **changes):
    fields = {
        "mixture_or_task_name": "order_both",
        "task_feature_lengths": LENGTHS,
        "split": "train",
        "batch_size": 8,
        "shuffle": True,
        "seed": 3,
        "pack": True,
        "prepared_dir": None if folder is None else str(folder),
    }
    return DatasetConfig(**{**fields, **changes})


def register(**rows):
    for name, given in (ROWS | rows).items():
        testing.register_toy_task(name, rows=given)
    # It keeps the tasks that it is made of.
    testing.register_toy_mixture("order_both", {"order_a": 3.0, "order_b": 1.0})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Prepared data of two tasks, whose sources are left registered."""
    register()
    found = tmp_path_factory.mktemp("prepared") / "data"
    prepare(config(None), str(found), runner="none")
    yield found
    for name in ("order_both", *ROWS):
        testing.unregister(name)


def stream(folder, rows=None, layout=None, settings=SETTINGS, **changes):
    chosen = {} if layout is None else {"layout": layout}
    return PreparedIterator(config(folder, **changes), rows=rows, settings=settings, **chosen)


def same(first, second):
    assert set(first) == set(second)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def encoded(text):
    return [*testing.toy_vocabulary().encode(text), 1]


def test_segments_are_the_tokens_of_the_rows_that_the_plan_names(folder):
    read = stream(folder)
    plan = read.plan
    for step in range(3):
        batch = next(read)
        rows = plan.step_rows(step)
        segments = dict.fromkeys(range(8), 0)
        for task, example, row in zip(rows.task_S, rows.example_S, rows.row_S, strict=True):
            segments[int(row)] += 1
            texts = ROWS[read.task_names[task]][example]
            is_in = batch["encoder_segment_ids"][row] == segments[int(row)]
            assert batch["encoder_input_tokens"][row][is_in].tolist() == encoded(texts[0])
            is_in = batch["decoder_segment_ids"][row] == segments[int(row)]
            assert batch["decoder_target_tokens"][row][is_in].tolist() == encoded(texts[1])
            assert set(batch["decoder_task_ids"][row][is_in].tolist()) == {int(task)}
        assert sum(segments.values()) == len(rows.task_S)
    read.close()


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize("layout", [RowLayout(), RowLayout("decoder_only", bos_id=2)])
def test_batches_are_what_live_packing_makes_of_the_same_rows(folder, pack, layout):
    read = stream(folder, layout=layout, pack=pack)
    batch, rows = next(read), read.plan.step_rows(0)
    by_row = [[] for _ in range(8)]
    for task, example, row in zip(rows.task_S, rows.example_S, rows.row_S, strict=True):
        source, target = ROWS[read.task_names[task]][example]
        tokens = (np.array(encoded(text), np.int32) for text in (source, target))
        by_row[row].append(Example(int(task), *tokens))
    same(batch, assemble(by_row, 8, 24, 16, pack, layout))
    read.close()


def test_batches_are_like_those_of_the_live_stream(folder):
    read, live = stream(folder), TrainIterator(config(None))
    ours, theirs = next(read), next(live)
    assert {n: (a.shape, a.dtype) for n, a in ours.items()} == {
        n: (a.shape, a.dtype) for n, a in theirs.items()
    }
    assert read.task_names == live.task_names
    assert read.vocabulary_size == live.vocabulary_size
    assert set(read.stats()) == set(live.stats())
    assert set(read.stats()["tasks"]["order_a"]) == set(live.stats()["tasks"]["order_a"])
    read.close()


def test_it_goes_on_at_any_step(folder):
    whole = stream(folder)
    batches = [next(whole) for _ in range(30)]
    for step in (0, 1, 13, 29):
        state = whole.state_at(step)
        again = stream(folder)
        again.restore(state)
        assert again.step == step
        same(next(again), batches[step])
        assert again.stats()["examples"] == stream_counts(folder, step + 1)
        again.close()
    assert whole.stats()["batches"] == 30
    whole.close()


@pytest.mark.parametrize("max_epochs", [None, {"*": 3}])
def test_it_goes_on_where_windows_stages_and_the_stream_end(folder, max_epochs):
    stages = {6: {"order_b": 2.0, "order_a": 1.0}}
    settings = Settings(window=32, stages=stages, max_epochs=max_epochs)
    whole = stream(folder, settings=settings)
    end = whole.plan.end or 30
    assert (whole.plan.end is None) == (max_epochs is None)
    steps = window_starts(whole.plan, end)
    assert {0, 6} < {*steps}
    batches = [next(whole) for _ in range(end)]
    states = {step: whole.state_at(step) for step in [*steps, end]}
    for step in steps:
        for at in {step, max(0, step - 1)}:
            again = stream(folder, settings=settings)
            again.restore(states[step] if at == step else whole.state_at(at))
            same(next(again), batches[at])
            again.close()
    if max_epochs:
        again = stream(folder, settings=settings)
        again.restore(states[end])
        with pytest.raises(DataError, match=f"end before step {end}"):
            next(again)
    whole.close()


def window_starts(plan, end):
    """First steps of the windows, from what the plan keeps of them."""
    found, step = [], 0
    while step < end:
        _, stretch = plan._stretch_at(step)
        first, steps, _, _ = stretch.window_at(step)
        assert first == step
        found.append(first)
        step += steps
    return found


def stream_counts(folder, steps):
    read = stream(folder)
    return sum(len(read.plan.step_rows(step).task_S) for step in range(steps))


def test_the_position_is_one_number(folder):
    read = stream(folder)
    for _ in range(5):
        next(read)
    state = json.loads(read.state_at(4))
    assert state["step"] == 4
    assert np.array(state["counts"])[:, 0].sum() == stream_counts(folder, 4)
    with pytest.raises(ValueError, match="5 batches"):
        read.state_at(6)
    read.close()


def test_the_loader_hands_out_its_state(folder):
    class Placer:
        def put_batch(self, host_batch):
            return host_batch

    batches = stream(folder)
    expected = [next(batches) for _ in range(6)]
    batches.close()
    with Loader(stream(folder), Placer()) as loader:
        for batch in expected[:4]:
            same(next(loader), batch)
        state = loader.state_at()
        assert loader.stats()["batches"] == 4
    again = stream(folder)
    again.restore(state)
    same(next(again), expected[4])
    again.close()


def test_hosts_read_their_rows_alone_and_the_same_ones(folder):
    cfg = config(folder)
    tasks, plan = open_plan(cfg, {"order_a": 3.0, "order_b": 1.0}, RowLayout(), None, SETTINGS)
    whole = BatchReader(plan, tasks, cfg, RowLayout())
    for step in (0, 1, 250, 500):
        expected = whole(step)
        for hosts in (2, 4, 8):
            each = 8 // hosts
            for host in range(hosts):
                part = slice(host * each, (host + 1) * each)
                read = BatchReader(plan, tasks, cfg, RowLayout(), (part.start, part.stop))(step)
                same(
                    {n: a[part] for n, a in read.items()}, {n: a[part] for n, a in expected.items()}
                )
                outside = np.delete(read["decoder_target_tokens"], np.r_[part], axis=0)
                assert not outside.any()


def test_local_rows_are_those_of_this_hosts_devices():
    class Partitioner:
        def __init__(self, *spans):
            self.spans = spans

        def batch_sharding(self, ndim):
            return self

        def addressable_devices_indices_map(self, shape):
            found = {i: (slice(*span), slice(None)) for i, span in enumerate(self.spans)}
            return found

    assert local_rows(Partitioner((0, 2), (2, 4), (2, 4)), 8) == (0, 4)
    assert local_rows(Partitioner((4, 8)), 8) == (4, 8)
    assert local_rows(Partitioner((None, None)), 8) is None
    # Rows of other hosts lie between.
    assert local_rows(Partitioner((0, 2), (4, 6)), 8) is None


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"seed": 4}, "seed: 3 when saved, 4 now"),
        ({"batch_size": 16}, "batch_size: 8 when saved, 16 now"),
        ({"settings": Settings(window=128)}, "window: 64 when saved, 128 now"),
    ],
)
def test_positions_of_other_streams_are_refused(folder, changes, message):
    state = stream(folder).state_at(0)
    with pytest.raises(CheckpointError, match=message):
        stream(folder, **changes).restore(state)


@pytest.mark.parametrize("of", [lambda x: {"max_epochs": x}, lambda x: {"stages": {5: x}}])
def test_the_order_of_patterns_belongs_to_a_position(of):
    # Of patterns that fit a task the first one counts: of a_1 another one.
    patterns = {"*_1": 2.0, "a_*": 5.0}
    fields = [
        Settings(**of(each)).order_fields() for each in (patterns, dict(reversed(patterns.items())))
    ]
    assert fields[0] != fields[1]
    # As it comes back from a checkpoint.
    assert json.loads(json.dumps(fields[0])) == fields[0]


def test_positions_of_sources_and_damaged_ones_are_refused(folder):
    live = TrainIterator(config(None)).state_at(0)
    with pytest.raises(CheckpointError, match="prepared_dir"):
        stream(folder).restore(live)
    with pytest.raises(CheckpointError):
        TrainIterator(config(None)).restore(stream(folder).state_at(0))
    with pytest.raises(CheckpointError, match="cannot be read"):
        stream(folder).restore(b"\x00")


def test_other_lengths_splits_and_tasks_are_refused(folder):
    with pytest.raises(ConfigError, match="allows 4: an example of 'order_a' has"):
        stream(folder, task_feature_lengths={"inputs": 24, "targets": 4})
    # No example was cut, so longer rows would hold the same tokens.
    stream(folder, task_feature_lengths={"inputs": 48, "targets": 16})
    with pytest.raises(ConfigError, match="from split 'train'.*'validation'"):
        stream(folder, split="validation")
    testing.register_toy_task("order_c")
    try:
        with pytest.raises(NotFoundError, match="lacks 1 of the 1 asked for: order_c"):
            stream(folder, mixture_or_task_name="order_c")
    finally:
        testing.unregister("order_c")


def test_another_vocabulary_is_refused(folder):
    from flan_jax.data.vocabularies import word_vocabulary

    other = word_vocabulary([*testing.TOY_WORDS, "more"])
    testing.register_toy_task("order_b", rows=ROWS["order_b"])
    try:
        testing.register_toy_task("order_a", rows=ROWS["order_a"], vocabulary=other)
        with pytest.raises(DataError, match="vocabulary"):
            stream(folder, mixture_or_task_name="order_a")
    finally:
        testing.register_toy_task("order_a", rows=ROWS["order_a"])


def test_one_task_of_the_folder_alone(folder):
    read = stream(folder, mixture_or_task_name="order_b")
    assert read.task_names == ("order_b",)
    assert set(np.unique(next(read)["decoder_task_ids"])) == {0}
    read.close()


@pytest.mark.parametrize("field", [{"shuffle": False}, {"in_memory": True}])
def test_settings_of_sources_do_not_go_with_prepared_data(tmp_path, field):
    with pytest.raises(ConfigError, match="prepared_dir and"):
        config(tmp_path, **field)


def test_the_end_of_all_epochs_says_so(folder):
    read = stream(folder, settings=Settings(window=64, max_epochs={"*": 1}))
    assert read.plan.end is not None
    for _ in range(read.plan.end):
        next(read)
    with pytest.raises(DataError, match="max_epochs"):
        next(read)
    read.close()


def test_a_strict_configuration_takes_no_cut_targets(folder, tmp_path):
    stream(folder, strict=True)
    short = {"inputs": 24, "targets": 4}
    prepare(config(None, task_feature_lengths=short), str(tmp_path), runner="none")
    stream(tmp_path, task_feature_lengths=short)
    lengths = [len(encoded(target)) for _, target in ROWS["order_a"]]
    cut = sum(length > 4 for length in lengths)
    with pytest.raises(DataError, match=f"'order_a': the targets of {cut} examples were cut"):
        stream(tmp_path, task_feature_lengths=short, strict=True)


def test_a_reader_in_another_process_takes_no_other_data(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    cfg = config(copy)
    tasks, plan = open_plan(cfg, {"order_a": 3.0, "order_b": 1.0}, RowLayout(), None, SETTINGS)
    reader = BatchReader(plan, tasks, cfg, RowLayout())
    content = pickle.dumps(reader)
    same(pickle.loads(content)(7), reader(7))
    # The same rows with other words, so that no length differs.
    turned = [tuple(text.replace("red", "blue") for text in row) for row in ROWS["order_b"]]
    register(order_b=turned)
    try:
        prepare(config(None), str(copy), runner="none")
    finally:
        register()
    with pytest.raises(DataError, match="the task 'order_b' is another one"):
        pickle.loads(content)


@pytest.mark.exhaustive
def test_worker_processes_read_the_same(folder):
    threads, workers = stream(folder), stream(folder, settings=Settings(window=64, workers=2))
    for _ in range(3):
        same(next(threads), next(workers))
    threads.close()
    workers.close()
