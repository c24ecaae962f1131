"""Serving artifacts: called as docs/serving.md says, they give what the model gives."""

import dataclasses
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax import export

from flan_jax import checkpoint_params, cli, gin_utils, testing
from flan_jax.data.vocabularies import SentencePieceVocabulary
from flan_jax.decode import api
from flan_jax.decode.config import DecodeConfig
from flan_jax.errors import ConfigError
from flan_jax.interop import serving
from flan_jax.models.decoder import DecoderOnlyTransformer
from flan_jax.models.decoder_only import DecoderOnlyModel
from flan_jax.models.encoder_decoder import EncoderDecoderModel
from flan_jax.models.lora import LoraConfig
from flan_jax.models.t5 import Transformer

pytestmark = pytest.mark.slow

LENGTHS = {"inputs": 7, "targets": 5}
ROWS = 90
ADAPTERS = LoraConfig(2, 4.0, ("attention/", "logits"))
DOCS = pathlib.Path(__file__).parents[2] / "docs" / "serving.md"
TEXTS = ("copy red blue", "reverse one two three", "green")


def drawn(model):
    """Parameters of which each one matters."""
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda x: np.asarray(0.3 * rng.standard_normal(x.shape), x.dtype), model.abstract_params()
    )


def encoder_decoder(**changes):
    fields = {"vocab_size": ROWS, "num_encoder_layers": 1, "num_decoder_layers": 1, **changes}
    model = EncoderDecoderModel(Transformer(testing.tiny_t5_config(**fields)))
    return model, drawn(model)


def decoder_only(**changes):
    config = testing.tiny_decoder_config(vocab_size=ROWS, num_kv_heads=1, **changes)
    model = DecoderOnlyModel(DecoderOnlyTransformer(config), bos_id=2)
    return model, drawn(model)


