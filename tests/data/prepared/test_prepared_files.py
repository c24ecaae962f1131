"""Prepared files by themselves: what is written is read back, and what is damaged is named."""

import dataclasses
import json
import pathlib
import pickle
import shutil

import numpy as np
import pytest

pytest.importorskip("array_record")

from flan_jax import cli
from flan_jax.data.packing import TRUNCATED_TARGETS
from flan_jax.data.prepared import codec, layout, manifest, open_prepared, read_manifest, shards
from flan_jax.data.prepared.assembly import write_manifest
from flan_jax.data.prepared.synthetic import write_synthetic
from flan_jax.errors import DataError, NotFoundError

FEATURES = {"inputs": 9, "targets": 5}
LENGTHS = {
    "b": [[i % 9 + 1, i % 5 + 1] for i in range(25)],
    "a/slash": [[3, 2], [0, 5], [9, 1]],
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    write_synthetic(folder, LENGTHS, features=FEATURES, vocabulary_size=50, shard_examples=10)
    return folder


@pytest.fixture
def copy(sound, tmp_path):
    return pathlib.Path(shutil.copytree(sound, tmp_path / "copy"))


def doctor(folder, capsys, monkeypatch):
    """The findings of `flan-jax doctor --data` that are wrong, and its exit code."""
    monkeypatch.setattr("flan_jax.doctor._devices", lambda: iter(()))
    monkeypatch.setattr("flan_jax.doctor.requirements", lambda: [])
    monkeypatch.setattr("flan_jax.doctor._requirements", lambda: iter(()))
    code = cli.main(["doctor", "--data", str(folder)])
    lines = capsys.readouterr().out.splitlines()
    return [line.removeprefix("WRONG ") for line in lines if line.startswith("WRONG")], code


# ------------------------------------------------------------------------- sound data


@pytest.mark.parametrize("ids", [[], [0, 65535], [1, 65536], [-1, 2]])
def test_an_example_comes_back_from_its_bytes(ids):
    tokens = {"inputs": np.array(ids, np.int32), "targets": np.array([7], np.int32)}
    packed = codec.encode(tokens, {"row_hash": "ab", "shots": 2})
    found, said = codec.decode(packed)
    assert {name: each.tolist() for name, each in found.items()} == {"inputs": ids, "targets": [7]}
    assert all(each.dtype == np.int32 for each in found.values())
    assert said == {"row_hash": "ab", "shots": 2}


def test_two_bytes_a_token_where_they_do():
    sizes = [len(codec.encode({"targets": np.full(100, i)}, {})) for i in (65535, 65536)]
    # From 201 bytes on, MessagePack counts them in one byte, from 256 on in two.
    assert sizes[1] - sizes[0] == 200 + 1


def test_lengths_tokens_and_rows_are_those_written(sound):
    prepared = open_prepared(sound, checksums=True)
    assert [task.name for task in prepared.tasks] == ["a/slash", "b"]
    for task in prepared.tasks:
        assert task.features == ("inputs", "targets")
        assert task.lengths_NxF.dtype == np.int32
        assert task.lengths_NxF.tolist() == LENGTHS[task.name]
        assert task.num_examples == task.rate == len(LENGTHS[task.name])
        found = task.read(range(task.num_examples))
        assert [[len(one[name]) for name in task.features] for one in found] == LENGTHS[task.name]
        assert all(one["targets"][-1] == 1 for one in found)
    b = prepared.tasks[1]
    # Shards are of 10: these are in all three, out of order and twice.
    some = [24, 0, 10, 9, 24]
    everything = b.read(range(25))
    for index, one in zip(some, b.read(some), strict=True):
        np.testing.assert_array_equal(one["inputs"], everything[index]["inputs"])
    assert [said["row"] for said in b.provenance(some)] == some
    assert b.provenance([3])[0]["original_inputs"] == LENGTHS["b"][3][0]
    with pytest.raises(IndexError, match="b has 25 examples, not 25"):
        b.read([25])


def test_a_pickled_copy_reads_the_same(sound):
    prepared = open_prepared(sound)
    prepared.tasks[1].read([0])
    content = pickle.dumps(prepared)
    again = pickle.loads(content)
    assert again.tasks[1].read([11])[0]["inputs"].tolist() == (
        prepared.tasks[1].read([11])[0]["inputs"].tolist()
    )
    assert b"array_record_module" not in content


def test_few_shards_are_open_at_once(sound, monkeypatch):
    monkeypatch.setattr("flan_jax.data.prepared.reader._OPEN_SHARDS", 2)
    prepared = open_prepared(sound)
    task = prepared.tasks[1]
    wanted = [one["targets"].tolist() for one in task.read(range(25))]
    for index in (0, 24, 12, 1, 20):
        assert task.read([index])[0]["targets"].tolist() == wanted[index]
    opened = prepared._shards._readers.values()
    assert len(opened) == 2


def test_a_manifest_comes_back_and_its_bytes_are_the_same(sound):
    found = read_manifest(sound)
    content = (sound / layout.MANIFEST).read_bytes()
    assert manifest.to_bytes(found) == content
    assert found.num_examples == 28
    assert found.tasks[1].counts == {"examples": 25}
    assert len(found.files) == 1 + 2 * 4


def test_task_names_are_folder_names_only_where_they_can_be():
    assert layout.task_folder("glue_rte-v2.0") == "glue_rte-v2.0"
    hidden, long = layout.task_folder("../x"), layout.task_folder("x" * 300)
    assert "/" not in hidden and not hidden.startswith(".") and len(long) < 120
    assert layout.task_folder("a/b") != layout.task_folder("a:b")


# ----------------------------------------------------------------------- damaged files


def shard(folder, number=1):
    return folder / "tasks" / "b" / f"train-{number:05d}.array_record"


def truncate(folder):
    path = shard(folder)
    path.write_bytes(path.read_bytes()[:70000])
    return "70000 bytes"


def remove(folder):
    shard(folder).unlink()
    return "missing or not readable"


def truncate_index(folder):
    path = folder / "index.npy"
    path.write_bytes(path.read_bytes()[:-4])
    return "index.npy"


@pytest.mark.parametrize("damage", [truncate, remove, truncate_index])
def test_a_file_of_another_size_is_refused_at_the_start(damage, copy, capsys, monkeypatch):
    said = damage(copy)
    with pytest.raises(DataError, match=said) as error:
        open_prepared(copy)
    assert error.value.exit_code == 3
    assert "flan-jax prepare" in str(error.value)
    wrong, code = doctor(copy, capsys, monkeypatch)
    assert code == 1 and len(wrong) == 1 and said in wrong[0]


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)


