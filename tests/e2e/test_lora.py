"""LoRA from end to end: a task gets better through adapters, the base stays as it was."""

import shutil

import jax
import numpy as np
import pytest
import safetensors.numpy
from etils import epath

from flan_jax import checkpoint, cli, evaluate, testing
from flan_jax.checkpoint_files import fingerprint_of_files
from flan_jax.checkpoint_params import make_base
from flan_jax.data import tokenizer_files
from flan_jax.data.config import DatasetConfig
from flan_jax.data.vocabularies import word_vocabulary
from flan_jax.errors import CheckpointError, ConfigError
from flan_jax.interop.hf_t5 import params_from_hf
from flan_jax.interop.model_gin import ModelFile
from flan_jax.models import lora
from flan_jax.models.encoder_decoder import EncoderDecoderModel
from flan_jax.models.lora import LoraConfig
from flan_jax.models.t5 import Transformer
from flan_jax.optimizers import AdamW

from . import small_runs
from .small_runs import ONE

WORDS = testing.TOY_WORDS[2:]
NEXT = dict(zip(WORDS, (*WORDS[1:], WORDS[0]), strict=True))
STEPS = 60
ADAPTERS = LoraConfig(rank=4, alpha=8.0, kernels=("attention/(query|value)/", "mlp/"))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tasks():
    """The model learns 'copy X' -> X; then the same words ask for the next one."""
    testing.register_toy_task("lora_base", rows=[(f"copy {w}", w) for w in WORDS])
    testing.register_toy_task("lora_downstream", rows=[(f"copy {w}", NEXT[w]) for w in WORDS])


def dataset(name, split, pack=False):
    training = split == "train"
    fields = {"batch_size": 20 if training else len(WORDS), "shuffle": training, "seed": 0}
    lengths = {"inputs": 6 if pack else 3, "targets": 4 if pack else 2}
    return DatasetConfig(name, lengths, split, in_memory=True, pack=pack, **fields)


def make_model(adapters, optimizer=None):
    config = testing.tiny_t5_config(emb_dim=32, lora=adapters)
    return EncoderDecoderModel(Transformer(config), optimizer_def=optimizer)


def run_training(model, folder, name, steps, rate, base=None, decode=False, **options):
    return small_runs.run_training(
        model,
        folder,
        dataset(name, "train", pack=True),
        steps,
        rate,
        STEPS // 2,
        base,
        infer_eval_dataset_cfg=dataset(name, "validation") if decode else None,
        **options,
    )


# Single objects, so that what is compiled for them serves all tests.
MODEL = make_model(ADAPTERS, AdamW())
PLAIN = make_model(None, AdamW())


@pytest.fixture(scope="module")
def base(tasks, tmp_path_factory):
    """The MODEL_DIR of a trained model."""
    folder = tmp_path_factory.mktemp("base")
    result = run_training(PLAIN, folder, "lora_base", 120, 0.01)
    assert result.loss < 0.05
    return folder


def tune(base, folder, steps=STEPS, **options):
    return run_training(
        MODEL, folder, "lora_downstream", steps, 0.02, str(base), trainable="/lora_", **options
    )


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory):
    """(MODEL_DIR, result) of a run that trains adapters."""
    before = make_base(base / "checkpoint_120").fingerprint
    folder = tmp_path_factory.mktemp("tuned")
    result = tune(base, folder, decode=True, run_eval_before_training=True)
    # Whatever the run did, it left the base alone.
    assert make_base(base / "checkpoint_120").fingerprint == before
    return folder, result


def restored(model, folder):
    cfg = checkpoint.RestoreCheckpointConfig(str(folder))
    return evaluate.restore(model, ONE, cfg, lambda _: None)[0]


def without_adapters(params):
    return {
        key: without_adapters(value) if isinstance(value, dict) else value
        for key, value in params.items()
        if not key.startswith("lora_")
    }


def test_the_task_gets_better_and_the_base_weights_are_the_same_bits(base, tuned):
    folder, result = tuned
    first = result.first_evals["lora_downstream"]["exact_match"]
    assert first < 30 and result.evals["lora_downstream"]["exact_match"] >= first + 50
    found, expected = without_adapters(restored(MODEL, folder)), restored(PLAIN, base)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_holds_adapters_alone(base, tuned):
    directory = epath.Path(tuned[0]) / f"checkpoint_{STEPS}"
    names = {
        name
        for item in ("params", "train")
        for name in checkpoint.stored.saved_arrays(directory, item)
    }
    arrays = [name for name in names if name.split("/")[-1] in ("lora_a", "lora_b")]
    # Two stacks; q and v of each attention, two of each MLP; a and b; themselves and two moments.
    assert len(arrays) == (2 + 4 + 2 * 2) * 2 * 3
    assert {name for name in names if name not in arrays} == {"step", "opt_state/step"}
    info = (tuned[0] / "model-info.txt").read_text()
    assert "trained: " in info and "frozen, without gradient" in info