FAMILIES = {
    "encoder_decoder": lambda: encoder_decoder(),
    # Stacked layers, rotary positions, adapters.
    "decoder_only": lambda: decoder_only(
        positions="rotary", logits_via_embedding=False, lora=ADAPTERS
    ),
}


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    """A SentencePiece model of the toy language with T5's special ids and two sentinels."""
    import sentencepiece

    prefix = tmp_path_factory.mktemp("pieces") / "toy"
    texts = [" ".join(row) for row in testing.toy_rows(200)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_prefix=str(prefix), vocab_size=60, pad_id=0,
        eos_id=1, unk_id=2, bos_id=-1, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    return SentencePieceVocabulary(f"{prefix}.model", extra_ids=2)


@pytest.fixture(scope="module", params=FAMILIES)
def served(request, vocabulary, tmp_path_factory):
    """(model, parameters, folder, manifest, decode config) of a greedy artifact."""
    model, params = FAMILIES[request.param]()
    folder = tmp_path_factory.mktemp("served") / "artifact"
    config = DecodeConfig()
    manifest = serving.export_serving(
        model, params, folder, config, LENGTHS, vocabulary, say=lambda _: None
    )
    return model, params, folder, manifest, dataclasses.replace(config, max_decode_length=5)


def batch_of(model, inputs_BxL, lengths_B):
    """A decoding batch made in NumPy, as architecture.md describes it."""
    inputs_BxL = np.where(np.arange(inputs_BxL.shape[1]) < lengths_B[:, None], inputs_BxL, 0)
    if isinstance(model, EncoderDecoderModel):
        return {"encoder_input_tokens": inputs_BxL}
    prefix_BxP = np.pad(inputs_BxL, ((0, 0), (1, 0)), constant_values=model.bos_id)
    prefix_lengths_B = np.where(lengths_B > 0, lengths_B + 1, 0)
    return {"decoder_prefix_tokens": prefix_BxP, "decoder_prefix_lengths": prefix_lengths_B}


def load(folder, name):
    program = export.deserialize(bytearray((folder / f"{name}.jax").read_bytes()))
    return dict(np.load(folder / "params.npz")), jax.jit(program.call)


def draw_inputs(rows):
    rng = np.random.default_rng(rows)
    inputs = rng.integers(3, ROWS, (rows, LENGTHS["inputs"])).astype(np.int32)
    return inputs, np.int32([7, 4, 0])[:rows]


@pytest.mark.parametrize("rows", [1, 3])
def test_predictions_are_the_models_own(served, rows):
    model, params, folder, _, config = served
    inputs, lengths = draw_inputs(rows)
    weights, predict = load(folder, "predict")
    found = predict(weights, inputs, lengths)
    expected = jax.jit(model.predict_batch, static_argnums=3)(
        params, batch_of(model, inputs, lengths), None, config
    )
    np.testing.assert_array_equal(found["tokens"], expected.tokens_BxKxT)
    np.testing.assert_array_equal(found["lengths"], expected.lengths_BxK)
    np.testing.assert_allclose(found["scores"], expected.scores_BxK, atol=1e-4)
    assert found["tokens"].shape == (rows, 1, 5) and found["lengths"][0] > 0
    assert rows < 3 or not np.any(found["tokens"][2])


@pytest.mark.parametrize("rows", [1, 3])
def test_scores_are_the_models_own(served, rows):
    model, params, folder, _, _ = served
    inputs, lengths = draw_inputs(rows)
    targets = np.random.default_rng(9).integers(0, ROWS, (rows, 5)).astype(np.int32)
    target_lengths = np.int32([5, 2, 1])[:rows]
    weights, score = load(folder, "score")
    found = score(weights, inputs, lengths, targets, target_lengths)
    # What lies behind the end of a row does not count.
    behind = np.arange(5) >= target_lengths[:, None]
    again = score(weights, inputs, lengths, np.where(behind, 7, targets), target_lengths)
    np.testing.assert_array_equal(found["log_likelihood"], again["log_likelihood"])
    expected = jax.jit(api.score_options, static_argnums=0)(
        model,
        params,
        batch_of(model, inputs, lengths),
        np.where(behind, 0, targets)[:, None],
        target_lengths[:, None],
    )
    active = lengths > 0
    np.testing.assert_allclose(
        found["log_likelihood"][active], expected.log_likelihood_BxO[active, 0], atol=1e-4
    )
    np.testing.assert_array_equal(found["num_tokens"], target_lengths)


def answers_of(model, params, vocabulary, config, texts):
    """What the model's own decoding says to texts."""
    suffix = [vocabulary.eos_id] if isinstance(model, EncoderDecoderModel) else []
    rows = [[*vocabulary.encode(t)[: LENGTHS["inputs"] - len(suffix)], *suffix] for t in texts]
    inputs = np.int32([row + [0] * (LENGTHS["inputs"] - len(row)) for row in rows])
    output = jax.jit(model.predict_batch, static_argnums=3)(
        params, batch_of(model, inputs, np.int32([len(row) for row in rows])), None, config
    )
    return [
        vocabulary.decode([i for i in ids[:n].tolist() if 1 < i < vocabulary.vocab_size])
        for ids, n in zip(output.tokens_BxKxT[:, 0], output.lengths_BxK[:, 0], strict=True)
    ]


def run_script(folder, texts, tmp_path):
    """Runs the script of the documentation where flan_jax and what it builds on are not there."""
    (source,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (tmp_path / "serve.py").write_text(source)
    for name in ("flan_jax", "flax", "seqio", "tensorflow"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} is blocked')\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "serve.py"), str(folder), *texts],
        capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_documented_script_gives_the_models_answers(served, vocabulary, tmp_path):
    model, params, folder, _, config = served
    expected = answers_of(model, params, vocabulary, config, TEXTS)
    assert run_script(folder, TEXTS, tmp_path) == expected
    assert len(set(expected)) > 1


def test_the_documented_script_reads_a_tokenizer_json(tmp_path):
    pytest.importorskip("tokenizers")
    vocabulary = testing.toy_vocabulary()
    model, params = encoder_decoder(vocab_size=16)
    config = DecodeConfig(method="beam", beam_size=2)
    folder = tmp_path / "artifact"
    serving.export_serving(
        model, params, folder, config, LENGTHS, vocabulary, platforms=("cpu",), say=lambda _: None
    )
    found = run_script(folder, TEXTS, tmp_path)
    config = dataclasses.replace(config, max_decode_length=5)
    expected = answers_of(model, params, vocabulary, config, TEXTS)
    assert found == expected and all(expected)


def test_the_manifest_describes_the_files(served, vocabulary):
    model, params, folder, manifest, _ = served
    assert json.loads((folder / "manifest.json").read_text()) == manifest
    names = {"params.npz", "predict.jax", "score.jax", "sentencepiece.model"}
    assert {path.name for path in folder.iterdir()} == names | {"manifest.json"}
    for name in names:
        content = (folder / name).read_bytes()
        assert manifest["files"][name] == {
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    assert manifest["platforms"] == ["cpu", "tpu"] and manifest["jax"] == jax.__version__
    weights = np.load(folder / "params.npz")
    described = manifest["params"]["arrays"]
    assert {n: (list(weights[n].shape), weights[n].dtype.name) for n in weights.files} == {
        n: (one["shape"], one["dtype"]) for n, one in described.items()
    }
    assert not any("lora" in name for name in weights.files)
    predict = manifest["programs"]["predict"]
    assert predict["arguments"]["inputs"] == {"shape": ["b", 7], "dtype": "int32"}
    assert predict["results"]["tokens"] == {"shape": ["b", 1, 5], "dtype": "int32"}
    assert manifest["tokenizer"]["size"] == vocabulary.vocab_size
    decoder_alone = manifest["kind"] == "decoder_only"
    assert manifest["tokenizer"]["input_suffix"] == ([] if decoder_alone else [1])


def test_samples_are_drawn_by_the_seed(tmp_path):
    model, params = encoder_decoder(vocab_size=16)
    config = DecodeConfig(method="sample", num_samples=2, max_decode_length=6)
    folder = tmp_path / "artifact"
    manifest = serving.export_serving(
        model, params, folder, config, LENGTHS, platforms=("cpu",), say=lambda _: None
    )
    assert manifest["programs"]["predict"]["arguments"]["seed"] == {"shape": [], "dtype": "uint32"}
    assert manifest["tokenizer"]["file"] is None
    inputs, lengths = draw_inputs(2)
    inputs %= 16
    weights, predict = load(folder, "predict")
    found = [predict(weights, inputs, lengths, np.uint32(seed))["tokens"] for seed in (3, 3, 4)]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
    expected = jax.jit(model.predict_batch, static_argnums=3)(
        params, batch_of(model, inputs, lengths), jax.random.key(3), config
    )
    np.testing.assert_array_equal(found[0], expected.tokens_BxKxT)


CONFIG = """
include 'models/tiny.gin'
VOCABULARY = @seqio.ByteVocabulary()
models.EncoderDecoderModel:
  input_vocabulary = %VOCABULARY
  output_vocabulary = %VOCABULARY
network.T5Config:
  vocab_size = 259
  emb_dim = 8
  mlp_dim = 8
  num_encoder_layers = 1
  num_decoder_layers = 1
"""


def test_the_command_exports_a_checkpoint_as_the_configuration_says(tmp_path, capsys):
    run, out = tmp_path / "run", tmp_path / "out"
    run.mkdir()
    (run / "config.gin").write_text(CONFIG)
    try:
        gin_utils.parse([str(run / "config.gin")], entry="%MODEL")
        params = drawn(gin_utils.macro_value("MODEL"))
        checkpoint_params.save_params(run, 7, params)
        code = cli.main(
            [
                "export", str(run), "--format=jax", f"--output={out}",
                "--gin.TASK_FEATURE_LENGTHS={'inputs': 6, 'targets': 4}",
                "--gin.serving.ServingConfig.platforms=('cpu',)",
                "--gin.decoding.DecodeConfig.method='beam'",
            ]
        )  # fmt: skip
    finally:
        gin_utils.clear()
    assert code == 0, capsys.readouterr().err
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["lengths"] == {"inputs": 6, "targets": 4, "outputs": 4}
    assert manifest["decoding"]["method"] == "beam" and manifest["platforms"] == ["cpu"]
    assert manifest["tokenizer"]["kind"] == "bytes" and manifest["tokenizer"]["file"] is None
    weights, predict = load(out, "predict")
    assert predict(weights, np.int32([[9] * 6]), np.int32([6]))["tokens"].shape == (1, 4, 4)


def test_what_does_not_fit_is_refused_and_leaves_nothing(vocabulary, tmp_path, monkeypatch):
    model, params = encoder_decoder(vocab_size=62)

    def write(*, model=model, config=None, lengths=LENGTHS, **options):
        serving.export_serving(
            model, params, tmp_path / "out", config or DecodeConfig(), lengths, **options
        )

    with pytest.raises(ConfigError, match="length of 'targets' is None"):
        write(lengths={"inputs": 3})
    with pytest.raises(ConfigError, match="'cup'; known are cpu.*Did you mean 'cpu'"):
        write(platforms=("cup",))
    small = encoder_decoder(vocab_size=16)[0]
    with pytest.raises(ConfigError, match="the network embeds only 16"):
        write(model=small, vocabulary=vocabulary)
    with pytest.raises(ConfigError, match="eos_id is 3, but the vocabulary's end token is 1"):
        write(config=DecodeConfig(eos_id=3), vocabulary=vocabulary)
    # A disk that is full half-way.
    monkeypatch.setattr(serving.json, "dumps", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(platforms=("cpu",))
    assert not list(tmp_path.iterdir())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    with pytest.raises(ConfigError, match=r"exists and holds mine\.txt"):
        write()
