"""`flan-jax inspect` from the command line: outputs, recipes, leaks, mistakes and exit codes."""

import json
import sys
import types

import pytest

from flan_jax import cli, testing

ROWS = [(f"copy {' '.join(f'x{100 * i + j}' for j in range(14))}", "red") for i in range(12)]


@pytest.fixture(scope="module", autouse=True)
def toys():
    def register():
        testing.register_toy_task("toy_copy", rows=ROWS, splits=["train"])
        testing.register_toy_task("toy_same", rows=ROWS[:3], splits=["validation"])
        testing.register_toy_task("toy_new", 5, splits=["validation"])
        testing.register_toy_task("toy_text", 5, splits=["train"], has_inputs=False)

    module = types.ModuleType("toy_inspected")
    module.register = register  # pyright: ignore[reportAttributeAccessIssue]
    sys.modules["toy_inspected"] = module
    yield
    del sys.modules["toy_inspected"]
    for name in ("toy_copy", "toy_same", "toy_new", "toy_text"):
        testing.unregister(name)


def run(capsys, *argv):
    code = cli.main(["inspect", *argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_text_page_and_json_of_one_run(capsys, tmp_path):
    page, figures = tmp_path / "look.html", tmp_path / "look.json"
    code, out, err = run(
        capsys, "toy_copy", "--module=toy_inspected", "--num_samples=1", "--num_examples=5",
        f"--output={page}", f"--output={figures}", "--leaks=toy_new",
    )  # fmt: skip
    assert code == 0
    assert out.startswith("toy_copy, split train: 1 task, 512/128 tokens")
    assert "clean: nothing above the limit" in out and f"wrote {page}" in err
    found = json.loads(figures.read_text())
    assert found["tasks"][0]["examples_read"] == 5
    assert found["leaks"]["failures"] == []
    assert "toy_copy" in page.read_text() and "Leaks into toy_new" in page.read_text()


def test_a_leak_is_printed_written_and_fails(capsys, tmp_path):
    figures = tmp_path / "look.json"
    flags = ["toy_copy", "--module=toy_inspected", "--num_samples=0", "--leaks=toy_same"]
    code, out, err = run(capsys, *flags, f"--output={figures}")
    assert code == 3
    assert "NOT CLEAN" in out and "3 of 3 examples (100.0%)" in err
    assert json.loads(figures.read_text())["leaks"]["tasks"][0]["overlapping"] == 3
    assert run(capsys, *flags, "--max_overlap=1")[0] == 0
    figures.unlink()
    code, out, _ = run(capsys, *flags, "--leaks_only", f"--output={figures}")
    assert code == 3 and out.startswith("leaks: toy_copy (train) against toy_same")
    assert list(json.loads(figures.read_text())) == ["leaks"]


def test_a_recipe_stands_in_for_flags(capsys, tmp_path):
    gin = tmp_path / "run.gin"
    gin.write_text(
        "MIXTURE_OR_TASK_NAME = 'toy_copy'\nMIXTURE_OR_TASK_MODULE = 'toy_inspected'\n"
        "TASK_FEATURE_LENGTHS = {'inputs': 20, 'targets': 4}\nBATCH_SIZE = 6\n"
    )
    flags = [f"--gin_file={gin}", "--allow_gin_imports", "--num_samples=0", "--target_length=5"]
    code, out, _ = run(capsys, *flags)
    assert code == 0
    assert "toy_copy, split train: 1 task, 20/5 tokens" in out and "of 6 rows" in out


def test_rows_are_those_of_the_recipes_model_or_of_the_flag(capsys):
    flags = ["toy_copy", "--module=toy_inspected", "--num_samples=0"]
    code, out, _ = run(capsys, *flags, "--gin_file=runs/miniflan_decoder.gin")
    assert code == 0 and "1 task, 64+32 tokens" in out
    assert "512+128 tokens" in run(capsys, *flags, "--decoder_only")[1]
    assert "64/32 tokens" in run(capsys, *flags, "--gin_file=runs/miniflan.gin")[1]
    text = ["toy_text", "--module=toy_inspected", "--num_samples=1"]
    code, out, _ = run(capsys, *text, "--input_length=0")
    assert code == 0 and "1 task, 128 tokens" in out and "[1] targets:" in out
    code, _, err = run(capsys, *text)
    assert code == 3 and "--input_length=0" in err


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], ["needs a name", "--module MODULE"]),
        (["toy_copi", "--module=toy_inspected"], ["No task or mixture", "'toy_copy'"]),
        (["toz_*", "--module=toy_inspected"], ["matches 'toz_*'", "'toy_"]),
        (["x", "--module=no_such_module_here"], ["no_such_module_here", "was not found"]),
        (["x", "--output=page.htm"], ["'.htm'", ".html for a page or .json"]),
        (["x", "--output=page"], ["'no suffix'"]),
        (["x", "--output=/no/such/folder/page.html"], ["no folder /no/such/folder"]),
        (["x", "--num_examples=0"], ["--num_examples is 0"]),
        (["x", "--num_samples=-1"], ["--num_samples is -1"]),
        (["x", "--leaks=y", "--max_overlap=7"], ["max_overlap is 7"]),
        (["x", "--leaks=y", "--ngram=1"], ["ngram is 1"]),
        (["x", "--leaks_only"], ["--leaks_only needs --leaks NAME"]),
        (["x", "--leaks=y", "--leaks_only", "--output=a.html"], ["or write a .json file"]),
        (["x", "--shots=a"], ["--shots"]),
        (["x", "--shot=2"], ["no flag '--shot'", "'--shots'"]),
        (["toy_copy", "--module=toy_inspected", "--split=trian"], ["no split 'trian'", "'train'"]),
    ],
)
def test_mistakes_are_explained(argv, expected, capsys):
    code, _, err = run(capsys, *argv)
    assert code == 2
    for part in expected:
        assert part in err
