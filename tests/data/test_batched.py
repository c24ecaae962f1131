"""Whole batches against seqio's row-by-row pipeline: the same tokens, flags, and exact resume."""

import itertools

import numpy as np
import pytest
import seqio
import tensorflow as tf

from flan_jax.data import batched, tokens
from flan_jax.data.config import DatasetConfig
from flan_jax.data.live import TrainIterator
from flan_jax.data.stream import MemoryStream, TaskStream
from flan_jax.errors import DataError
from flan_jax.prompts import RowStep, Template, TemplateSet
from tasks.registration import TOKENIZE, ColumnSource, add_mixture

VOCABULARY = seqio.ByteVocabulary()
ROWS = 700


def columns(split):
    del split
    return {
        "number": np.arange(ROWS),
        "text": tf.ragged.constant([["w"] * (i % 7) for i in range(ROWS)]),
        "index": np.arange(ROWS),
    }


def join_words(rows):
    words = rows["text"].to_tensor("")
    return {**rows, "words": tf.strings.reduce_join(words, axis=1)}


def kept(rows, mask_B):
    return {
        name: tf.ragged.boolean_mask(value, mask_B)
        if isinstance(value, tf.RaggedTensor)
        else tf.boolean_mask(value, mask_B)
        for name, value in rows.items()
    }


def drop_odd(rows):
    return kept(rows, rows["number"] % 2 == 0)


def drop_all(rows):
    return {"words": rows["words"][:0], "number": rows["number"][:0], "index": rows["index"][:0]}


def make_task(name, *steps):
    templates = TemplateSet(
        name,
        [Template("{number} {words}", "{number}", "a", ("number",)), Template("say", "{number}")],
        fields=("number", "words"),
    )
    seqio.TaskRegistry.remove(name)
    feature = seqio.Feature(VOCABULARY, add_eos=True)
    return seqio.TaskRegistry.add(
        name,
        source=ColumnSource(name, columns, ["train"]),
        preprocessors=[RowStep(join_words), *steps, templates.as_preprocessor(), TOKENIZE],
        output_features={"inputs": feature, "targets": feature},
    )


def config(name, **values):
    given = {"split": "train", "batch_size": 4, "shuffle": True, "seed": 0, "pack": True}
    lengths = values.pop("task_feature_lengths", {"inputs": 9, "targets": 3})
    return DatasetConfig(name, lengths, **{**given, **values})


def rows_of(stream, count):
    found = [stream.next() for _ in range(count)]
    return [(one.inputs.tolist(), one.targets.tolist(), one.flags) for one in found]


def expected(task, cfg):
    dataset = tokens.token_dataset(task, cfg, shuffle=False, num_epochs=1)
    return [
        (row["inputs"].tolist(), row["targets"].tolist(), int(row["flags"]))
        for row in dataset.as_numpy_iterator()
    ]


@pytest.mark.parametrize("kind", [TaskStream, MemoryStream])
@pytest.mark.parametrize(
    "steps", [(RowStep(drop_odd),), pytest.param((), marks=pytest.mark.exhaustive)]
)
def test_same_tokens_and_flags_as_seqio(kind, steps):
    task = make_task("batched_a", *steps)
    cfg = config("batched_a", shuffle=False)
    assert batched.is_batched(task, cfg)
    wanted = expected(task, cfg)
    # Inputs longer than 9, targets longer than 3 with and without their end are among them.
    assert len({flags for _, _, flags in wanted}) >= 3
    assert rows_of(kind(task, 0, cfg), len(wanted) + 5) == wanted + wanted[:5]


def test_shuffled_epochs_hold_every_row_once():
    task = make_task("batched_b")
    cfg = config("batched_b")
    stream = TaskStream(task, 0, cfg)
    epochs = [rows_of(stream, ROWS) for _ in range(2)]
    plain = sorted(expected(task, cfg))
    assert sorted(epochs[0]) == sorted(epochs[1]) == plain
    assert epochs[0] != epochs[1]
    assert rows_of(TaskStream(task, 0, cfg), ROWS) == epochs[0]


def test_a_task_with_a_step_of_seqio_is_read_row_by_row():
    task = make_task("batched_c")
    mixed = task.replace(preprocessors=[*task.preprocessors, lambda rows: rows])
    cfg = config("batched_c", shuffle=False)
    assert not batched.is_batched(mixed, cfg)
    assert rows_of(TaskStream(mixed, 0, cfg), 20) == rows_of(TaskStream(task, 0, cfg), 20)


