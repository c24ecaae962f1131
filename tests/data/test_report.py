"""The inspection of a mixture: rates, lengths, truncation, samples, lost characters."""

import functools
import json
import sys
import types

import pytest
import seqio

from flan_jax import testing
from flan_jax.data import description, selection
from flan_jax.data.config import DatasetConfig
from flan_jax.data.report import inspect_mixture
from flan_jax.data.report_text import format_inspection
from flan_jax.errors import DataError, NotFoundError
from flan_jax.prompts import FewShot, Template, TemplateSet
from tasks import rates
from tasks.registration import ColumnSource, add_text_task

ROWS = [("copy red", "red"), ("copy red {blue}", "red {blue}"), ("reverse one two three", "three")]


@pytest.fixture(scope="module")
def found():
    testing.register_toy_task("look_a", rows=ROWS)
    testing.register_toy_task("look_b", 40)
    testing.register_toy_mixture("look_mix", {"look_a": 1.0, "look_b": 3.0})
    cfg = DatasetConfig(
        mixture_or_task_name="look_mix",
        task_feature_lengths={"inputs": 4, "targets": 8},
        split="train",
        batch_size=10,
        shuffle=True,
        seed=0,
    )
    return inspect_mixture(cfg, num_samples=2, num_steps=12)


def test_figures(found):
    assert json.loads(json.dumps(found)) == found
    first, second = found["tasks"]
    assert (first["rows"], first["rate"], first["share"]) == (3, 1.0, 0.25)
    assert first["expected_draws"] == pytest.approx(30.0)  # 12 steps x 10 rows x 1/4
    assert first["expected_epochs"] == pytest.approx(10.0)
    assert second["expected_draws"] == pytest.approx(90.0)
    assert first["truncated_inputs"] == pytest.approx(1 / 3)  # 5 tokens with the end
    assert first["mean_target_tokens"] == pytest.approx((2 + 3 + 2) / 3)
    assert first["examples_read"] == 3 and found["examples_per_row"] == 1.0


def test_lost_characters_and_samples(found):
    first, second = found["tasks"]
    assert first["changed_texts"] == pytest.approx(2 / 6)  # '{blue}' comes back as '<unk>'
    assert first["lost_characters"]["{"] == 2
    assert second["lost_characters"] == {} and second["changed_texts"] == 0.0
    assert [sample["inputs"] for sample in first["samples"]] == ["copy red", "copy red <unk>"]
    assert first["samples"][1]["inputs_original"] == "copy red {blue}"
    assert len(second["samples"]) == 2


def test_text_names_tasks_figures_and_samples(found):
    text = format_inspection(found)
    for piece in ("look_mix, split train: 2 tasks", "look_a", "25.00", "'{' x2", "copy red <unk>"):
        assert piece in text


def test_newline_that_a_sentencepiece_model_drops_is_reported(shared_data):
    vocabulary = seqio.SentencePieceVocabulary(str(shared_data / "t5_vocab" / "spiece.model"))
    testing.register_toy_task("look_t5", rows=[("Say {it}\n\nnow", "ok")], vocabulary=vocabulary)
    cfg = DatasetConfig("look_t5", {"inputs": 40, "targets": 8}, "train", 2, True, 0)
    found = inspect_mixture(cfg)
    (task,) = found["tasks"]
    assert task["lost_characters"]["\n"] == 2 and task["lost_characters"]["{"] == 1
    assert "'\\n' x2" in format_inspection(found)


# ------------------------------------------------------- templates, rates, patterns, failures

FIELDS = ("question", "answer")


def register_quiz(name, rows=30, shots=0, broken=False):
    """A task with two direct templates and an inverted one."""
    templates = TemplateSet(
        name,
        [
            Template("Q: {question}\nA:", "{answer}"),
            Template("{question} {{yes/no}}", "{answer}"),
            Template("Ask for {answer}.", "{question}", inverts=("answer",)),
        ],
        fields=FIELDS,
        target_fields=("answer",),
        choice="rotate",
    )

    def load(split):
        if broken:
            raise DataError(f"The file of {name} is gone.")
        return {
            "question": [f"Is {i} even?" for i in range(rows)],
            "answer": ["no" if i % 2 else "yes" for i in range(rows)],
            "index": list(range(rows)),
        }

    source = ColumnSource(name, load, ("train",))
    step = templates.as_preprocessor()
    if shots:
        few = FewShot(templates, shots, budget=1000)
        step = few.as_preprocessor(lambda: source.columns("train"))
    add_text_task(name, source, [step], vocabulary=seqio.ByteVocabulary())


@pytest.fixture(scope="module")
def quiz():
    """Tasks and mixtures of them, a module that describes them, and a config without its name."""
    for name in ("quiz_a", "quiz_b"):
        register_quiz(name)
    register_quiz("quiz_broken", broken=True)
    register_quiz("quiz_a_2_shot", shots=2)
    add = seqio.MixtureRegistry.add
    limited = functools.partial(seqio.mixing_rate_num_examples, maximum=10)
    add("quiz_mix", [("quiz_a", rates.Cap(10)), ("quiz_b", limited)])
    add("quiz_broken_mix", [("quiz_a", rates.Weight(2.0)), ("quiz_broken", rates.Cap(5))])
    add("quiz_nested", [("quiz_mix", 3.0), ("quiz_a_2_shot", 1)])
    module = types.ModuleType("quiz_tasks")
    said = description.Description(
        dataset="quiz", facts={"licence": "CC0"}, siblings={0: "quiz_a", 2: "quiz_a_2_shot"}
    )
    module.describe = {"quiz_a": said}.get  # pyright: ignore[reportAttributeAccessIssue]
    sys.modules["quiz_tasks"] = module
    yield functools.partial(
        DatasetConfig,
        task_feature_lengths={"inputs": 64, "targets": 11},
        split="train",
        batch_size=4,
        shuffle=False,
        seed=0,
        pack=True,
        module="quiz_tasks",
    )
    del sys.modules["quiz_tasks"]
    for name in ("quiz_a", "quiz_b", "quiz_broken", "quiz_a_2_shot"):
        testing.unregister(name)
    for name in ("quiz_mix", "quiz_broken_mix", "quiz_nested"):
        testing.unregister(name)


