"""`flan-jax rows` from the command line."""

import json

import numpy as np
import pytest

from flan_jax import cli
from flan_jax.data.prepared.synthetic import write_synthetic

WINDOW = "--gin_bindings=order.Settings.window = 128"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    generator = np.random.default_rng(0)
    lengths = {name: generator.integers(1, (40, 12), (n, 2)) for name, n in (("a", 60), ("b", 9))}
    found = tmp_path_factory.mktemp("rows") / "data"
    write_synthetic(found, lengths, features={"inputs": 64, "targets": 32})
    return found


def run(capsys, *argv):
    code = cli.main(["rows", *argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_step_with_its_provenance(capsys, folder, tmp_path):
    output = tmp_path / "rows.jsonl"
    code, out, err = run(
        capsys, str(folder), "--step=100000", "--batch_size=4", "--num_rows=1", WINDOW,
        f"--output={output}",
    )  # fmt: skip
    assert code == 0, err
    lines = out.splitlines()
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert lines[0].startswith(f"step 100000: 4 rows, {len(found)} examples, inputs ")
    assert "and 3 more rows: --num_rows=4" in lines
    first = found[0]
    assert f"  {first['task']} row {first['row']}, {first['inputs']} inputs" in out
    assert first["row_hash"] in out
    for row in range(4):
        segments = [each for each in found if each["batch_row"] == row]
        assert [each["segment"] for each in segments] == [*range(1, len(segments) + 1)]
        assert sum(each["inputs"] for each in segments) <= 64
        assert sum(each["targets"] for each in segments) <= 32


def test_the_plan_beforehand(capsys, folder):
    stages = "--gin_bindings=order.Settings.stages = {200: {'a': 0}}"
    code, out, _ = run(capsys, str(folder), "--plan", "--batch_size=4", WINDOW, stages)
    assert code == 0
    first, second = out.split("from step 200\n")
    assert "86.957%  a" in first and "13.043%  b" in first
    assert "100.000%  b" in second and "without end" in second


@pytest.mark.parametrize(
    "flags, message",
    [
        ([], "needs --step NUMBER, or --plan"),
        (["--step=-1"], "counted from 0"),
        (["--plan", "--output=x"], "--output is of a step"),
    ],
)
def test_flags_of_no_use(capsys, folder, flags, message):
    code, _, err = run(capsys, str(folder), *flags)
    assert code == 2
    assert message in err


def test_folders_without_prepared_data(capsys, tmp_path):
    code, _, err = run(capsys, str(tmp_path / "none"), "--step=1")
    assert code != 0 and "There is no folder" in err
    code, _, err = run(capsys, str(tmp_path), "--step=1")
    assert code != 0 and "flan-jax prepare" in err
    code, _, err = run(capsys, "--step=1")
    assert code == 2 and "needs a folder" in err
