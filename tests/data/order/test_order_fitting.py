"""`flan-jax doctor --data` with a task module or a recipe: what a run's start would refuse."""

import pytest

pytest.importorskip("array_record")

from flan_jax import cli, testing
from flan_jax.data.config import DatasetConfig
from flan_jax.data.order.iterator import PreparedIterator
from flan_jax.data.prepared.command import prepare
from flan_jax.data.vocabularies import word_vocabulary
from flan_jax.errors import DataError

TASKS = ("fit_a", "fit_b")
LENGTHS = {"inputs": 24, "targets": 16}
# It registers nothing: the tasks are those of this process.
MODULE = ("--module", "flan_jax.testing")
RECIPE = (
    *("--gin_file=models/tiny.gin", "--gin_file=runs/finetune.gin"),
    *('--gin.MIXTURE_OR_TASK_NAME="fit_both"', "--gin.TRAIN_STEPS=1"),
)


def register(vocabulary=None):
    for name in TASKS:
        testing.register_toy_task(name, 9, vocabulary=vocabulary)
    testing.register_toy_mixture("fit_both", dict.fromkeys(TASKS, 1.0))


def config(**changes):
    fields = {
        "mixture_or_task_name": "fit_both",
        "task_feature_lengths": LENGTHS,
        "split": "train",
        "batch_size": 4,
        "shuffle": True,
        "seed": 0,
        "pack": True,
    }
    return DatasetConfig(**{**fields, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    register()
    found = tmp_path_factory.mktemp("fitting") / "data"
    prepare(config(), str(found), runner="none")
    yield found
    for name in ("fit_both", *TASKS):
        testing.unregister(name)


@pytest.fixture
def doctor(folder, capsys, monkeypatch):
    """Runs the command on the folder; returns its exit code and findings by mark."""
    for check in ("_machine", "_requirements", "_devices", "_disk"):
        monkeypatch.setattr(f"flan_jax.doctor.{check}", lambda *unused: iter(()))
    register()

    def run(*flags):
        code = cli.main(["doctor", "--data", str(folder), *flags])
        lines = capsys.readouterr().out.splitlines()
        return code, *([x[6:] for x in lines if x.startswith(mark)] for mark in ("WRONG", "ok"))

    return run


@pytest.mark.parametrize(
    "flags", [MODULE, (*RECIPE, f"--gin.TASK_FEATURE_LENGTHS={LENGTHS}")], ids=["module", "recipe"]
)
def test_the_tasks_that_the_data_were_made_of_fit(doctor, folder, flags):
    code, wrong, right = doctor(*flags)
    assert (code, wrong) == (0, [])
    assert right[-1] == (
        f"the 2 tasks of 'fit_both' have the vocabularies of {folder}, and its split and lengths "
        "fit"
    )


def test_other_pieces_of_the_same_number_are_found_as_at_the_start_of_a_run(doctor, folder):
    words = list(testing.TOY_WORDS)
    register(word_vocabulary([*words[1:], words[0]]))
    # The files are what was prepared: alone they cannot tell.
    assert doctor()[:2] == (0, [])
    code, wrong, _ = doctor(*MODULE)
    assert code == 1
    said = "has another vocabulary: words of the same size with other pieces"
    assert wrong == [
        f"{folder}, against the tasks of 'fit_both': feature {name!r} {said}" for name in LENGTHS
    ]
    with pytest.raises(DataError, match=said):
        PreparedIterator(config(prepared_dir=str(folder)))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            (*RECIPE, '--gin.TASK_FEATURE_LENGTHS={"inputs": 24, "targets": 3}'),
            "TASK_FEATURE_LENGTHS allows 3",
        ),
        ((*RECIPE, '--gin.TASK_FEATURE_LENGTHS={"targets": 16}'), "no length for them"),
        (
            (
                *RECIPE,
                f"--gin.TASK_FEATURE_LENGTHS={LENGTHS}",
                "--gin.train/utils.DatasetConfig.split='validation'",
            ),
            "was prepared from split 'train'",
        ),
        (RECIPE, "The configuration has a mistake"),
        (("--module", "no_such_module_here"), "no_such_module_here"),
    ],
)
def test_what_a_run_would_refuse_is_told(doctor, flags, said):
    code, wrong, _ = doctor(*flags)
    assert code == 1 and len(wrong) == 1 and said in wrong[0]


def test_there_must_be_data_to_compare(capsys):
    assert cli.main(["doctor", *MODULE]) == 2
    assert "add --data DIR" in capsys.readouterr().err
