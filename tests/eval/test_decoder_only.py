"""Evaluation, prompts and logits of decoder-only models, from the rows to the results."""

import json

import jax
import numpy as np
import pytest

from flan_jax import checkpoint, infer, logits, testing
from flan_jax.data.config import DatasetConfig
from flan_jax.data.packing import Example, assemble
from flan_jax.decode import DecodeConfig
from flan_jax.errors import ConfigError, DataError
from flan_jax.eval import codecs, runner
from flan_jax.eval.predictions import Predictor, with_end_token

LENGTHS = {"inputs": 8, "targets": 7}


def silent(text):
    del text


def total(targets, scores):
    return {"total_score": float(np.sum(scores))}


@pytest.fixture(scope="module", autouse=True)
def tasks():
    testing.register_toy_task("dec_task", num_examples=11, inputs_eos=False)
    testing.register_toy_task("dec_scored", num_examples=11, inputs_eos=False, metric_fns=[total])
    testing.register_toy_task("dec_text", num_examples=5, has_inputs=False)


@pytest.fixture(scope="module")
def saved(tiny_decoder, tmp_path_factory):
    """A MODEL_DIR with the tiny decoder's parameters."""
    from flan_jax.state import TrainState

    folder = tmp_path_factory.mktemp("decoder")
    state = TrainState(np.int32(2), tiny_decoder.params, {"count": np.int32(0)})
    with checkpoint.Checkpointer(folder) as saver:
        saver.save(2, jax.device_put(state), b"", {}, force=True)
    return folder


# -------------------------------------------------------------------------- loss, scores


def test_loss_is_that_of_the_targets_packed_or_not(tiny_decoder, dataset):
    plain = runner.train_eval(*tiny_decoder.args(), dataset("dec_task"), say=silent)["dec_task"]
    packed_cfg = dataset("dec_task", pack=True)
    packed = runner.train_eval(*tiny_decoder.args(), packed_cfg, say=silent)["dec_task"]
    rows = testing.toy_rows(11, seed=1)
    assert plain["num_tokens"] == packed["num_tokens"]
    assert plain["num_tokens"] == sum(min(7, len(b.split()) + 1) for _, b in rows)
    np.testing.assert_allclose(plain["loss"], packed["loss"], rtol=1e-5)


@pytest.mark.parametrize("loss_on", ["targets", pytest.param("all", marks=pytest.mark.exhaustive)])
def test_scores_are_of_the_targets_whatever_the_loss_is_on(
    make_decoder, tiny_decoder, dataset, loss_on
):
    same = make_decoder(1, loss_on=loss_on)
    found = runner.evaluate_tasks(*same.args(), dataset("dec_scored"), say=silent)["dec_scored"]
    loss = runner.train_eval(*tiny_decoder.args(), dataset("dec_scored"), say=silent)["dec_scored"]
    nats = loss["loss"] * loss["num_tokens"]
    np.testing.assert_allclose(-found["total_score"], nats, rtol=1e-5)


# --------------------------------------------------------------------------- predictions


def test_greedy_predictions_are_those_of_whole_rows(tiny_decoder):
    """Token by token with the logits of rows laid out as in training."""
    model, params = tiny_decoder.model, tiny_decoder.params
    inputs = [np.array(row, np.int32) for row in ([3, 9, 4], [7], [], [4, 4, 8, 11, 2, 13, 1, 6])]
    predictor = Predictor(*tiny_decoder.args(), 3, LENGTHS, silent)
    found = predictor.predict([{"inputs": tokens} for tokens in inputs], DecodeConfig())
    forward = jax.jit(model.logits)
    for tokens, prediction in zip(inputs, found, strict=True):
        said: list[int] = []
        while len(said) < 7 and said[-1:] != [1]:
            # The last token is not read, so any will do.
            example = Example(0, tokens, np.array([*said, 9], np.int32))
            batch = assemble([[example]], 1, 8, 7, False, model.row_layout)
            logits_V = forward(params, batch)[0, len(tokens) + len(said)]
            said.append(int(np.argmax(logits_V)))
        assert prediction.tokens[0].tolist() == said
    assert len({tuple(each.tokens[0].tolist()) for each in found}) > 2