def bit_in_a_record(folder):
    # The first record lies behind the header of the file and that of its chunk.
    path = shard(folder)
    content = path.read_bytes()
    first = next(i for i in range(64, len(content)) if content[i : i + 7] == b"targets"[:7])
    flip(path, first + 9)


def test_a_flipped_bit_is_never_read_and_is_found(copy, capsys, monkeypatch):
    bit_in_a_record(copy)
    with pytest.raises(DataError, match="train-00001.array_record: its content is not"):
        open_prepared(copy, checksums=True)
    task = open_prepared(copy).tasks[1]
    with pytest.raises(DataError, match="train-00001.array_record is missing or damaged"):
        task.read(range(25))
    task.read(range(10))  # The shard beside it.
    wrong, code = doctor(copy, capsys, monkeypatch)
    assert code == 1 and len(wrong) == 1 and "train-00001.array_record" in wrong[0]


def test_an_index_of_other_lengths_is_refused_at_the_start(copy, capsys, monkeypatch):
    path = copy / layout.INDEX
    index_CxN = np.load(path)
    # Two examples' lengths change places: the same file by size, kind and sums.
    index_CxN[3:, [4, 7]] = index_CxN[3:, [7, 4]]
    np.save(path, index_CxN)
    with pytest.raises(DataError, match="index.npy: its content is not what was prepared"):
        open_prepared(copy)
    wrong, code = doctor(copy, capsys, monkeypatch)
    assert code == 1 and wrong == ["index.npy: its content is not what was prepared (checksum)"]


def test_a_shard_in_place_of_another_is_found(copy, capsys, monkeypatch):
    shutil.copy(shard(copy, 0), shard(copy, 1))
    with pytest.raises(DataError, match="train-00001"):
        open_prepared(copy, checksums=True)
    # Both have 10 examples, but of other lengths than the index says.
    with pytest.raises(DataError, match=r"example 10 of b has \[1, 1\] tokens, the index says"):
        open_prepared(copy).tasks[1].read([10])
    wrong, code = doctor(copy, capsys, monkeypatch)
    assert code == 1 and "train-00001.array_record" in wrong[0]


