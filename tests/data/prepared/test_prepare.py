"""`flan-jax prepare` in this process: the stream's examples, each once, whatever stops it."""

import dataclasses
import json
import os
import pathlib
import shutil
import sys

import numpy as np
import pytest
import seqio

pytest.importorskip("array_record")

from flan_jax import cli
from flan_jax.data import batched, mixture
from flan_jax.data.config import DatasetConfig
from flan_jax.data.prepared import (
    command,
    engine,
    fingerprint,
    layout,
    open_prepared,
    plan,
    read_manifest,
    rendering,
    shards,
    work,
)
from flan_jax.data.stream import MemoryStream
from flan_jax.errors import ConfigError, DataError
from flan_jax.prompts import RowStep, choice
from tasks.registration import TOKENIZE

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import prepare_tasks

LENGTHS = {"inputs": 20, "targets": 6}
SHARD_ROWS = 16
VOCABULARY = prepare_tasks.vocabulary(0)


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    """Changes what `prepare_tasks` registers."""
    path = tmp_path / "settings.json"
    monkeypatch.setenv(prepare_tasks.VARIABLE, str(path))

    def change(**values):
        path.write_text(json.dumps(values))

    change()
    return change


def config(name="p_all", **values):
    given = {"split": "train", "batch_size": 1, "shuffle": False, "seed": 0}
    return DatasetConfig(name, LENGTHS, module="prepare_tasks", **{**given, **values})


def prepare(folder, cfg=None, **values):
    given = {"shard_rows": SHARD_ROWS, "runner": engine.NONE}
    return command.prepare(cfg or config(), str(folder), **{**given, **values})