def test_merged_parameters_predict_the_same_without_adapters(base, tuned):
    params = restored(MODEL, tuned[0])
    model, merged = lora.merge_model(MODEL, params)
    assert model.config.lora is None and MODEL.config.lora is ADAPTERS
    batch = {
        "encoder_input_tokens": np.int32([[3, 5, 1], [3, 7, 1]]),
        "decoder_input_tokens": np.int32([[0, 6], [0, 8]]),
        "decoder_target_tokens": np.int32([[6, 1], [8, 1]]),
    }
    found, expected = (
        jax.jit(each.logits)(values, batch) for each, values in ((MODEL, params), (model, merged))
    )
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.exhaustive
def test_a_resumed_run_ends_with_the_same_bits(base, tuned, tmp_path):
    half = f"checkpoint_{STEPS // 2}"
    shutil.copytree(tuned[0] / half, tmp_path / half)
    tune(base, tmp_path)
    small_runs.assert_same_end(MODEL, (tuned[0], tmp_path), "/lora_")


def test_eval_and_infer_read_the_adapters_with_their_base(base, tuned, tmp_path):
    folder, result = tuned
    cfg = checkpoint.RestoreCheckpointConfig(str(folder))
    data = dataset("lora_downstream", "validation")
    found = evaluate.evaluate(MODEL, data, cfg, ONE, str(tmp_path), with_loss=False)
    expected = result.evals["lora_downstream"]["exact_match"]
    assert found["lora_downstream"]["exact_match"] == expected

    given = small_runs.answers(MODEL, data, cfg, [f"copy {w}" for w in WORDS], tmp_path)
    right = 100 * np.mean([a == NEXT[w] for a, w in zip(given, WORDS, strict=True)])
    assert right == pytest.approx(expected)

    hidden = base.with_name("hidden")
    base.rename(hidden)
    try:
        with pytest.raises(CheckpointError, match=r"frozen parameters are those of .*base_path"):
            restored(MODEL, folder)
    finally:
        hidden.rename(base)


@pytest.mark.exhaustive
def test_an_imported_base_keeps_its_bits_and_the_task_gets_better(base, tmp_path):
    """From our checkpoint to Hugging Face's files, back by an import, and on by adapters."""
    run, source, imported = (tmp_path / name for name in ("run", "hf", "imported"))
    shutil.copytree(base / "checkpoint_120", run / "checkpoint_120")
    (run / "config.gin").write_text(ModelFile(PLAIN.config).text("The model."))
    tokens = testing.toy_vocabulary()
    for name, content in tokenizer_files.hugging_face_files(tokens).items():
        (run / name).write_bytes(content)
    for command in (
        ["export", str(run), "--format=hf", f"--output={source}", "--no_comparison"],
        ["import", str(source), f"--model_dir={imported}", "--no_comparison"]
        + [f"--gin.network.T5Config.scan_layers={PLAIN.config.scan_layers}"],
    ):
        assert cli.main(command) == 0
    files = fingerprint_of_files(epath.Path(imported))
    shutil.rmtree(run)

    folder = tmp_path / "tuned"
    result = tune(imported, folder, decode=True, run_eval_before_training=True)
    first = result.first_evals["lora_downstream"]["exact_match"]
    assert first < 30 and result.evals["lora_downstream"]["exact_match"] >= first + 50
    assert fingerprint_of_files(epath.Path(imported)) == files
    weights = safetensors.numpy.load_file(source / "model.safetensors")
    expected = jax.tree.leaves_with_path(params_from_hf(weights, PLAIN.config))
    found = dict(jax.tree.leaves_with_path(without_adapters(restored(MODEL, folder))))
    assert len(found) == len(expected)
    for path, array in expected:
        assert np.asarray(found[path]).tobytes() == np.asarray(array).tobytes(), path

    # The import has kept which vocabulary the weights are of.
    words = [*testing.TOY_WORDS, "another"]
    testing.register_toy_task(
        "lora_longer", rows=[("copy red", "red")], vocabulary=word_vocabulary(words)
    )
    with pytest.raises(ConfigError, match=r"another vocabulary .*size 15 then, 16 now"):
        run_training(PLAIN, tmp_path / "x", "lora_longer", 1, 0.1, str(imported))


def test_another_vocabulary_than_the_checkpoints_stops_the_run(base, tuned, tmp_path):
    other = word_vocabulary(testing.TOY_WORDS[::-1])
    testing.register_toy_task("lora_other", rows=[("copy red", "red")], vocabulary=other)
    with pytest.raises(ConfigError, match=r"checkpoint_120 was trained with another vocabulary"):
        run_training(PLAIN, tmp_path / "x", "lora_other", 1, 0.1, str(base))
    cfg = checkpoint.RestoreCheckpointConfig(str(tuned[0]))
    data = dataset("lora_other", "validation")
    with pytest.raises(ConfigError, match="words of the same size with other pieces"):
        evaluate.evaluate(MODEL, data, cfg, ONE, str(tmp_path), with_loss=False)


def test_a_wrong_pattern_stops_the_run_before_any_work(base, tmp_path):
    model = make_model(LoraConfig(2, 4.0, ("attention/qery",)), AdamW())
    with pytest.raises(ConfigError, match=r"'attention/qery'.*Did you mean"):
        run_training(model, tmp_path / "x", "lora_downstream", 1, 0.1, str(base))
    assert not (tmp_path / "x").exists()
