"""`flan-jax eval`, `infer` and `logits`: results as documented, wrong input refused by name."""

import io
import json
import sys

import jax
import numpy as np
import pytest

from flan_jax import checkpoint, evaluate, infer, logits, testing
from flan_jax.decode import DecodeConfig
from flan_jax.errors import CheckpointError, ConfigError, DataError


@pytest.fixture(scope="module")
def saved(tiny, tmp_path_factory):
    """A MODEL_DIR with the tiny model's parameters as checkpoint of step 5."""
    from flan_jax.state import TrainState

    folder = tmp_path_factory.mktemp("model_dir")
    state = TrainState(step=np.int32(5), params=tiny.params, opt_state={"count": np.int32(0)})
    with checkpoint.Checkpointer(folder) as saver:
        saver.save(5, jax.device_put(state), b"", {}, force=True)
    return folder


def restore_cfg(folder):
    return checkpoint.RestoreCheckpointConfig(str(folder))


# ------------------------------------------------------------------------------- eval


def test_eval_writes_results_prints_a_table_and_fails_after_a_failed_task(
    tiny, saved, dataset, tmp_path, capsys
):
    def broken(targets, predictions):
        raise KeyError("missing")

    testing.register_toy_task("cmd_good", num_examples=5)
    testing.register_toy_task("cmd_bad", num_examples=5, metric_fns=[broken])
    testing.register_toy_mixture("cmd_eval", {"cmd_good": 1, "cmd_bad": 1})
    with pytest.raises(DataError, match="cmd_bad: KeyError"):
        evaluate.evaluate(
            tiny.model, dataset("cmd_eval"), restore_cfg(saved), tiny.partitioner, str(tmp_path)
        )
    results = json.loads((tmp_path / "results-5.json").read_text())
    assert results["step"] == 5 and results["split"] == "validation"
    assert results["tasks"]["cmd_good"]["num_examples"] == 5
    assert results["tasks"]["cmd_good"]["loss"] > 0
    assert "error" in results["tasks"]["cmd_bad"]
    assert len((tmp_path / "cmd_good-5.jsonl").read_text().splitlines()) == 5
    printed = capsys.readouterr().out
    assert "exact_match" in printed and "cmd_bad" in printed


def test_missing_checkpoint_is_named(tiny, tmp_path):
    with pytest.raises(CheckpointError, match="--checkpoint=PATH"):
        evaluate.restore(tiny.model, tiny.partitioner, checkpoint.RestoreCheckpointConfig(None))
    with pytest.raises(CheckpointError, match="does not exist"):
        evaluate.restore(tiny.model, tiny.partitioner, restore_cfg(tmp_path / "no_such"))


# ------------------------------------------------------------------------------ infer


def run_infer(tiny, saved, dataset, **options):
    testing.register_toy_task("cmd_infer", num_examples=4)
    return infer.infer(
        tiny.model, dataset("cmd_infer"), restore_cfg(saved), tiny.partitioner, **options
    )


def read_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_infer_answers_a_jsonl_file_in_order_and_reports_cuts(
    tiny, saved, dataset, tmp_path, capsys
):
    prompts = tmp_path / "prompts.jsonl"
    texts = ["copy red green", "copy " + "red " * 9, "reverse blue one"]
    rows = [{"inputs": text, "id": i} for i, text in enumerate(texts)]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = DecodeConfig(method="beam", beam_size=2)
    out = tmp_path / "out" / "answers.jsonl"
    count = run_infer(
        tiny, saved, dataset, decode_config=config, prompts=str(prompts), output=str(out)
    )
    answers = read_lines(out)
    assert count == 3 and [answer["id"] for answer in answers] == [0, 1, 2]
    assert [answer["inputs"] for answer in answers] == texts
    # 'copy' and nine words, of which 8 tokens stay with the end token.
    assert [answer["truncated_tokens"] for answer in answers] == [0, 3, 0]
    assert all(answer["predictions"][0] == answer["prediction"] for answer in answers)
    assert all(len(answer["scores"]) == 2 for answer in answers)
    assert "1 of 3 prompts were longer than 8 tokens" in capsys.readouterr().err


