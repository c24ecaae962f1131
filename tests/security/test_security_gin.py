"""A gin file from others imports nothing that the user has not named, and fetches nothing."""

import pathlib
import subprocess
import sys

import pytest

from flan_jax import cli, gin_flags, gin_source, gin_trust, gin_utils, scaling
from flan_jax.data import mixture
from flan_jax.errors import ConfigError
from flan_jax.eval import toxicity

FILES = ["models/tiny.gin", "runs/finetune.gin", "theirs.gin"]
RUN = [
    "MODEL_DIR = '/nowhere'",
    "MIXTURE_OR_TASK_NAME = 'some_task'",
    "TASK_FEATURE_LENGTHS = {'inputs': 16, 'targets': 8}",
    "TRAIN_STEPS = 10",
]
MODULE = "MIXTURE_OR_TASK_MODULE = 'their_tasks'\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with the file of theirs, and the module that it wants to be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv(gin_flags.VARIABLE, raising=False)
    pathlib.Path("their_tasks.py").write_text("import pathlib\npathlib.Path('ran').touch()\n")
    yield tmp_path
    gin_utils.clear()


def ran():
    """Whether the module's code ran; imported once, it would not run again."""
    sys.modules.pop("their_tasks", None)
    return pathlib.Path("ran").exists()


def parse(text, *bindings, **kwargs):
    pathlib.Path("theirs.gin").write_text(text)
    return gin_utils.parse(FILES, [*RUN, *bindings], **kwargs)


@pytest.mark.parametrize(
    "text",
    [
        "import their_tasks\n",
        "import os.path\n",
        "from os import path\n",
        MODULE,
        "MIXTURE_OR_TASK_MODULE = %WHERE\nWHERE = 'their_tasks'\n",
        "MIXTURE_OR_TASK_MODULE = ('tasks.miniflan', 'their_tasks')\n",
        "train/utils.DatasetConfig.module = ['their_tasks']\n",
        "MIXTURE_OR_TASK_MODULE = 'tasks_of_theirs'\n",
        "MIXTURE_OR_TASK_MODULE = 'tasks/../their_tasks'\n",
        "include 'more.gin'\n",
    ],
)
def test_a_module_in_a_file_is_refused_with_the_way_to_allow_it(text):
    pathlib.Path("more.gin").write_text(MODULE)
    with pytest.raises(ConfigError, match="would be imported, which runs its code") as caught:
        parse(text)
    assert gin_flags.VARIABLE in str(caught.value) and "--allow_gin_imports" in str(caught.value)
    assert ".gin:" in str(caught.value) and not ran()


def test_gins_own_registration_by_import_is_refused():
    with pytest.raises(ConfigError, match="remove this line"):
        parse("from __gin__ import dynamic_registration\nimport tasks.miniflan\n")


def test_names_of_calls_are_seen_when_they_would_be_imported():
    # gin's own macro, called by hand: no text stands where the module is bound.
    parse("train/utils.DatasetConfig.module = @W/gin.macro()\nW/gin.macro.value = 'their_tasks'\n")
    with pytest.raises(ConfigError, match="'their_tasks' would be imported"):
        mixture.import_task_module("their_tasks")
    assert not ran()


def test_a_scorer_in_a_file_is_refused():
    entry = "toxicity.Toxicity"
    pathlib.Path("theirs.gin").write_text("toxicity.Toxicity.scorer = 'os:system'\n")
    with pytest.raises(ConfigError, match="'os' would be imported"):
        gin_utils.parse(["theirs.gin"], [], entry=entry)
    gin_utils.parse([], ["toxicity.Toxicity.scorer = 'os:system'"], entry=entry)
    assert toxicity.Toxicity().check() is not None