def test_kinds_of_rates(quiz):
    outer = selection.select(quiz("quiz_nested"))
    by_name = {member.name: member for member in outer.members}
    assert outer.kind == "mixture"
    assert by_name["quiz_a"].how == description.Rate("mixture", "part of quiz_mix")
    assert by_name["quiz_a_2_shot"].how == description.Rate("number", "1")
    assert outer.share(by_name["quiz_a"]) == pytest.approx(3 / 8)
    inner = {member.name: member for member in selection.select(quiz("quiz_mix")).members}
    assert inner["quiz_a"].how == description.Rate("Cap", "Cap(rows=10, split='train')", 10)
    name = "mixing_rate_num_examples"
    assert inner["quiz_b"].how == description.Rate(name, f"{name}(maximum=10)", 10)
    assert inner["quiz_b"].rate == 10.0


def test_templates_sizes_and_siblings(quiz):
    found = inspect_mixture(quiz("quiz_a"), 1, num_examples=20)
    (task,) = found["tasks"]
    assert (found["kind"], task["rate"], task["share"]) == ("task", 1.0, 1.0)
    assert [one["rows"] for one in task["templates"]] == [7, 7, 6]
    assert [one["inverted"] for one in task["templates"]] == [False, False, True]
    assert task["templates"][0]["inputs"] == "Q: {question}\nA:"
    assert task["sizes"]["inputs"]["over"] == {
        "64": 0.0, "256": 0.0, "512": 0.0, "1024": 0.0, "2048": 0.0
    }  # fmt: skip
    # Of the inverted ones, "Is 2 even?" and the end are 11 tokens; 11, 14 and 17 have one more.
    assert task["sizes"]["targets"]["over"]["11"] == pytest.approx(3 / 20)
    assert task["truncated_targets"] == pytest.approx(3 / 20)
    assert sum(task["sizes"]["inputs"]["histogram"]) == 20
    assert task["facts"] == {"licence": "CC0"}
    (sibling,) = task["siblings"]
    assert (sibling["shots"], sibling["name"]) == (2, "quiz_a_2_shot")
    assert sibling["samples"][0]["inputs_original"].count("***") == 2
    text = format_inspection(found)
    for piece in ("1 task,", "licence: CC0", "2 (6) inverted Ask for {answer}.", "Q: {question}⏎A:",
                  "with 2 solved examples, quiz_a_2_shot:", ">11: 15.0"):  # fmt: skip
        assert piece in text


def test_few_shot_task_tells_how_many_fit(quiz):
    (task,) = inspect_mixture(quiz("quiz_a_2_shot"), 0, shots=())["tasks"]
    assert (task["shots"], task["mean_exemplars"]) == (2, 2.0)
    assert task["siblings"] == []


def test_a_pattern_takes_tasks_and_gives_no_shares(quiz):
    found = inspect_mixture(quiz("quiz_[ab]"), 0)
    assert [task["name"] for task in found["tasks"]] == ["quiz_a", "quiz_b"]
    assert found["kind"] == "pattern"
    assert {task["share"] for task in found["tasks"]} == {None}
    assert found["examples_per_row"] > 1
    assert "quiz_b" in format_inspection(found)
    matched = inspect_mixture(quiz("quiz_m?x"), 0)
    assert matched["mixtures"] == ["quiz_mix"]
    assert [task["name"] for task in matched["tasks"]] == ["quiz_a", "quiz_b"]
    with pytest.raises(NotFoundError, match=r"matches 'quizz_\*' .*'quiz_"):
        inspect_mixture(quiz("quizz_*"))


def test_one_unreadable_task_does_not_hide_the_others(quiz):
    found = inspect_mixture(quiz("quiz_broken_mix"), 1)
    good, bad = found["tasks"]
    assert found["unreadable"] == 1
    assert good["share"] == 1.0 and good["examples_read"] == 30 and good["rate_kind"] == "Weight"
    assert bad["error"] == "The file of quiz_broken is gone." and bad["cap"] == 5
    text = format_inspection(found)
    assert "1 of the 2 tasks cannot be read:\n  quiz_broken: The file of quiz_broken" in text
    with pytest.raises(DataError, match="The file of quiz_broken is gone"):
        inspect_mixture(quiz("quiz_broken"))
    with pytest.raises(NotFoundError, match="no split 'tset', only train"):
        inspect_mixture(quiz("quiz_a", split="tset"))


def test_many_tasks_are_a_table_on_the_terminal(quiz):
    found = inspect_mixture(quiz("quiz_a"), 1, shots=())
    many = {**found, "tasks": found["tasks"] * 21}
    text = format_inspection(many)
    assert text.count("quiz_a ") == 21 and "--output FILE.html" in text and "[1]" not in text