def test_predictions_do_not_depend_on_batches_padding_or_devices(
    make_decoder, tiny_decoder, dataset, tmp_path
):
    config = DecodeConfig(method="sample", temperature=1.5)
    wide = {"inputs": 64, "targets": 7}  # In buckets of 32 and 64.
    runs = {
        "one": (tiny_decoder, dataset("dec_task")),
        "few": (tiny_decoder, dataset("dec_task", batch_size=3, task_feature_lengths=wide)),
        "eight": (make_decoder(8), dataset("dec_task")),
    }
    found = {}
    for name, (tiny, cfg) in runs.items():
        folder = tmp_path / name
        runner.evaluate_tasks(*tiny.args(), cfg, config, output_dir=folder, say=silent)
        lines = (folder / "dec_task-0.jsonl").read_text().splitlines()
        found[name] = [json.loads(line) for line in lines]
    said = {name: [row["prediction"] for row in rows] for name, rows in found.items()}
    assert said["one"] == said["few"] == said["eight"] and len(set(said["one"])) > 5
    scores = [[row["score"] for row in rows] for rows in found.values()]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)
    np.testing.assert_allclose(scores[0], scores[2], atol=1e-5)
    texts = [inputs for inputs, _ in testing.toy_rows(11, seed=1)]
    assert [row["inputs"] for row in found["one"]] == texts


def test_text_without_inputs_is_predicted_from_nothing(tiny_decoder, dataset, tmp_path):
    cfg = dataset("dec_text", task_feature_lengths={"targets": 5})
    found = runner.evaluate_tasks(*tiny_decoder.args(), cfg, output_dir=tmp_path, say=silent)
    assert found["dec_text"]["num_examples"] == 5 and found["dec_text"]["truncated_inputs"] == 0
    rows = [json.loads(line) for line in (tmp_path / "dec_text-0.jsonl").read_text().splitlines()]
    assert {row["inputs"] for row in rows} == {""}
    assert len({row["prediction"] for row in rows}) == 1
    loss = runner.train_eval(*tiny_decoder.args(), cfg, say=silent)["dec_text"]
    texts = [" ".join(row) for row in testing.toy_rows(5, seed=1)]
    assert loss["num_tokens"] == sum(min(5, len(text.split()) + 1) for text in texts)


def test_the_vocabulary_s_end_token_takes_the_place_of_the_default():
    assert with_end_token(DecodeConfig(), 7).eos_id == 7
    assert with_end_token(DecodeConfig(eos_id=3), 7).eos_id == 3
    assert with_end_token(DecodeConfig(), None).eos_id == 1


# ------------------------------------------------------------------------------- prompts


def config(name, lengths=LENGTHS):
    return DatasetConfig(name, lengths, "validation", batch_size=4, shuffle=False, seed=0)


@pytest.fixture(scope="module")
def with_vocabulary(make_decoder):
    return make_decoder(1, vocabulary=testing.toy_vocabulary())


def test_prompts_end_as_the_tasks_inputs_do(tiny_decoder, with_vocabulary):
    testing.register_toy_task("dec_eos", num_examples=2)
    own = with_vocabulary.model
    said = []

    def add_eos(model, name, prompt_eos=None, lengths=LENGTHS):
        return codecs.codec_of(model, config(name, lengths), prompt_eos, said.append).add_eos

    for model in (tiny_decoder.model, own):
        assert not add_eos(model, "dec_task") and add_eos(model, "dec_eos")
        assert add_eos(model, "dec_task", True) and not add_eos(model, "dec_eos", False)
        assert not add_eos(model, "dec_text", lengths={"targets": 5})
    assert not said
    assert not add_eos(own, "no_such_task")
    assert "'no_such_task' is not known here, so prompts get no end token" in said[0]


def test_infer_answers_as_evaluation_does(tiny_decoder, with_vocabulary, saved, tmp_path):
    answers = {}
    for kind, tiny in (("task", tiny_decoder), ("own", with_vocabulary)):
        prompts, out = tmp_path / "prompts.txt", tmp_path / f"{kind}.jsonl"
        prompts.write_text("\n".join(text for text, _ in testing.toy_rows(11, seed=1)))
        infer.infer(
            tiny.model,
            config("dec_task"),
            checkpoint.RestoreCheckpointConfig(str(saved)),
            tiny.partitioner,
            prompts=str(prompts),
            output=str(out),
        )
        answers[kind] = [json.loads(line)["prediction"] for line in out.read_text().splitlines()]
    runner.evaluate_tasks(*tiny_decoder.args(), config("dec_task"), output_dir=tmp_path, say=silent)
    lines = (tmp_path / "dec_task-0.jsonl").read_text().splitlines()
    assert answers["task"] == answers["own"] == [json.loads(line)["prediction"] for line in lines]


