"""Names become tasks and rates, with seqio's arithmetic and none of its silence."""

import sys

import numpy as np
import pytest
import seqio

from flan_jax import testing
from flan_jax.data.config import DatasetConfig
from flan_jax.data.mixture import Sampler, import_task_module, resolve
from flan_jax.errors import ConfigError, DataError, NotFoundError


def make_config(name, **changes):
    fields = {
        "mixture_or_task_name": name,
        "task_feature_lengths": {"inputs": 8, "targets": 8},
        "split": "train",
        "batch_size": 2,
        "shuffle": False,
        "seed": 0,
    }
    return DatasetConfig(**{**fields, **changes})


@pytest.fixture(scope="module")
def nested():
    for name in ("mix_a", "mix_b", "mix_c"):
        testing.register_toy_task(name, 4)
    testing.register_toy_mixture("mix_inner", {"mix_a": 3.0, "mix_b": 1.0})
    testing.register_toy_mixture("mix_outer", {"mix_inner": 2.0, "mix_b": 1.0, "mix_c": 5.0})
    return "mix_outer"


def test_nested_rates_are_seqios(nested):
    found = resolve(make_config(nested))
    assert found.task_names == ("mix_a", "mix_b", "mix_c")
    # inner gives 2 x 3/4 and 2 x 1/4; b has 1 of its own.
    np.testing.assert_allclose([share.rate for share in found.shares], [1.5, 1.5, 5.0])
    np.testing.assert_allclose([share.share for share in found.shares], np.array([3, 3, 10]) / 16)


def test_draws_follow_seqios_own_sampling(nested):
    shares = [share.share for share in resolve(make_config(nested)).shares]
    sampler = Sampler(shares, seed=1)
    ours = np.bincount([sampler.draw() for _ in range(20000)], minlength=3) / 20000

    class OneRow(seqio.Mixture):
        """The mixture with rows that say which task they are of."""

        def get_task_dataset(self, task, *args, **kwargs):
            import tensorflow as tf

            index = ("mix_a", "mix_b", "mix_c").index(task.name)
            return tf.data.Dataset.from_tensors(index).repeat()

    mixture = seqio.MixtureRegistry.get(nested)
    tagged = OneRow(nested, list(mixture.rate_per_task_name.items()))
    drawn = tagged.get_dataset(split="train", shuffle=False, seed=1).batch(6000)
    theirs = np.bincount(next(iter(drawn)).numpy(), minlength=3) / 6000
    np.testing.assert_allclose(ours, shares, atol=0.012)  # 3.6 standard deviations
    np.testing.assert_allclose(theirs, ours, atol=0.025)


def test_sampler_is_a_function_of_seed_and_position():
    first = Sampler([0.2, 0.0, 0.8], seed=5)
    stream = [first.draw() for _ in range(9000)]
    assert set(stream) == {0, 2}
    for position in (0, 17, 4095, 4096, 8999):
        assert Sampler([0.2, 0.0, 0.8], seed=5, position=position).draw() == stream[position]
    other = Sampler([0.2, 0.0, 0.8], seed=6)
    assert [other.draw() for _ in range(9000)] != stream


def test_unknown_name_gives_the_nearest_and_the_line_to_add(nested):
    with pytest.raises(NotFoundError) as error:
        resolve(make_config("mix_uoter"))
    said = str(error.value)
    assert "'mix_outer'" in said and "Modules imported: none" in said
    assert "--gin.MIXTURE_OR_TASK_MODULE" in said


def test_missing_split_names_tasks_and_rates():
    testing.register_toy_task("split_full", 4)
    testing.register_toy_task("split_less", 4, splits=("train",))
    testing.register_toy_mixture("split_mix", {"split_full": 3.0, "split_less": 1.0})
    with pytest.raises(NotFoundError, match=r"split_less: rate 1 \(25.0%.*has train"):
        resolve(make_config("split_mix", split="validation"))
    with pytest.raises(NotFoundError, match="Did you mean 'train'"):
        resolve(make_config("split_less", split="trian"))


def test_empty_split_is_a_data_error():
    testing.register_toy_task("empty", rows=[])
    with pytest.raises(DataError, match="'train' of task 'empty' has no rows"):
        resolve(make_config("empty"))


def test_other_vocabulary_or_missing_feature_is_named():
    testing.register_toy_task("voc_a", 2)
    testing.register_toy_task("voc_b", 2, vocabulary=seqio.ByteVocabulary())
    testing.register_toy_mixture("voc_mix", {"voc_a": 1.0, "voc_b": 1.0})
    with pytest.raises(DataError, match="'voc_b' has another vocabulary"):
        resolve(make_config("voc_mix"))
    testing.unregister("lm")
    task = seqio.TaskRegistry.get("voc_a")
    seqio.TaskRegistry.add(
        "lm",
        source=task.source,
        preprocessors=[],
        output_features={"targets": task.output_features["targets"]},
    )
    with pytest.raises(DataError, match="'inputs' is missing"):
        resolve(make_config("lm"))


@pytest.mark.parametrize("rate", [-1.0, float("nan"), lambda task: 1 / 0])
def test_unusable_rate_is_named(rate):
    testing.register_toy_task("rate_a", 2)
    testing.register_toy_mixture("rate_mix", {"rate_a": rate})
    with pytest.raises(DataError, match="rate of task 'rate_a'"):
        resolve(make_config("rate_mix"))


def test_all_rates_zero_is_an_error():
    testing.register_toy_task("rate_a", 2)
    testing.register_toy_mixture("rate_zero", {"rate_a": 0.0})
    with pytest.raises(DataError, match="All rates"):
        resolve(make_config("rate_zero"))


def test_mixture_with_its_own_sampling_is_refused(nested):
    testing.unregister("own_sampling")
    seqio.MixtureRegistry.add("own_sampling", ["mix_a"], default_rate=1, sample_fn=print)
    with pytest.raises(ConfigError, match="sample_fn of its own"):
        resolve(make_config("own_sampling"))


@pytest.fixture
def module_folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("flan_test_module", "flan_test_broken", "flan_test_needs"):
        sys.modules.pop(name, None)


def test_module_is_imported_and_its_register_called(module_folder):
    (module_folder / "flan_test_module.py").write_text(
        "from flan_jax import testing\n"
        "def register():\n"
        "    testing.register_toy_task('from_module', 3)\n"
    )
    testing.unregister("from_module")
    assert resolve(make_config("from_module", module="flan_test_module")).shares[0].rate == 1.0


def test_module_failures_are_explained(module_folder):
    with pytest.raises(NotFoundError, match="'flan_no_such.sub' was not found"):
        import_task_module("flan_no_such.sub")
    (module_folder / "flan_test_needs.py").write_text("import flan_missing_package\n")
    with pytest.raises(ConfigError, match="pip install flan_missing_package"):
        import_task_module("flan_test_needs")
    (module_folder / "flan_test_broken.py").write_text("1 / 0\n")
    with pytest.raises(ConfigError, match="'flan_test_broken' failed: ZeroDivisionError"):
        import_task_module("flan_test_broken")
