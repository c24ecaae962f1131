"""The table of a held-out cluster, on results written by hand."""

import pytest

from flan_jax.eval import runner
from tasks.flan2021 import evaluation
from tasks.flan2021.datasets import DATASETS
from tasks.flan2021.variants import parse_task_name, variants_of

RESULTS = {
    "flan2021_cb_type_0_scoring_eval": {"accuracy": 40.0, "macro_f1": 1.0, "num_examples": 56},
    "flan2021_cb_type_1_scoring_eval": {"accuracy": 60.0, "macro_f1": 2.0},
    "flan2021_cb_type_2_scoring_eval": {"accuracy": 50.0, "macro_f1": 3.0},
    "flan2021_cb_type_3_scoring_eval": {"error": "out of memory"},
    "flan2021_rte_type_0_scoring_eval": {"accuracy": 70.0},
    "flan2021_rte_type_0_no_options_scoring_eval": {"accuracy": 10.0},
    "flan2021_squad_v2_type_0_multi_shot": {"exact_match": 20.0, "f1": 30.0},
    "another_task": {"accuracy": 99.0},
}
DEV = {
    "flan2021_cb_type_0_scoring_eval": {"accuracy": 80.0},
    "flan2021_cb_type_1_scoring_eval": {"accuracy": 20.0},
    "flan2021_cb_type_2_scoring_eval": {"accuracy": 80.0},
    "flan2021_rte_type_0_scoring_eval": {"accuracy": 1.0},
}


def test_summary():
    found = evaluation.summarise(RESULTS, DEV)
    assert [(one.dataset, one.setting) for one in found] == [
        ("squad_v2", "multi-shot, generated"),
        ("cb", "zero-shot, ranked"),
        ("rte", "zero-shot, ranked, no options"),
        ("rte", "zero-shot, ranked"),
    ]
    cb = found[1]
    assert (cb.metric, cb.mean, cb.deviation, cb.best_dev) == ("accuracy", 50.0, 10.0, 0)
    assert cb.published.mean == 64.1
    assert found[0].metric == "f1"
    assert found[2].best_dev is None
    assert found[3].deviation is None


def test_table():
    table = evaluation.cluster_table(RESULTS, DEV)
    rows = {(row[0], row[1]): row for row in table["rows"]}
    assert rows["cb", "zero-shot, ranked"][3:9] == ["3", "50.0", "10.0", "0", "40.0", "64.1"]
    mean = rows["NLI: entailment", "zero-shot, ranked"]
    assert (mean[2], mean[4], mean[7]) == ("mean of 2", "60.0", "55.0")
    assert len({len(row) for row in [table["header"], *table["rows"]]}) == 1
    text = runner.format_summary(table)
    assert "FLAN 137B mean" in text and "secondary" in text


def test_without_validation_nothing_is_called_best():
    table = evaluation.cluster_table(RESULTS)
    assert all(row[6] == row[7] == "" for row in table["rows"])


def test_lower_is_better_for_edit_distance():
    results = {f"flan2021_true_case_type_{i}": {"mean_edit": float(i)} for i in range(3)}
    (one,) = evaluation.summarise(results, results)
    assert one.best_dev == 0


@pytest.mark.parametrize("name", ["rte", "multirc", "wsc273", "xsum"])
def test_every_name_parses_back(name):
    for variant in variants_of(DATASETS[name]):
        parsed = parse_task_name(variant.task_name(name))
        assert parsed == (None if variant.template is None else (name, variant))