def test_infer_gives_what_evaluation_gives(tiny, saved, dataset, tmp_path):
    from flan_jax.eval import runner

    by_split, by_file = tmp_path / "split.jsonl", tmp_path / "file.jsonl"
    run_infer(tiny, saved, dataset, use_dataset=True, output=str(by_split))
    runner.evaluate_tasks(
        *tiny.args(), dataset("cmd_infer"), output_dir=tmp_path, say=lambda _: None
    )
    evaluated = read_lines(tmp_path / "cmd_infer-0.jsonl")
    split = read_lines(by_split)
    assert [row["prediction"] for row in split] == [row["prediction"] for row in evaluated]
    assert [row["targets"] for row in split] == [row["targets"] for row in evaluated]

    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n\n".join(row["inputs"] for row in evaluated))
    run_infer(tiny, saved, dataset, prompts=str(prompts), output=str(by_file))
    assert [row["prediction"] for row in read_lines(by_file)] == [r["prediction"] for r in split]


def test_infer_reads_a_pipe_and_asks_a_person(tiny, saved, dataset, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("copy red\n"))
    assert run_infer(tiny, saved, dataset) == 1
    [answer] = capsys.readouterr().out.splitlines()
    assert json.loads(answer)["inputs"] == "copy red"

    monkeypatch.setattr(sys, "stdin", io.StringIO("copy red\n\nreverse blue\n"))
    assert run_infer(tiny, saved, dataset, interactive=True) == 2
    shown = capsys.readouterr().out
    assert json.loads(answer)["prediction"] in shown and "[-" in shown


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"\n  \n", "no line with text"),
        ("a.txt", b"\xff\xfe", "not UTF-8"),
        ("a.jsonl", b'{"inputs": "x"}\n{"inputs"', "a.jsonl:2 is not JSON"),
        ("a.jsonl", b'{"input": "x"}\n', "it has input. Did you mean 'input'"),
        ("a.jsonl", b"[1]\n", "a.jsonl:1: expected an object"),
    ],
)
def test_malformed_prompt_files_are_refused_with_their_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        infer.read_prompts(str(tmp_path / name))


def test_missing_prompt_file_names_the_nearest(tmp_path):
    (tmp_path / "prompts.txt").write_text("x")
    with pytest.raises(DataError, match=r"does not exist. Did you mean 'prompts.txt'"):
        infer.read_prompts(str(tmp_path / "prompt.txt"))


def test_two_sources_of_prompts_are_refused(tiny, saved, dataset):
    with pytest.raises(ConfigError, match="prompts and use_dataset"):
        run_infer(tiny, saved, dataset, prompts="x.txt", use_dataset=True)


# ----------------------------------------------------------------------------- logits


def make_batch(rows=3):
    rng = np.random.default_rng(0)
    targets_BxT = rng.integers(1, 15, (rows, 4))
    return {
        "encoder_input_tokens": rng.integers(1, 15, (rows, 6)),
        "decoder_target_tokens": targets_BxT,
        "decoder_input_tokens": np.pad(targets_BxT, ((0, 0), (1, 0)))[:, :-1],
    }


def test_logits_are_those_of_the_model(tiny, saved, tmp_path):
    batch = make_batch()
    np.savez(tmp_path / "batch.npz", **batch)
    out = tmp_path / "new" / "logits.bin"
    logits.write_logits(tiny.model, str(saved), tmp_path / "batch.npz", out, tiny.partitioner)
    with np.load(out) as written:
        found = written["logits"]
    assert found.dtype == np.float32 and found.shape == (3, 4, 16)
    expected = tiny.model.module.apply({"params": tiny.params}, **batch, enable_dropout=False)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder_input_token": np.ones((3, 6), int)}, "Did you mean 'encoder_input_tokens'"),
        ({"encoder_input_tokens": np.ones((3, 6))}, "is float64"),
        (
            {"decoder_input_tokens": np.ones((2, 4), int)},
            r"decoder_input_tokens has shape \(2, 4\)",
        ),
        ({"decoder_target_tokens": np.full((3, 4), 99)}, "from 99 to 99; allowed are 0 to 15"),
        ({"encoder_segment_ids": np.ones((3, 6), int)}, "lacks encoder_positions"),
        ({"decoder_target_tokens": None}, "lacks decoder_target_tokens"),
    ],
)
def test_wrong_batches_are_refused_by_name(tmp_path, change, message):
    batch = {k: v for k, v in {**make_batch(), **change}.items() if v is not None}
    np.savez(tmp_path / "batch.npz", **batch)
    with pytest.raises(DataError, match=message):
        logits.read_batch(tmp_path / "batch.npz", 16)


def test_missing_and_unreadable_batch_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="There is no file"):
        logits.read_batch(tmp_path / "none.npz", 16)
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DataError, match="could not be read"):
        logits.read_batch(tmp_path / "text.npz", 16)
