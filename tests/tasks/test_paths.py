import gin
import pytest

from flan_jax import gin_utils
from flan_jax.errors import ConfigError, DataError
from flan_jax.models import sizes
from tasks.paths import ENVIRONMENT, Paths
from tasks.settings import Cot, CotSuperNI, SuperNI


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for variable in ENVIRONMENT.values():
        monkeypatch.delenv(variable, raising=False)
    gin.clear_config()
    yield
    gin.clear_config()


def test_without_a_path_both_ways_are_named():
    with pytest.raises(DataError) as caught:
        Paths().resolve("cot_dir")
    assert "tasks.Paths.cot_dir" in str(caught.value)
    assert "export FLAN_JAX_COT_DIR=/path" in str(caught.value)


def test_gin_comes_before_the_environment(tmp_path, monkeypatch):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    monkeypatch.setenv("FLAN_JAX_COT_DIR", str(tmp_path / "one"))
    assert Paths().resolve("cot_dir") == tmp_path / "one"
    gin.parse_config(f"tasks.Paths.cot_dir = '{tmp_path / 'two'}'")
    assert Paths().resolve("cot_dir") == tmp_path / "two"


def test_a_missing_path_names_the_nearest(tmp_path):
    (tmp_path / "spiece.model").write_text("x")
    with pytest.raises(DataError, match="Did you mean 'spiece.model'"):
        Paths(sentencepiece_model=str(tmp_path / "spiece.modle")).resolve("sentencepiece_model")
    with pytest.raises(DataError, match=f"The path exists up to {tmp_path}"):
        Paths(cot_dir=str(tmp_path / "a" / "b" / "c")).resolve("cot_dir")


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="which is a file"):
        Paths(super_ni_dir=str(tmp_path / "file")).resolve("super_ni_dir")
    with pytest.raises(DataError, match="which is a folder"):
        Paths(sentencepiece_model=str(tmp_path)).resolve("sentencepiece_model")


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="tasks.Cot.validation_rows is -1"):
        Cot(validation_rows=-1)
    with pytest.raises(ConfigError, match="tasks.SuperNI.train_cap is 0"):
        SuperNI(train_cap=0)
    with pytest.raises(ConfigError, match="super_ni_rate is 0"):
        CotSuperNI(super_ni_rate=0)


def test_gin_text_with_these_names_passes_the_strict_check():
    bindings = ["tasks.Paths.cot_dir = '/x'", "tasks.SuperNI.encoding = 'def'"]
    gin_utils.parse([], bindings, entry="tasks.Cot")
    assert Paths().cot_dir == "/x"
    assert SuperNI().encoding == "def"
    with pytest.raises(ConfigError, match="encodng"):
        bad = ["tasks.SuperNI.encodng = 'def'"]
        gin_utils.parse([], bad, entry="tasks.Cot")


@pytest.mark.parametrize("name", ["cot", "super_ni", "cot_super_ni"])
def test_mixture_files_go_on_top_of_a_run(name):
    files = ["models/tiny.gin", "runs/finetune.gin", f"mixtures/{name}.gin"]
    gin_utils.parse(files, ["MODEL_DIR = '/x'", "TRAIN_STEPS = 2"])
    assert gin_utils.macro_value("MIXTURE_OR_TASK_MODULE").startswith("tasks.")
    assert gin_utils.macro_value("TASK_FEATURE_LENGTHS")["targets"] == 128
    assert SuperNI().split == "default" and Cot().validation_rows == 200


def test_the_small_recipe_has_the_size_its_header_states():
    gin_utils.parse(["runs/cot_super_ni_small.gin"], ["MODEL_DIR = '/x'"])
    config = gin_utils.macro_value("MODEL").config
    assert sizes.count_params(config) == 11_373_568
    assert 2 * config.vocab_size * config.emb_dim == 8_224_768
    assert SuperNI().split == "subset" and SuperNI().allow_missing