def test_a_shard_that_the_manifest_has_twice_is_refused(sound, tmp_path, capsys, monkeypatch):
    old = read_manifest(sound)
    folder = pathlib.Path(shutil.copytree(sound, tmp_path / "twice"))
    entry = old.tasks[1]
    first = entry.shards[0]
    for file in (first.records, first.index):
        shutil.copy(folder / file.path, folder / file.path.replace("00000", "00003"))
    copied = manifest.Shard(
        first.examples,
        *(
            manifest.File(file.path.replace("00000", "00003"), file.bytes, file.sha256)
            for file in (first.records, first.index)
        ),
    )
    doubled = manifest.TaskEntry(entry.name, 1.0, "", 35, {}, (), (*entry.shards, copied))
    rewrite(folder, old, [old.tasks[0], doubled])
    with pytest.raises(DataError, match="train-00003.array_record: the same shard as .*00000"):
        open_prepared(folder)
    wrong, code = doctor(folder, capsys, monkeypatch)
    assert code == 1 and len(wrong) == 1 and "the same shard as" in wrong[0]


def test_a_row_that_is_there_twice_is_found(sound, tmp_path, capsys, monkeypatch):
    old = read_manifest(sound)
    folder = pathlib.Path(shutil.copytree(sound, tmp_path / "twice"))
    writer = shards.ShardWriter(folder, layout.shard_stem("b", "train", 3), [*FEATURES])
    for row in (30, 11):
        tokens = {"inputs": np.array([row, 1]), "targets": np.array([1])}
        writer.add(tokens, {}, row=row, rendering=0, flags=0, originals=[2, 1])
    entry = old.tasks[1]
    more = dataclasses.replace(entry, shards=(*entry.shards, writer.finish({})))
    rewrite(folder, old, [old.tasks[0], more])
    wrong, code = doctor(folder, capsys, monkeypatch)
    assert code == 1
    assert wrong == [
        "tasks/b/train-00003.array_record: 1 examples are there twice, such as row 11, rendering 0"
    ]


def rewrite(folder, old, tasks):
    write_manifest(
        folder,
        tasks,
        name=old.name,
        split=old.split,
        seed=old.seed,
        renderings=old.renderings,
        features=old.features,
        versions=old.versions,
    )


def test_a_file_that_no_manifest_names_is_told(copy, capsys, monkeypatch):
    shutil.copy(shard(copy, 0), shard(copy, 7))
    wrong, code = doctor(copy, capsys, monkeypatch)
    assert code == 1
    assert wrong == ["tasks/b/train-00007.array_record: no manifest names this file"]


def test_a_changed_manifest_is_refused(copy, capsys, monkeypatch):
    path = copy / layout.MANIFEST
    path.write_text(path.read_text().replace('"rate": 25.0', '"rate": 26.0'))
    with pytest.raises(DataError, match="manifest.json is damaged: its content has the checksum"):
        open_prepared(copy)
    path.write_text(path.read_text()[:-30])
    with pytest.raises(DataError, match="no manifest of prepared data, or a damaged one"):
        open_prepared(copy)
    path.write_text(json.dumps({"format": 99, "fingerprint": ""}))
    with pytest.raises(DataError, match="format 99"):
        open_prepared(copy)
    path.unlink()
    with pytest.raises(NotFoundError, match="nothing was prepared there"):
        open_prepared(copy)
    wrong, code = doctor(copy, capsys, monkeypatch)
    assert code == 1 and "has no manifest.json" in wrong[0]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../b/train-00000.array_record",
        "tasks/../../b",
        "tasks/b/..",
        "tasks/./b",
        "gs://bucket/b",
        "C:\\b",
        "tasks//b",
        "tasks/b\n",
        "",
    ],
)
@pytest.mark.parametrize("kind", ["records", "index"])
def test_a_path_out_of_the_folder_is_refused(copy, kind, path):
    found = read_manifest(copy)
    entry = found.tasks[1]
    away = dataclasses.replace(getattr(entry.shards[2], kind), path=path)
    moved = (*entry.shards[:2], dataclasses.replace(entry.shards[2], **{kind: away}))
    tasks = (found.tasks[0], dataclasses.replace(entry, shards=moved))
    # Its own checksum is right, as whoever changed it would see to.
    changed = manifest.to_bytes(dataclasses.replace(found, tasks=tasks))
    (copy / layout.MANIFEST).write_bytes(changed)
    for open_it in (read_manifest, open_prepared):
        with pytest.raises(DataError, match="not a path below its folder") as error:
            open_it(copy)
        assert f"names the file {path!r}" in str(error.value)