def test_what_the_user_names_may_be_imported(monkeypatch):
    flag = "MIXTURE_OR_TASK_MODULE = 'their_tasks'"
    parse("", flag)
    mixture.import_task_module("their_tasks")
    assert ran()
    # Named by a flag, it and what is below it may be in a file too.
    parse("import their_tasks\n", flag)
    monkeypatch.setenv(gin_flags.VARIABLE, "another,their_tasks")
    parse(MODULE)
    monkeypatch.delenv(gin_flags.VARIABLE)
    parse(MODULE, trust=gin_trust.Trust(everything=True))
    mixture.import_task_module("their_tasks")


def test_ours_need_no_permission_and_a_longer_name_is_another_module():
    parse("import tasks.miniflan\nMIXTURE_OR_TASK_MODULE = 'tasks.miniflan'\n")
    permit = gin_trust.Permit(gin_trust.DEFAULT, ("mine",))
    assert permit.allows("mine") and permit.allows("mine.part") and permit.allows("mine:score")
    assert not permit.allows("miner") and not permit.allows("other.mine")


def test_the_stored_configuration_of_a_checkpoint_is_a_file_too(tmp_path, capsys):
    (tmp_path / "config.gin").write_text(parse(MODULE, trust=gin_trust.Trust(everything=True)))
    gin_utils.clear()
    command = ["eval", str(tmp_path)]
    assert cli.main(command) == 2
    assert "'their_tasks' would be imported" in capsys.readouterr().err and not ran()
    # With the permission it goes on, to a checkpoint that is not there.
    assert cli.main([*command, "--allow_gin_imports"]) != 2


def test_code_that_calls_us_without_gin_imports_what_it_likes():
    mixture.import_task_module("their_tasks")
    assert ran()


def test_flags_that_a_file_writes_are_the_files_words(monkeypatch, tmp_path):
    started = []

    def start(command, env, **_):
        started.append((command, env))
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(scaling.subprocess, "run", start)
    parse("", "MIXTURE_OR_TASK_MODULE = 'mine'")
    with pytest.raises(Exception, match="exit code 1"):
        scaling._train(tmp_path, ["--gin.MIXTURE_OR_TASK_MODULE='their_tasks'"])
    command, env = started[0]
    args = cli.parse_args(command[3:])
    trust = gin_trust.of_flags(args)
    assert trust == gin_trust.Trust(everything=False, flags=False)
    assert "mine" in env[gin_flags.VARIABLE].split(",")
    with pytest.raises(ConfigError, match="'their_tasks' would be imported"):
        parse("", *args.gin_bindings, trust=trust)
    for flag in ("--allow_gin_imports", "--gin_flags_of_file"):
        with pytest.raises(ConfigError, match="cannot give"):
            scaling._train(tmp_path, [flag])


@pytest.mark.parametrize(
    "value",
    [
        "__import__('os').system('touch ran')",
        "open('theirs.gin').read()",
        "f'{open(1)}'",
        "lambda: 1",
        "9 ** 9 ** 9",
        "[0 for _ in 'ab']",
    ],
)
def test_a_value_is_data_never_an_expression(value):
    with pytest.raises(ConfigError, match="The configuration has"):
        parse(f"TRAIN_STEPS = {value}\n")
    assert not ran()


def test_nesting_without_end_is_a_message_and_not_a_crash():
    with pytest.raises(ConfigError, match="nested too deeply"):
        parse("TRAIN_STEPS = " + "[" * 20_000 + "]" * 20_000)


def test_includes_from_elsewhere_are_refused_unless_the_user_named_the_place():
    for place in ("gs://theirs/x.gin", "https://theirs/x.gin", "s3://theirs/../mine/x.gin"):
        with pytest.raises(ConfigError, match="fetched from elsewhere"):
            parse(f"include '{place}'\n")
    reader = gin_source._Reader(["gs://mine/configs"])
    assert not reader._is_elsewhere("gs://mine/configs/x.gin", ("run.gin",))
    assert reader._is_elsewhere("gs://mine/configs_of_others/x.gin", ("run.gin",))
    assert reader._is_elsewhere("gs://mine/configs/../x.gin", ("run.gin",))
    # Beside the file that the user named.
    assert not reader._is_elsewhere("gs://run/x.gin", ("gs://run/run.gin",))
