"""Runs docs/add_a_task.md."""

import pathlib
import re
import sys

import pytest
import seqio

from flan_jax.data.mixture import import_task_module

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "add_a_task.md"


def _block(title):
    text = PAGE.read_text(encoding="utf-8")
    return re.search(rf"<!-- {re.escape(title)} -->\n```\w+\n(.*?)```", text, re.DOTALL).group(1)


@pytest.fixture
def page_files(tmp_path, monkeypatch):
    for name in ("train.tsv", "validation.tsv", "my_tasks.py"):
        (tmp_path / name).write_text(_block(name), encoding="utf-8")
    monkeypatch.setenv("CAPITALS_DIR", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("my_tasks", None)
    seqio.TaskRegistry.remove("capitals")


def test_the_page_registers_a_task_that_renders_and_scores(page_files, capsys):
    import_task_module("my_tasks")
    task = seqio.TaskRegistry.get("capitals")
    assert task.num_input_examples("train") == 3

    exec(compile(_block("look"), str(PAGE), "exec"), {})
    printed = capsys.readouterr().out
    assert printed == _block("printed")

    rows = list(task.get_dataset(None, "train", shuffle=False).as_numpy_iterator())
    peru = rows[1]
    assert peru["inputs_pretokenized"].decode() in printed
    assert str(int(peru["template_id"])) in printed
    assert task.output_features["targets"].vocabulary.decode(peru["targets"].tolist()) == "Lima"

    (row,) = task.get_dataset(None, "validation", shuffle=False).as_numpy_iterator()
    target = task.postprocess_fn(row["targets_pretokenized"].decode(), example=row, is_target=True)
    prediction = task.postprocess_fn(" nairobi. ", example=row)
    assert task.predict_metric_fns[0]([target], [prediction]) == {"exact_match": 100.0}
