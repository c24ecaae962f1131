"""Tasks and mixtures by name: what they give, what they cost, and what is an error."""

import subprocess
import sys

import pytest
import seqio
from test_sources import write_rte

from flan_jax.data.config import DatasetConfig
from flan_jax.data.mixture import resolve
from flan_jax.errors import ConfigError, DataError, NotFoundError
from tasks import lazy, rates
from tasks.flan2021 import clusters, mixtures, recipes, registry
from tasks.flan2021.datasets import DATASETS
from tasks.flan2021.variants import Variant, parse_task_name
from tasks.settings import Flan2021

VOCABULARY = seqio.ByteVocabulary()
LENGTHS = {"inputs": 1024, "targets": 64}


@pytest.fixture
def register(tmp_path):
    folder = write_rte(tmp_path / "rte")
    write_rte(folder, 8, "val.jsonl")

    def with_settings(**settings):
        files = {"rte": str(folder)}
        registry.register(settings=Flan2021(files=files, **settings), vocabulary=VOCABULARY)

    yield with_settings
    registry.register(vocabulary=VOCABULARY)


def read(name, split="validation", count=200):
    task = seqio.TaskRegistry.get(name)
    rows = task.get_dataset(LENGTHS, split=split, shuffle=False, num_epochs=1)
    return list(rows.take(count).as_numpy_iterator())


def config(name):
    return DatasetConfig(name, LENGTHS, split="train", batch_size=2, shuffle=True, seed=0)


def text(row, feature="inputs"):
    return row[f"{feature}_pretokenized"].decode()


def test_zero_shot_uses_all_wordings(register):
    register()
    rows = read("flan2021_rte_10templates")
    used = {int(row["template_id"]) for row in rows}
    assert used == set(range(10))
    for row in rows:
        template = DATASETS["rte"].templates()[row["template_id"]]
        assert template.render(
            {
                "premise": row["premise"],
                "hypothesis": row["hypothesis"],
                "options_": "OPTIONS:\n- yes\n- no",
                "answer": row["answer"],
            }
        ) == {"inputs": text(row), "targets": text(row, "targets")}
        assert VOCABULARY.decode(row["inputs"].tolist()) == text(row)


def test_row_keeps_its_template_wherever_it_stands(register):
    register()
    read_in_order = {text(row): row["template_id"] for row in read("flan2021_rte_10templates")}
    task = seqio.TaskRegistry.get("flan2021_rte_10templates")
    shuffled = task.get_dataset(LENGTHS, split="validation", shuffle=True, seed=3, num_epochs=1)
    assert {text(row): row["template_id"] for row in shuffled.as_numpy_iterator()} == read_in_order


def test_number_of_templates_and_rotation(register):
    register(template_choice="rotate")
    for count in (1, 2, 4, 7):
        rows = read(f"flan2021_rte_{count}templates")
        assert [int(row["template_id"]) for row in rows] == [i % count for i in range(200)]


def test_few_shot(register):
    register(exemplar_wording="same")
    rows = read("flan2021_rte_10templates_2_shot")
    assert {int(row["num_exemplars"]) for row in rows} == {2}
    for row in rows:
        *shown, asked = text(row).split("\n\n***\n\n")
        assert len(shown) == 2
        assert row["premise"].decode() not in "".join(shown)
        assert asked.endswith("\nAnswer:")
    # Not more than fit into 1,024 bytes, and those whole.
    rows = read("flan2021_rte_10templates_multi_shot")
    assert all(0 < row["num_exemplars"] < 16 for row in rows)
    assert all(text(row).count("***") == row["num_exemplars"] for row in rows)
    assert all(len(row["inputs"]) <= 1024 for row in rows)


def test_without_options(register):
    register()
    for row in read("flan2021_rte_10templates_no_options"):
        assert "OPTIONS" not in text(row)
        assert text(row) == text(row).strip()
    for row in read("flan2021_rte_10templates_3_shot_no_options"):
        assert "OPTIONS" not in text(row)


def test_dialog_format(register):
    register(prompt_format="flan2021")
    row = read("flan2021_rte_type_0")[0]
    assert text(row).startswith("0 ") and text(row).endswith(" X 1 FLAN")
    shot = read("flan2021_rte_type_0_1_shot")[0]
    assert text(shot).count(" X 1 ") == 2