def test_resume_continues_exactly():
    make_task("batched_d")
    make_task("batched_e", RowStep(drop_odd))
    add_mixture("batched_mix", {"batched_d": 1.0, "batched_e": 2.0})
    cfg = config("batched_mix", snapshot_period=20)
    whole = TrainIterator(cfg)
    batches = [next(whole) for _ in range(130)]
    first = TrainIterator(cfg)
    for _ in range(113):
        next(first)
    again = TrainIterator(cfg)
    again.restore(first.state_at(113))
    for want in batches[113:]:
        for name, value in next(again).items():
            np.testing.assert_array_equal(value, want[name])
    assert again.stats() == whole.stats()


def test_dropping_every_row_is_an_error():
    task = make_task("batched_f", RowStep(drop_all))
    with pytest.raises(DataError, match="'batched_f' has no rows"):
        TaskStream(task, 0, config("batched_f")).next()


def test_an_example_far_from_the_start_of_a_split_is_found_in_every_epoch():
    last = ROWS - 1
    task = make_task("batched_rare", RowStep(lambda rows: kept(rows, rows["number"] == last)))
    cfg = config("batched_rare", shuffle=False, task_feature_lengths={"inputs": 40, "targets": 9})
    found = rows_of(TaskStream(task, 0, cfg), 3)
    assert [VOCABULARY.decode(targets[:-1]) for _, targets, _ in found] == [str(last)] * 3


def test_chunks_grow_and_leave_no_place_out():
    spans = [batched.chunk_places(number, 20) for number in range(5)]
    assert spans == [(0, 8), (8, 24), (24, 44), (44, 64), (64, 84)]
    assert batched.chunk_places(0, 3) == (0, 3) and batched.chunk_places(4, 3) == (12, 15)


@pytest.mark.parametrize("shuffle", [False, True])
def test_first_rows_of_a_source_are_those_of_its_pipeline(shuffle):
    source = ColumnSource("batched_first", columns, ["train"])
    tf.random.set_seed(0)
    expected = source.get_dataset("train", shuffle=shuffle, seed=5).ragged_batch(90)
    expected = next(iter(expected))
    found = source.first_rows("train", 90, shuffle=shuffle, seed=5)
    assert found["number"].numpy().tolist() == expected["number"].numpy().tolist()
    assert found["text"].to_list() == expected["text"].to_list()
    assert len(source.first_rows("train", 9999, shuffle=shuffle, seed=5)["number"]) == ROWS


def test_rows_by_number_are_not_read_again_to_resume(monkeypatch):
    make_task("batched_seek")
    cfg = config("batched_seek", snapshot_period=50)
    first = TrainIterator(cfg)
    for _ in range(100):
        next(first)
    again, taken = TrainIterator(cfg), []
    take = ColumnSource.take
    monkeypatch.setattr(
        ColumnSource, "take", lambda *args: taken.append(len(args[2])) or take(*args)
    )
    again.restore(first.state_at(100))
    assert taken == []
    want = next(first)
    for name, value in next(again).items():
        np.testing.assert_array_equal(value, want[name])


def test_tasks_of_the_same_features_share_a_traced_end():
    task, other = make_task("batched_g"), make_task("batched_h")
    before = len(batched._FINISHERS)
    for one in (task, other):
        TaskStream(one, 0, config(one.name)).next()
    assert len(batched._FINISHERS) <= before + 1


def test_rows_are_mixed_anew_in_every_epoch_by_arithmetic():
    task = make_task("batched_order")

    def numbers(seed, count):
        cfg = config("batched_order", seed=seed, task_feature_lengths={"inputs": 9, "targets": 9})
        stream = TaskStream(task, 0, cfg)
        found = [stream.next().targets.tolist() for _ in range(count)]
        return [int(VOCABULARY.decode(row[:-1])) for row in found]

    rows = numbers(0, 2 * ROWS)
    first, second = rows[:ROWS], rows[ROWS:]
    assert sorted(first) == sorted(second) == list(range(ROWS))
    assert first != second and first != numbers(1, ROWS) and first == numbers(0, ROWS)
    # As far from the order of the file as chance puts them: neighbours are 1 apart in 2 of ROWS.
    near = sum(abs(a - b) == 1 for a, b in itertools.pairwise(first))
    assert near < 12