def files(folder):
    """Path -> content of everything below a folder."""
    folder = pathlib.Path(folder)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A data set made without a stop."""
    folder = tmp_path_factory.mktemp("whole")
    prepare(folder)
    return folder


# ----------------------------------------------------------------------- the examples


@pytest.mark.parametrize("name", ["p_templates", "p_one", "p_stream"])
def test_examples_are_those_of_the_stream_in_the_sources_order(name, whole):
    cfg = config(name)
    resolved = mixture.resolve(cfg)
    task = resolved.shares[0].task
    assert batched.takes_numbers(task, cfg) == (name != "p_stream")
    stream = MemoryStream(task, 0, cfg)
    (found,) = [each for each in open_prepared(whole, checksums=True).tasks if each.name == name]
    count = found.num_examples
    wanted = [stream.next() for _ in range(count)]
    assert count == task.num_input_examples("train")
    for one, example, flags in zip(
        found.read(range(count)), wanted, found.flags_N.tolist(), strict=True
    ):
        assert one["inputs"].tolist() == example.inputs.tolist()
        assert one["targets"].tolist() == example.targets.tolist()
        assert flags == example.flags
    if name == "p_templates":  # Some have more than 20 bytes.
        assert {example.flags for example in wanted} == {0, 1}


def test_where_an_example_comes_from(whole):
    task = open_prepared(whole).tasks[2]
    assert task.name == "p_templates" and task.rate == 1.0
    texts = ("Double {}.", "What is two times {}?", "{} twice is")
    for row, said in enumerate(task.provenance(range(40))):
        text = texts[said["template_id"]].format(row)
        assert said["row"] == row and said["rendering"] == 0
        assert said["template"] == f"p_templates_{said['template_id']}"
        assert said["original_inputs"] == len(text) + 1
        assert said["original_targets"] == len(str(2 * row)) + 1
    hashes = {said["row_hash"] for said in task.provenance(range(40))}
    assert len(hashes) == 40


def test_renderings_are_of_other_templates_and_never_the_same_twice(tmp_path):
    made = prepare(tmp_path, renderings=3)
    tasks = {task.name: task for task in open_prepared(tmp_path).tasks}
    # One template renders a row one way; the stream draws nothing.
    assert [tasks[name].num_examples for name in ("p_one", "p_stream")] == [40, 7]
    assert made.tasks[0].counts["left_out_same_rendering"] == 80
    task = tasks["p_templates"]
    assert 40 < task.num_examples < 120
    said = task.provenance(range(task.num_examples))
    drawn = {(one["row"], one["template_id"]) for one in said}
    assert len(drawn) == task.num_examples
    order = list(zip(task.rows_N.tolist(), task.renderings_N.tolist(), strict=True))
    assert order == sorted(order) and {r for _, r in order} == {0, 1, 2}
    # The first rendering is the stream's.
    prepare(tmp_path / "one")
    one = open_prepared(tmp_path / "one").tasks[2]
    first = [i for i, number in enumerate(task.renderings_N.tolist()) if not number]
    assert [said[i]["row_hash"] for i in first] == [
        each["row_hash"] for each in one.provenance(range(40))
    ]


def test_a_rendering_draws_anew_and_0_is_what_is_drawn_outside():
    outside = [choice.choose(7, i, 1000) for i in range(50)]
    inside = []
    for number in range(3):
        with choice.rendering(number):
            inside.append([choice.choose(7, i, 1000) for i in range(50)])
            as_arrays = choice.choose_numpy(7, np.arange(50), 1000)
            assert as_arrays.tolist() == inside[-1]
    assert inside[0] == outside == [choice.choose(7, i, 1000) for i in range(50)]
    same = [sum(map(int.__eq__, a, b)) for a, b in ((inside[0], inside[1]), (inside[1], inside[2]))]
    assert max(same) <= 2


def without_number(rows):
    """Drops every third row, and the features that a step does not know."""
    import tensorflow as tf

    mask_B = rows["index"] % 3 != 0
    return {name: tf.boolean_mask(rows[name], mask_B) for name in ("number", "answer", "index")}


def test_rows_dropped_by_a_step_leave_the_others_their_numbers():
    mixture.resolve(config("p_one"))
    task = seqio.TaskRegistry.get("p_one")
    task = task.replace(preprocessors=[RowStep(without_number), *task.preprocessors])
    found = list(rendering.by_number(task, config("p_one"), 5, 25, 1))
    assert [one.row for one in found] == [row for row in range(5, 25) if row % 3]
    texts = [VOCABULARY.decode(one.features["inputs"].tolist()) for one in found]
    assert texts == [f"Twice {one.row}?" for one in found]


def faulty(make):
    """The task p_one with a last step that spoils the targets of row 3."""

    def spoil(rows, output_features):
        import tensorflow as tf

        made = dict(TOKENIZE.on_batch(rows, output_features=output_features))
        targets = made["targets"].to_list()
        numbers = rows["index"].numpy().tolist()
        changed = [
            make(ids) if row == 3 else ids for row, ids in zip(numbers, targets, strict=True)
        ]
        made["targets"] = tf.ragged.constant(changed, tf.int32, ragged_rank=1)
        return made

    mixture.resolve(config("p_one"))
    task = seqio.TaskRegistry.get("p_one")
    return task.replace(preprocessors=[*task.preprocessors[:-1], RowStep(spoil)])


@pytest.mark.parametrize(
    ("targets", "kind"),
    [([], "left_out_without_targets"), ([1] * 9, "left_out_targets_all_cut")],
)
def test_an_example_with_nothing_to_learn_is_left_out_and_counted(targets, kind):
    task = faulty(lambda ids: targets)
    selection = rendering.Selection(eos_id=1, renderings=1)
    found = rendering.by_number(task, config("p_one"), 0, 8, 1)
    assert [one.row for one in found if selection.takes(one)] == [0, 1, 2, 4, 5, 6, 7]
    counts = {name: count for name, count in selection.take_counts().items() if count}
    assert counts == {"examples": 7, kind: 1}


def test_an_id_outside_the_vocabulary_is_an_error_that_names_the_row():
    task = faulty(lambda ids: [259, 1])
    with pytest.raises(DataError, match="'p_one', row 3: 'targets' holds the id 259, and its voc"):
        list(rendering.by_number(task, config("p_one"), 0, 8, 1))


# ---------------------------------------------------------------- stopped and gone on


class Killed(BaseException):
    """Stands for the end of the process."""


def kill_at(number, monkeypatch):
    """Ends the run before the rename number `number`; nothing is cleaned up after."""
    done = [0]
    replace = os.replace

    def counting(old, new):
        if done[0] == number:
            raise Killed
        done[0] += 1
        replace(old, new)

    monkeypatch.setattr(os, "replace", counting)
    monkeypatch.setattr(shards.ShardWriter, "abandon", lambda writer: None)
    return done


@pytest.mark.parametrize(
    "points",
    [
        # In a shard, in its record, in the index of all.
        pytest.param((1, 5, 22), id="some"),
        pytest.param(range(60), id="all", marks=pytest.mark.exhaustive),
    ],
)
def test_killed_before_a_rename_the_same_command_gives_the_same_bytes(
    points, whole, tmp_path, monkeypatch
):
    wanted = files(whole)
    kills = 0
    for number in points:
        folder = tmp_path / str(number)
        with monkeypatch.context() as patch:
            kill_at(number, patch)
            try:
                prepare(folder)
                break
            except Killed:
                kills += 1
        made = [path for path in files(folder) if path.endswith(".array_record")]
        before = {path: (folder / path).stat().st_mtime_ns for path in made}
        recorded = {path.stem for path in (folder / "progress").glob("*.json")}
        prepare(folder)
        assert files(folder) == wanted
        for path, time in before.items():  # What was recorded was not made again.
            name = path.split("/")[1] + "-" + path.split("-")[-1].split(".")[0]
            if name in recorded:
                assert (folder / path).stat().st_mtime_ns == time
    assert kills == 3 or kills >= 20


def test_what_is_damaged_before_it_is_finished_is_made_again(whole, tmp_path, monkeypatch):
    folder = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        kill_at(9, patch)
        with pytest.raises(Killed):
            prepare(folder)
    records = sorted((folder / "progress").glob("p_*.json"))
    assert len(records) >= 2
    # Of the parts that are recorded as done one loses a file, another has a bit flipped.
    for number, path in enumerate(records[:2]):
        shard = folder / json.loads(path.read_text())["shards"][0]["records"]["path"]
        content = bytearray(shard.read_bytes())
        content[-100] ^= 1
        shard.write_bytes(content) if number else shard.unlink()
    prepare(folder)
    assert files(folder) == files(whole)


def test_a_finished_folder_is_left_as_it_is(whole, tmp_path, capsys):
    folder = shutil.copytree(whole, tmp_path / "copy")
    times = {path: path.stat().st_mtime_ns for path in pathlib.Path(folder).rglob("*.array_record")}
    prepare(folder)
    assert files(folder) == files(whole)
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert "3 tasks in 7 parts; 7 parts are done, 0 to do." in capsys.readouterr().err


@pytest.mark.parametrize(
    "damage",
    [
        "flip",
        "stray",
        *(pytest.param(n, marks=pytest.mark.exhaustive) for n in ("remove", "index")),
    ],
)
def test_what_is_missing_or_damaged_is_made_again(damage, whole, tmp_path):
    folder = pathlib.Path(shutil.copytree(whole, tmp_path / "copy"))
    path = folder / "tasks" / "p_one" / "train-00001.array_record"
    other = folder / "tasks" / "p_one" / "train-00000.array_record"
    time = other.stat().st_mtime_ns
    if damage == "remove":
        path.unlink()
    elif damage == "flip":
        content = bytearray(path.read_bytes())
        content[-100] ^= 1
        path.write_bytes(content)
    elif damage == "index":
        (folder / "tasks" / "p_one" / "train-00001.index.npy").write_bytes(b"")
    else:
        shutil.copy(path, folder / "tasks" / "p_one" / "train-00009.array_record")
    prepare(folder)
    assert files(folder) == files(whole)
    assert other.stat().st_mtime_ns == time


@pytest.mark.parametrize(
    ("values", "tasks", "parts"),
    [
        ({"second": "Twice {number} is what?"}, {"p_templates"}, ["steps"]),
        # Neither the number of rows nor any file tells of it.
        ({"first_answer": "zero"}, {"p_templates", "p_one"}, ["source"]),
        pytest.param(
            {"rows": 41}, {"p_templates", "p_one"}, ["source"], marks=pytest.mark.exhaustive
        ),
        ({"extra_ids": 10}, {"p_templates", "p_one", "p_stream"}, ["vocabulary"]),
    ],
)
def test_only_what_changed_is_made_again(values, tasks, parts, whole, tmp_path, settings, capsys):
    folder = pathlib.Path(shutil.copytree(whole, tmp_path / "copy"))
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*.array_record")}
    settings(**values)
    prepare(folder)
    said = capsys.readouterr().err
    for name in ("p_templates", "p_one", "p_stream"):
        assert (f"{name}: {', '.join(parts)} changed" in said) == (name in tasks)
    for path, time in times.items():
        if path.parent.name not in tasks:
            assert path.stat().st_mtime_ns == time
    prepare(tmp_path / "fresh")
    assert files(folder) == files(tmp_path / "fresh")
    assert files(folder) != files(whole)


def test_a_task_that_is_no_longer_asked_for_goes(whole, tmp_path, settings, capsys):
    folder = pathlib.Path(shutil.copytree(whole, tmp_path / "copy"))
    settings(tasks=["p_templates", "p_stream"])
    prepare(folder)
    assert "no longer asked for: p_one" in capsys.readouterr().err
    assert [task.name for task in open_prepared(folder).tasks] == ["p_stream", "p_templates"]
    assert not (folder / "tasks" / "p_one").exists()


def test_while_it_is_not_finished_nobody_reads_it(whole, tmp_path, settings, monkeypatch):
    folder = pathlib.Path(shutil.copytree(whole, tmp_path / "copy"))
    settings(rows=41)
    with monkeypatch.context() as patch:
        kill_at(4, patch)
        with pytest.raises(Killed):
            prepare(folder)
    with pytest.raises(ConfigError, match="preparing it was not finished"):
        open_prepared(folder)
    settings()  # The rows of before: what was replaced since is made again.
    prepare(folder)
    assert files(folder) == files(whole)


def test_a_dry_run_says_what_there_is_to_do_and_does_nothing(whole, tmp_path, settings, capsys):
    folder = pathlib.Path(shutil.copytree(whole, tmp_path / "copy"))
    before = files(folder)
    settings(second="{number} plus itself")
    assert prepare(folder, dry_run=True) is None
    assert "7 parts; 4 parts are done, 3 to do" in capsys.readouterr().err
    assert files(folder) == before


# ---------------------------------------------------------------------- what goes wrong


def test_a_task_that_fails_is_named_and_the_others_are_kept(tmp_path, settings, whole):
    settings(fail=True)
    with pytest.raises(DataError) as error:
        prepare(tmp_path / "out")
    text = str(error.value)
    assert "1 of the 3 tasks could not be prepared, so there is no manifest yet" in text
    assert "p_one" in text and "no field 'answer'" in text and error.value.exit_code == 3
    kept = files(tmp_path / "out")
    assert not any(".tmp" in path or ".failed" in path for path in kept)
    settings()
    prepare(tmp_path / "out")
    assert files(tmp_path / "out") == files(whole)


def test_another_mixture_does_not_replace_one_by_mistake(whole, tmp_path):
    folder = pathlib.Path(shutil.copytree(whole, tmp_path / "copy"))
    with pytest.raises(ConfigError, match="holds the prepared data of 'p_all', not of 'p_one'"):
        prepare(folder, config("p_one"))
    prepare(folder, config("p_one"), replace=True)
    assert [task.name for task in read_manifest(folder).tasks] == ["p_one"]


def run_command(*flags):
    return cli.main(["prepare", *map(str, flags)])


def test_the_command_prepares_and_is_gone_on_with(tmp_path, capsys, whole):
    flags = ["p_all", "--module=prepare_tasks", "--input_length=20", "--target_length=6"]
    flags += ["--runner=none", "--shard_rows=16", f"--output={tmp_path / 'out'}"]
    assert run_command(*flags) == 0
    said = capsys.readouterr().err
    assert "87 examples of 3 tasks" in said and "truncated inputs" in said
    assert files(tmp_path / "out") == files(whole)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--renderngs=2", "--runner=none"], "'--renderngs', and --runner=none passes none on"),
        (["--renderings=0", "--runner=none"], "--renderings is 0; at least 1"),
        (["--runner=none", "--output=/proc/nothing"], "/proc/nothing cannot be written"),
    ],
)
def test_flags_of_no_use_end_with_code_2(flags, said, tmp_path, capsys):
    given = ["p_all", "--module=prepare_tasks", f"--output={tmp_path}", *flags]
    assert run_command(*given) == 2
    assert said in capsys.readouterr().err


def test_no_name_and_an_unknown_one(tmp_path, capsys):
    assert run_command("--runner=none", f"--output={tmp_path}") == 2
    assert "flan-jax prepare needs a name" in capsys.readouterr().err
    given = ["p_al", "--module=prepare_tasks", "--runner=none", f"--output={tmp_path}"]
    assert run_command(*given) == 2
    assert "Did you mean 'p_all'" in capsys.readouterr().err


# ------------------------------------------------------------------------------ hashes


def hashed(value):
    return fingerprint.Hasher().hash(value)


def test_hashes_follow_content_not_identity():
    def make(number):
        def step(rows):
            return rows + number

        return step

    assert hashed(make(1)) == hashed(make(1)) != hashed(make(2))
    assert hashed({"a": 1, "b": [2]}) == hashed({"b": [2], "a": 1}) != hashed({"a": 1, "b": (2,)})
    assert hashed(np.arange(3)) != hashed(np.arange(3.0)) != hashed([0, 1, 2])
    assert hashed(["ab", "c"]) != hashed(["a", "bc"])
    assert hashed([1, True]) != hashed([True, 1])
    loop = []
    loop.append(loop)
    assert hashed(loop) == hashed(loop)


def test_a_hash_follows_code_and_what_it_refers_to(tmp_path):
    def load(text):
        module = tmp_path / "hashed_step.py"
        module.write_text(text)
        space = {"__name__": "tasks.hashed_step"}
        exec(compile(text, str(module), "exec"), space)
        return space["step"]

    source = "def helper(x):\n    return x + {}\n\ndef step(rows):\n    return helper(rows)\n"
    assert hashed(load(source.format(1))) == hashed(load(source.format(1)))
    assert hashed(load(source.format(1))) != hashed(load(source.format(2)))


def test_a_hash_follows_the_files_that_values_name(tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_text("a")
    first = hashed({"path": str(path)}), hashed(path)
    os.utime(path, (1, 1))
    assert hashed({"path": str(path)}) != first[0] and hashed(path) != first[1]


def test_what_only_remembers_does_not_count():
    @dataclasses.dataclass
    class Cache:
        known: dict
        only_remembers = True

    assert hashed(Cache({})) == hashed(Cache({1: 2}))


def test_units_are_of_rows_where_they_are_had_by_number():
    def surveyed(rows, by_number):
        parts = {"steps": "x"}
        return plan.Surveyed("t", 1.0, "", (), rows, parts, by_number)

    units = surveyed(40, True).units(16)
    assert [(u.number, u.start, u.stop) for u in units] == [(0, 0, 16), (1, 16, 32), (2, 32, 40)]
    for alone in (surveyed(40, False), surveyed(None, True)):
        assert [(u.number, u.start, u.stop) for u in alone.units(16)] == [(0, 0, None)]


def test_progress_forecasts_time_and_size():
    tasks = [plan.Surveyed("t", 1.0, "", (), 40, {"steps": "x"}, True)]
    made = plan.make_plan("/nowhere", tasks, 10, "t")
    progress = command._Progress(made)
    progress._read = {pathlib.Path(made.units[0].record).name: (10, 2048)}
    assert progress.text(30.0) == (
        "1 of 4 parts, 10 examples, 2 KiB, 0 examples/s; 1.5 min and 6 KiB to go"
    )


def test_an_engine_may_run_a_unit_again(whole, tmp_path):
    folder = str(tmp_path / "out")
    cfg = config("p_one")
    tasks = plan.survey(cfg, mixture.resolve(cfg), 1, SHARD_ROWS)
    made = plan.make_plan(folder, tasks, SHARD_ROWS, "p_one")
    fields = command._plain_fields(cfg)
    setup = work.Setup(folder, fields, "", 1, SHARD_ROWS, (), work.launcher())
    unit = made.units[0]
    assert work.write_unit(setup, unit) == unit.record
    path = tmp_path / "out" / layout.shard_stem("p_one", "train", 0)
    path = path.with_name(path.name + layout.SHARD_SUFFIX)
    time = path.stat().st_mtime_ns
    work.write_unit(setup, unit)
    assert path.stat().st_mtime_ns == time
    assert path.read_bytes() == (whole / "tasks" / "p_one" / path.name).read_bytes()