def test_prompts_of_a_model_of_plain_text_get_what_answers_leave(
    tiny_decoder, saved, tmp_path, capsys
):
    prompts, out = tmp_path / "prompts.txt", tmp_path / "out.jsonl"
    prompts.write_text("red\ncopy red green blue one two\n")

    def run(**options):
        infer.infer(
            tiny_decoder.model,
            config("dec_text", {"targets": 7}),
            checkpoint.RestoreCheckpointConfig(str(saved)),
            tiny_decoder.partitioner,
            prompts=str(prompts),
            output=str(out),
            **options,
        )
        return [json.loads(line) for line in out.read_text().splitlines()]

    rows = run()  # 3 tokens of a prompt, 4 of an answer.
    assert [row["truncated_tokens"] for row in rows] == [0, 3]
    assert all(len(row["prediction"].split()) <= 4 for row in rows)
    assert "longer than 3 tokens" in capsys.readouterr().err
    rows = run(decode_config=DecodeConfig(max_decode_length=2))
    assert [row["truncated_tokens"] for row in rows] == [0, 1]
    with pytest.raises(ConfigError, match="is 7, which leaves nothing for a prompt.* at most 6"):
        run(decode_config=DecodeConfig(max_decode_length=7))


# -------------------------------------------------------------------------------- logits


def make_batch(tiny, packed):
    generator = np.random.default_rng(0)
    examples = [
        Example(0, generator.integers(0, 15, n), generator.integers(0, 15, 3)) for n in (2, 4, 5)
    ]
    rows = [examples[:2], examples[2:]] if packed else [[example] for example in examples]
    batch = assemble(rows, len(rows), 6, 7, packed, tiny.model.row_layout)
    return batch, [len(example.inputs) + 3 for example in examples]


def test_logits_of_packed_rows_are_those_of_plain_ones(tiny_decoder, saved, tmp_path):
    found = {}
    for packed in (False, True):
        batch, sizes = make_batch(tiny_decoder, packed)
        np.savez(tmp_path / "batch.npz", **batch)
        out = tmp_path / "logits.npz"
        args = tiny_decoder.model, str(saved), tmp_path / "batch.npz", out
        found[packed] = logits.write_logits(*args, tiny_decoder.partitioner)
    assert found[False].shape == (3, 13, 16) and found[True].shape == (2, 13, 16)
    first, second, third = (rows[:size] for rows, size in zip(found[False], sizes, strict=True))
    np.testing.assert_allclose(found[True][0, : sizes[0]], first, atol=1e-5)
    np.testing.assert_allclose(found[True][0, sizes[0] : sum(sizes[:2])], second, atol=1e-5)
    np.testing.assert_allclose(found[True][1, : sizes[2]], third, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder_input_tokens": np.ones((3, 6), int)}, "no feature 'encoder_input_tokens'"),
        ({"decoder_segment_ids": np.ones((3, 13), int)}, "lacks decoder_positions.* need both"),
        ({"decoder_causal_attention": np.ones((3, 12), int)}, r"has shape \(3, 12\)"),
        ({"decoder_target_tokens": None}, "lacks decoder_target_tokens"),
        ({"decoder_input_tokens": np.full((3, 13), 16)}, "from 16 to 16; allowed are 0 to 15"),
    ],
)
def test_wrong_batches_are_refused_by_name(tiny_decoder, tmp_path, change, message):
    batch, _ = make_batch(tiny_decoder, packed=False)
    batch = {name: array for name, array in {**batch, **change}.items() if array is not None}
    np.savez(tmp_path / "batch.npz", **batch)
    with pytest.raises(DataError, match=message):
        logits.read_batch(tmp_path / "batch.npz", 16, tiny_decoder.model.row_layout)