def test_scoring_rows(register):
    register()
    rows = read("flan2021_rte_type_1_scoring_eval", count=6)
    assert [row["idx"].tolist() for row in rows] == [[i // 2, i % 2] for i in range(6)]
    assert [text(row, "targets") for row in rows] == ["yes", "no"] * 3
    # Row 50 of the file is not entailed, row 51 is.
    assert [bool(row["is_correct"]) for row in rows[:4]] == [False, True, True, False]
    assert text(rows[0]) == text(rows[1])
    task = seqio.TaskRegistry.get("flan2021_rte_type_1_scoring_eval")
    (metric,) = task.metric_fns
    targets = [
        task.postprocess_fn(text(row, "targets"), example=row, is_target=True) for row in rows
    ]
    found = metric(targets, [-2.0, -1.0, -1.0, -2.0, -1.0, -1.0])
    assert found["accuracy"] == pytest.approx(250 / 3)
    assert found["ties"] == pytest.approx(100 / 3)


def test_ablations(register):
    register()
    row = read("flan2021_rte_no_template")[0]
    assert text(row) == "There are 50 birds on the roof.\n50 birds sit on a roof."
    assert text(row, "targets") == "no"
    named = read("flan2021_rte_dataset_name")[0]
    assert text(named) == "[NLI: RTE]\n" + text(row)


def test_training_mixture_resolves_with_capped_rates(register):
    register(cap=30)
    members = [("flan2021_rte_10templates", rates.Cap(30)), ("flan2021_rte_type_0", rates.Cap())]
    lazy.add_mixture("flan2021_test_mixture", lambda: {"tasks": members})
    resolved = resolve(config("flan2021_test_mixture"))
    assert [share.rate for share in resolved.shares] == [30.0, 50.0]
    seqio.MixtureRegistry.remove("flan2021_test_mixture")


def test_missing_data_names_the_task_and_the_fix(register, tmp_path):
    register(tfds_data_dir=str(tmp_path))
    cfg = config("flan2021_inter_cluster_entailment_10templates_train")
    with pytest.raises(DataError, match="55 of the 55 tasks") as error:
        resolve(cfg)
    assert "flan2021_aeslc_10templates" in str(error.value)
    assert "tfds build aeslc:1.0.0" in str(error.value)


def test_held_out_clusters_leave_with_their_kin():
    for cluster in clusters.CLUSTERS:
        split = clusters.inter_cluster(cluster)
        assert not set(split.train) & set(split.held_out)
        assert set(clusters.CLUSTERS[cluster]) <= set(split.held_out)
    kept = set(clusters.inter_cluster("read_comp_and_common_sense").train)
    assert not kept & {"squad_v1", "copa", "record"}
    assert "wsc273" in clusters.inter_cluster("coreference").held_out
    assert len(clusters.inter_cluster("entailment").train) == 69 - 10 - 4


def test_intra_cluster_splits_keep_related_tasks_together():
    for number in range(clusters.INTRA_CLUSTER_SPLITS):
        split = clusters.intra_cluster(number)
        for related in clusters.RELATED:
            assert len({task in split.held_out for task in related}) == 1
        assert not set(split.train) & set(split.held_out)
        held = {clusters.cluster_of(task) for task in split.held_out}
        assert held == {name for name, tasks in clusters.CLUSTERS.items() if len(tasks) > 1}


def test_published_ablation_sizes():
    """Figure 6 counts 11, 20, 26, 30, 34, 37, 39 data sets; the repository has eight of the nine
    translation sets, two views of SQuAD and WSC beside two others."""
    counts = [len(clusters.added_clusters(n).train) for n in range(1, 8)]
    assert counts == [11, 19, 25, 29, 33, 36, 38]
    assert len(clusters.superglue(15).train) == 15
    assert set(clusters.superglue().held_out) == set(clusters.SUPERGLUE)
    assert clusters.added_clusters(7, 2).train[:2] == ("aeslc", "cnn_dailymail")


def test_every_mixture_names_tasks_that_exist(register):
    register()
    names = set(seqio.TaskRegistry.names())
    seen = set()
    for name, members in mixtures.all_mixtures(DATASETS, 3000):
        assert name not in seen
        seen.add(name)
        tasks = [task for task, _ in members()]
        assert tasks and set(tasks) <= names, name
    assert "flan2021_superglue_4templates_train" in seen
    assert "flan2021_7clusters_2each_eval" in seen


def test_evaluation_ranks_what_has_options_and_never_inverts():
    split = clusters.inter_cluster("reading_comprehension")
    tasks = [name for name, _ in mixtures.eval_tasks(split, DATASETS)]
    assert "flan2021_bool_q_type_9_scoring_eval" in tasks
    assert "flan2021_drop_type_6" in tasks
    # DROP's wordings 7 to 9 ask for the question or the passage.
    assert "flan2021_drop_type_7" not in tasks


def test_registering_again_keeps_what_was_built(register):
    register()
    before = seqio.TaskRegistry.get("flan2021_rte_10templates")
    register()
    assert seqio.TaskRegistry.get("flan2021_rte_10templates") is before
    register(seed=1)
    assert seqio.TaskRegistry.get("flan2021_rte_10templates") is not before


def test_unknown_data_set_in_files():
    with pytest.raises(NotFoundError, match="mean 'bool_q'"):
        registry.register(settings=Flan2021(files={"boolq": "/x"}))


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="template_choice is 'hsh'.*'hash'"):
        Flan2021(template_choice="hsh")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="pool_rows is 0"):
        Flan2021(pool_rows=0)