def test_an_index_out_of_the_folder_is_refused(copy):
    found = read_manifest(copy)
    away = dataclasses.replace(found.index, path="../index.npy")
    changed = manifest.to_bytes(dataclasses.replace(found, index=away))
    (copy / layout.MANIFEST).write_bytes(changed)
    with pytest.raises(DataError, match="names the file '../index.npy'"):
        read_manifest(copy)


def test_another_vocabulary_is_refused(sound):
    known = dict(read_manifest(sound).features["targets"].vocabulary)
    open_prepared(sound, {"targets": known})
    with pytest.raises(DataError, match="'targets' has another vocabulary: size 50 then, 60 now"):
        open_prepared(sound, {"targets": known | {"size": 60}})
    with pytest.raises(DataError, match="feature 'outputs' was not prepared"):
        open_prepared(sound, {"outputs": known})


# -------------------------------------------------------------------- faulty examples


def write_faulty(folder, tokens, flags=0, columns=None):
    """A data set of three good examples and one of these tokens, with all checksums right."""
    good = {"inputs": np.array([4, 1]), "targets": np.array([5, 1])}
    writer = shards.ShardWriter(folder, layout.shard_stem("t", "train", 0), [*FEATURES])
    for row in range(3):
        writer.add(good, {}, row=row, rendering=0, flags=0, originals=[2, 2])
    bad = {name: np.array(ids, np.int32) for name, ids in tokens.items()}
    originals = [len(bad["inputs"]), len(bad["targets"]) + bool(flags)]
    writer.add(bad, {}, row=3, rendering=0, flags=flags, originals=originals)
    entry = manifest.TaskEntry("t", 1.0, "", 4, {}, (), (writer.finish({}),))
    identity = {"kind": "words", "size": 50, "eos_id": 1, "pad_id": 0, "sha256": None}
    features = {
        name: manifest.PreparedFeature(most, identity, True) for name, most in FEATURES.items()
    }
    write_manifest(
        folder,
        [entry],
        name="t",
        split="train",
        seed=0,
        renderings=1,
        features=features,
        versions={},
    )


@pytest.mark.parametrize(
    ("tokens", "flags", "at_start", "said"),
    [
        ({"inputs": [4], "targets": []}, 0, "1 examples have no targets", "no target token"),
        (
            {"inputs": [4], "targets": [1]},
            TRUNCATED_TARGETS,
            None,
            "all of its targets but the end were cut off",
        ),
        (
            {"inputs": [4] * 10, "targets": [1]},
            0,
            "1 examples have more than 9 inputs",
            "10 inputs, at most 9 were asked for",
        ),
        ({"inputs": [4], "targets": [50, 1]}, 0, None, "hold the id 50; the vocabulary ends at 49"),
        ({"inputs": [-3], "targets": [1]}, 0, None, "inputs hold the id -3"),
        (
            {"inputs": [4], "targets": [5, 1], "targets_loss_weights": [1]},
            0,
            None,
            "2 targets and 1 weights",
        ),
    ],
)
def test_a_faulty_example_is_named_and_not_given(
    tokens, flags, at_start, said, tmp_path, capsys, monkeypatch
):
    write_faulty(tmp_path, tokens, flags)
    if at_start is not None:
        with pytest.raises(DataError, match=at_start) as error:
            open_prepared(tmp_path)
        assert "number 3 (row 3) in tasks/t/train-00000.array_record" in str(error.value)
    else:
        task = open_prepared(tmp_path).tasks[0]
        task.read([0, 1, 2])
        with pytest.raises(DataError, match=said) as error:
            task.read([3])
        assert "example 3 of t (row 3)" in str(error.value) and error.value.exit_code == 3
    wrong, code = doctor(tmp_path, capsys, monkeypatch)
    assert code == 1
    assert any(
        "train-00000.array_record: example 3 (row 3)" in one and said in one for one in wrong
    )


def test_the_doctor_says_that_sound_data_are_sound(sound, capsys, monkeypatch):
    assert doctor(sound, capsys, monkeypatch) == ([], 0)
