"""The inspection of a mixture: rates, lengths, truncation, samples, lost characters."""

import json

import pytest
import seqio

from flan_jax import testing
from flan_jax.data.config import DatasetConfig
from flan_jax.data.report import format_inspection, inspect_mixture

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