def test_lazy_objects_fail_again_with_the_same_error():
    calls = []

    def arguments():
        calls.append(1)
        raise ValueError("no data")

    task = lazy.LazyTask("a_task", arguments)
    for _ in range(2):
        with pytest.raises(ValueError, match="no data"):
            task.source  # noqa: B018
    assert len(calls) == 2
    with pytest.raises(AttributeError, match="__nothing__"):
        task.__nothing__  # noqa: B018


def test_registering_builds_nothing_and_is_quick():
    """A fresh process: the time beyond seqio's own import, and no data set opened."""
    code = (
        "import time, seqio, tensorflow_datasets\n"
        "seqio.TfdsDataSource.__init__ = None\n"
        "start = time.process_time()\n"
        "import tasks.flan2021\n"
        "tasks.flan2021.register()\n"
        "assert len(seqio.TaskRegistry.names()) > 10_000\n"
        "print(time.process_time() - start)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(found.stdout) < 3


def test_variant_names():
    assert Variant(shots=16).task_name("rte") == "flan2021_rte_10templates_multi_shot"
    assert Variant(templates=4, options=False).task_name("rte") == (
        "flan2021_rte_4templates_no_options"
    )


def test_only_some_data_sets(register):
    register(only=("rte", "cb", "trec"))
    split = "flan2021_inter_cluster_entailment"
    assert [
        task.name for task in seqio.MixtureRegistry.get(f"{split}_10templates_train").tasks
    ] == ["flan2021_trec_10templates"]
    held_out = seqio.MixtureRegistry.get(f"{split}_eval").tasks
    assert {parse_task_name(task.name)[0] for task in held_out} == {"rte", "cb"}
    with pytest.raises(ConfigError, match="leaves no task in .*translation_eval"):
        seqio.MixtureRegistry.get("flan2021_inter_cluster_translation_eval").tasks  # noqa: B018
    with pytest.raises(NotFoundError, match="only names 'rtee'"):
        register(only=("rtee",))


def test_names_for_recipes():
    assert recipes.train_mixture("superglue", templates=4) == "flan2021_superglue_4templates_train"
    assert recipes.train_mixture("all", prompt="no_template") == "flan2021_all_no_template_train"
    assert recipes.eval_mixture("3clusters", shots=16, options=False) == (
        "flan2021_3clusters_multi_shot_no_options_eval"
    )
    with pytest.raises(NotFoundError, match="no split 'inter_cluster_nli'.*Splits: inter_cluster"):
        recipes.train_mixture("inter_cluster_nli")
    with pytest.raises(ConfigError, match="not trained with shots=4"):
        recipes.train_mixture("all", shots=4)
    with pytest.raises(ConfigError, match="not evaluated with shots=0, .*'dataset_name'"):
        recipes.eval_mixture("superglue", prompt="dataset_name")
