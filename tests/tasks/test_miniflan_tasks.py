"""MiniFLAN as seqio tasks: registration, splits, metrics."""

import numpy as np
import pytest
import seqio

from flan_jax.data.config import DatasetConfig
from flan_jax.data.live import TrainIterator
from flan_jax.data.mixture import resolve
from tasks.miniflan import Settings, tasks

SMALL = Settings(pool=600, eval_examples=30)
EVALUATED = ("seen", "unseen", "held_out_phrasing", "held_out_cluster")


@pytest.fixture(scope="module", autouse=True)
def registered():
    tasks.register(SMALL)


@pytest.fixture
def same_settings(monkeypatch):
    """`resolve` calls register() itself, with gin's settings; keeps them small."""
    monkeypatch.setattr("tasks.miniflan.Settings", lambda: SMALL)


def _config(name, split="train", **changes):
    fields = {
        "mixture_or_task_name": name,
        "task_feature_lengths": {"inputs": 64, "targets": 32},
        "split": split,
        "batch_size": 4,
        "shuffle": True,
        "seed": 0,
        "pack": True,
        "module": "tasks.miniflan",
    }
    return DatasetConfig(**{**fields, **changes})


def test_the_training_mixture_resolves_by_module_with_the_shares_asked_for(same_settings):
    mixture = resolve(_config("miniflan_train"))
    shares = {share.name: share.share for share in mixture.shares}
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["miniflan_single"] == pytest.approx(SMALL.single_share)
    assert shares["miniflan_choice"] == pytest.approx(SMALL.choice_share)
    assert shares["miniflan_worked"] == pytest.approx(SMALL.worked_share)
    # One task per trained cluster; those held out have none.
    assert "miniflan_length_order" in shares
    assert not {"miniflan_order_change", "miniflan_change_order"} & shares.keys()


@pytest.mark.parametrize("name", ["miniflan_train", "miniflan_task_id_train"])
def test_the_stream_packs_whole_examples_of_known_words(name, same_settings):
    stream = TrainIterator(_config(name))
    batch = next(stream)
    assert batch["encoder_input_tokens"].shape == (4, 64)
    unknown = stream.mixture.output_features["inputs"].vocabulary.unk_id
    assert not (batch["encoder_input_tokens"] == unknown).any()
    stats = stream.stats()
    assert stats["truncated_inputs"] == stats["truncated_targets"] == 0
    assert stats["examples_per_row"] > 2


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("mixture", ["miniflan_eval", "miniflan_task_id_eval"])
def test_evaluation_mixtures_have_every_split(mixture, split, same_settings):
    resolved = resolve(_config(mixture, split))
    assert all(share.task.num_input_examples(split) == 30 for share in resolved.shares)


def test_the_quickstart_tasks_are_graded_by_exact_match():
    for name in EVALUATED:
        task = seqio.TaskRegistry.get(f"miniflan_{name}")
        (metric,) = task.predict_metric_fns
        assert metric(["cat 7", "red"], ["cat 7", "RED"]) == {"exact_match": 50.0}


def test_splits_hold_different_rows_and_one_split_always_the_same():
    task = seqio.TaskRegistry.get("miniflan_unseen")

    def texts(split):
        rows = task.get_dataset(None, split, shuffle=False).as_numpy_iterator()
        return [row["inputs_pretokenized"] for row in rows]

    validation, test = texts("validation"), texts("test")
    assert set(validation).isdisjoint(test)
    tasks.register(SMALL)
    task = seqio.TaskRegistry.get("miniflan_unseen")
    assert texts("validation") == validation


def test_the_downstream_task_has_training_rows_of_the_held_out_cluster():
    downstream = seqio.TaskRegistry.get("miniflan_downstream").source
    evaluated = seqio.TaskRegistry.get("miniflan_held_out_cluster").source
    train, validation = downstream.columns("train"), downstream.columns("validation")
    # Graded on the very rows that show what the model does untuned.
    assert validation["inputs"].tolist() == evaluated.columns("validation")["inputs"].tolist()
    lists = [{row.rpartition(" : ")[2] for row in part["inputs"]} for part in (train, validation)]
    assert lists[0].isdisjoint(lists[1])
    cluster = {"+".join(names) for names in tasks.worlds.make_world().held_out_cluster}
    assert set(train["composition"]) <= cluster
    for mixture in ("miniflan_train", "miniflan_eval"):
        assert "miniflan_downstream" not in [
            task.name for task in seqio.MixtureRegistry.get(mixture).tasks
        ]


def test_registering_fewer_tasks_replaces_the_training_tasks_only():
    compositions = {}
    for count in (10, None):
        tasks.register(Settings(num_training_tasks=count, pool=600, eval_examples=30))
        for name in ("miniflan_choice", "miniflan_unseen"):
            split = "train" if name == "miniflan_choice" else "test"
            columns = seqio.TaskRegistry.get(name).source.columns(split)
            compositions[name, count] = set(columns["composition"].tolist())
    assert len(compositions["miniflan_choice", 10]) <= 10
    assert len(compositions["miniflan_choice", None]) > 10
    assert compositions["miniflan_unseen", 10] == compositions["miniflan_unseen", None]


def test_worked_answers_are_graded_by_the_last_list():
    task = seqio.TaskRegistry.get("miniflan_worked_eval")
    row = next(task.get_dataset(None, "validation", shuffle=False).as_numpy_iterator())
    target = row["targets_pretokenized"].decode()
    final = target.rpartition(" -> ")[2]
    assert " -> " in target
    assert task.postprocess_fn(target, example=row, is_target=True) == final
    assert task.postprocess_fn(f"something else -> {final}", example=row) == final


def test_rank_rows_are_the_options_of_the_choices_with_one_right_each():
    source = seqio.TaskRegistry.get("miniflan_choice_rank").source
    columns = source.columns("validation")
    questions = np.asarray(columns["question"])
    assert np.bincount(questions).tolist() == [3] * 30
    assert np.bincount(questions, weights=columns["right"]).tolist() == [1.0] * 30
    choices = seqio.TaskRegistry.get("miniflan_choice_eval").source.columns("validation")
    right = np.asarray(columns["right"])
    assert np.asarray(columns["targets"])[right].tolist() == choices["targets"].tolist()


def test_rank_accuracy_counts_ties_as_wrong_and_reports_them():
    targets = [(0, True), (0, False), (1, False), (1, True), (2, True), (2, False)]
    right, wrong, tied = (-1.0, -2.0), (-1.0, -2.0), (-1.0, -1.0)
    scores = [*right, *wrong, *tied]
    found = tasks.rank_accuracy(targets, scores)
    assert found["rank_accuracy"] == pytest.approx(100 / 3)
    assert found["ties"] == pytest.approx(100 / 3)
