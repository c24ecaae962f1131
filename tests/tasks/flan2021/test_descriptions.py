"""What FLAN 2021 says of its tasks and mixtures to `flan-jax inspect`."""

import types

import seqio

from flan_jax.data import description, origin
from tasks import flan2021
from tasks.flan2021 import registry
from tasks.flan2021.datasets import DATASETS


def test_tasks():
    said = flan2021.describe("flan2021_rte_type_3_2_shot_scoring_eval")
    assert (said.dataset, said.source) == ("rte", "super_glue/rte")
    assert said.splits["train"] == "train[:-200]"
    assert said.siblings[0] == "flan2021_rte_type_3_scoring_eval"
    assert said.siblings[5] == "flan2021_rte_type_3_5_shot_scoring_eval"
    assert said.facts["cluster"] == "entailment (paper: NLI)"
    assert said.facts["citation"] and said.facts["licence"]
    # Without a training split there are no solved examples.
    assert list(flan2021.describe("flan2021_wsc273_10templates").siblings) == [0]
    assert flan2021.describe("flan2021_nothing_10templates") is None


def test_evaluation_mixtures():
    sealed = {
        "flan2021_inter_cluster_entailment_eval": True,
        "flan2021_7clusters_2each_5_shot_eval": True,
        "flan2021_all_eval": False,
        "flan2021_all_no_template_eval": False,
    }
    for name, expected in sealed.items():
        assert flan2021.describe(name).sealed is expected
    assert flan2021.describe("flan2021_superglue_10templates_train") is None


def test_every_data_set_has_a_description_and_the_same_rows_nowhere_twice():
    for name, dataset in DATASETS.items():
        said = flan2021.describe(f"flan2021_{name}_10templates")
        assert said.dataset == name and said.facts["TFDS"] == dataset.tfds
        parts = [origin.origin_of(types.SimpleNamespace(), split, said) for split in dataset.splits]
        for i, one in enumerate(parts):
            assert all(origin.relation(one, other) != "rows" for other in parts[i + 1 :]), name


def test_templates_are_read_off_the_tasks(tmp_path):
    registry.register(vocabulary=seqio.ByteVocabulary())
    for name, shots in (("flan2021_drop_10templates", 0), ("flan2021_drop_10templates_2_shot", 2)):
        carried = description.templates_of(seqio.TaskRegistry.get(name))
        assert carried is not None
        assert (len(carried.templates), carried.shots) == (10, shots)
        assert sum(bool(one.inverts) for one in carried.templates) == 3
        assert "question" in carried.fields
