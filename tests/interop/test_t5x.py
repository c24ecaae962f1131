"""T5X's checkpoints in and out, against what T5X itself wrote and computed."""

import copy
import dataclasses
import json
import shutil

import flax.serialization
import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
import tensorstore
from etils import epath
from t5x_sample import T5X_SAMPLE, read_t5x

from flan_jax import checkpoint, checkpoint_arrays, gin_utils
from flan_jax.checkpoint_params import restore_params
from flan_jax.errors import CheckpointError
from flan_jax.interop import storage, stores
from flan_jax.interop.export_t5x import chunk_shape
from flan_jax.models.decoder import DecoderOnlyTransformer
from flan_jax.models.decoder_config import DecoderConfig
from flan_jax.models.decoder_only import DecoderOnlyModel
from flan_jax.models.encoder_decoder import EncoderDecoderModel
from flan_jax.models.scan import to_scanned, to_unscanned
from flan_jax.models.t5 import Transformer
from flan_jax.state import TrainState

ONE_DEVICE = jax.sharding.SingleDeviceSharding(jax.devices("cpu")[0])
PACKED = ("encoder_segment_ids", "encoder_positions", "decoder_segment_ids", "decoder_positions")


def batch(path, reference, packed: bool):
    names = ["decoder_input_tokens", "decoder_target_tokens", *(PACKED if packed else ())]
    inputs = reference["packed_encoder_input_tokens" if packed else "encoder_input_tokens"]
    arrays = {name: reference[name] for name in names}
    np.savez(path, encoder_input_tokens=inputs, **arrays)
    return path


def abstract(scan_layers: bool = False):
    config = dataclasses.replace(T5X_SAMPLE, scan_layers=scan_layers)
    return EncoderDecoderModel(Transformer(config)).abstract_params(), config


def restored(path, scan_layers: bool = False, **options):
    """Parameters by name, read without a model around them."""
    params, config = abstract(scan_layers)
    found = restore_params(path, params, ONE_DEVICE, config=config, **options)
    return jax.device_get(found)


def assert_same(tree, expected):
    found = checkpoint_arrays.flat(tree)
    expected = checkpoint_arrays.flat(expected)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert np.asarray(found[name]).tobytes() == np.asarray(array).tobytes(), name


@pytest.fixture
def reference(t5x_sample):
    with np.load(t5x_sample / "reference_logits.npz") as file:
        return dict(file)


@pytest.fixture
def sample(t5x_sample):
    """Its parameters: nested numpy arrays, unscanned."""
    arrays = read_t5x(t5x_sample / "legacy" / "checkpoint_20")
    named = {n.removeprefix("target/"): a for n, a in arrays.items() if n.startswith("target/")}
    return checkpoint_arrays.nested(named)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["legacy", "orbax/checkpoint_20"])
def test_logits_of_t5x_through_the_command(run, t5x_sample, reference, tmp_path, kind, packed):
    tokens = batch(tmp_path / "tokens.npz", reference, packed)
    argv = (f"--checkpoint={t5x_sample / kind}", f"--batch={tokens}", "--output")
    run("logits", *argv, tmp_path / "out.npz")
    expected = reference["packed_logits" if packed else "logits"]
    logits = np.load(tmp_path / "out.npz")["logits"]
    np.testing.assert_allclose(logits, expected, atol=1e-4, rtol=0)
    assert np.std(expected) > 0.3


@pytest.mark.parametrize("scan_layers", [False, True])
@pytest.mark.parametrize("kind", ["legacy/checkpoint_20", "orbax"])
def test_both_formats_hold_the_same_bits(t5x_sample, sample, kind, scan_layers):
    found = restored(t5x_sample / kind, scan_layers)
    assert_same(to_unscanned(found) if scan_layers else found, sample)


def test_import_makes_a_checkpoint_with_its_model(run, t5x_sample, reference, tmp_path):
    said = run("import", t5x_sample / "orbax", f"--model_dir={tmp_path / 'run'}")
    assert "largest difference of logits from a direct reading" in said
    assert (tmp_path / "run/checkpoint_20/manifest.json").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]
    config = (tmp_path / "run/config.gin").read_text()
    assert "VOCABULARY = @seqio.ByteVocabulary()" in config and "emb_dim = 128" in config
    tokens = batch(tmp_path / "tokens.npz", reference, packed=False)
    argv = (f"--checkpoint={tmp_path / 'run'}", f"--batch={tokens}", "--output")
    run("logits", *argv, tmp_path / "out.npz")
    logits = np.load(tmp_path / "out.npz")["logits"]
    np.testing.assert_allclose(logits, reference["logits"], atol=1e-4, rtol=0)


def test_an_imported_model_answers(run, fail, t5x_sample, tmp_path):
    """Its vocabulary is that of T5X's config.gin; nothing tells its data."""
    run("import", t5x_sample / "legacy", f"--model_dir={tmp_path / 'run'}", "--no_comparison")
    (tmp_path / "prompts.txt").write_text("one two\n")
    lengths = "--gin.TASK_FEATURE_LENGTHS={'inputs': 16, 'targets': 8}"
    said = run("infer", tmp_path / "run", f"--prompts={tmp_path / 'prompts.txt'}", lengths)
    answer = json.loads(said.splitlines()[-1])
    assert answer["inputs"] == "one two" and np.isfinite(answer["score"])
    assert "MIXTURE_OR_TASK_NAME is required" in fail("eval", tmp_path / "run")


def test_an_imported_checkpoint_is_not_a_run(run, t5x_sample, tmp_path):
    run("import", t5x_sample / "legacy", f"--model_dir={tmp_path / 'run'}", "--no_comparison")
    saver = checkpoint.Checkpointer(tmp_path / "run")
    with pytest.raises(CheckpointError, match="a place to start from, not a run to go on with"):
        saver.restore({}, ONE_DEVICE)


# -------------------------------------------------------------------- forms of the format


def write_msgpack(folder, target, state=None, version=3):
    folder.mkdir(parents=True)
    tree = {"target": target, "state": state or {"step": np.asarray(20, np.int32)}}
    content = {"version": version, "optimizer": tree}
    (folder / "checkpoint").write_bytes(flax.serialization.msgpack_serialize(content))
    return folder


def rewritten(t5x_sample, folder, change):
    """The sample with `change(spec)` applied to each description of an array."""
    shutil.copytree(t5x_sample / "legacy/checkpoint_20", folder)
    folder.chmod(0o755)
    path = folder / "checkpoint"
    path.chmod(0o644)
    content = flax.serialization.msgpack_restore(path.read_bytes())

    def walk(node):
        if isinstance(node, dict):
            for value in node.values():
                walk(value)
            if "kvstore" in node:
                change(node)

    walk(content)
    path.write_bytes(flax.serialization.msgpack_serialize(content))
    return folder


def as_gfile(spec):
    spec["kvstore"]["driver"] = "gfile"


def as_gcs(spec):
    spec["kvstore"] |= {"driver": "gcs", "bucket": "t5x-dummy-bucket"}


def with_the_path_outside(spec):
    spec["path"] = spec["kvstore"].pop("path")


@pytest.mark.parametrize("change", [as_gfile, as_gcs, with_the_path_outside])
def test_specs_of_other_drives_and_versions(t5x_sample, sample, tmp_path, change):
    assert_same(restored(rewritten(t5x_sample, tmp_path / "checkpoint_1", change)), sample)


def test_an_unknown_drive_is_refused(t5x_sample, tmp_path):
    folder = rewritten(
        t5x_sample, tmp_path / "checkpoint_1", lambda spec: spec["kvstore"].update(driver="http")
    )
    with pytest.raises(CheckpointError, match="stored with driver 'http'"):
        restored(folder)


@pytest.mark.parametrize("scan_layers", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_inline_arrays_scanned_or_not_and_no_optimizer(tmp_path, sample, axis, scan_layers):
    stored = copy.deepcopy(sample) if axis is None else to_scanned(sample, axis)
    found = restored(write_msgpack(tmp_path / "checkpoint_7", stored), scan_layers)
    assert_same(to_unscanned(found) if scan_layers else found, sample)


def test_a_table_per_layer_is_shared_only_if_all_are_equal(tmp_path, sample):
    stored = to_scanned(sample)
    for stack in ("encoder", "decoder"):
        table = stored[stack].pop("relpos_bias")["rel_embedding"]
        stored[stack][stack]["relpos_bias"] = {"rel_embedding": np.stack([table, table], 1)}
    assert_same(restored(write_msgpack(tmp_path / "checkpoint_1", stored)), sample)
    stored["decoder"]["decoder"]["relpos_bias"]["rel_embedding"][0, 1, 0] += 1
    with pytest.raises(CheckpointError, match="table of relative positions of its own"):
        restored(write_msgpack(tmp_path / "checkpoint_2", stored))


def test_arrays_that_do_not_fit_are_named(tmp_path, sample):
    del sample["encoder"]["layers_1"]["mlp"]["wi_0"]
    sample["decoder"]["layers_9"] = sample["decoder"]["layers_0"]
    sample["token_embedder"]["embedding"] = np.zeros((384, 64), np.float32)
    with pytest.raises(CheckpointError) as error:
        restored(write_msgpack(tmp_path / "checkpoint_1", sample))
    text = str(error.value)
    assert "target/encoder/layers_1/mlp/wi_0/kernel: missing" in text
    assert "target/decoder/layers_9/mlp/wo/kernel: no place in this model" in text
    assert "target/token_embedder/embedding: shape (384, 64)" in text


def test_another_version_is_refused(tmp_path, sample):
    with pytest.raises(CheckpointError, match="has version 2 .*expected T5X's version 3"):
        restored(write_msgpack(tmp_path / "checkpoint_1", sample, version=2))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("checkpoint", "not a whole msgpack file"),
        ("target.encoder.layers_0.mlp.wi_0.kernel/0.0", "wi_0/kernel cannot be read"),
        ("target.encoder.layers_0.mlp.wi_0.kernel/.zarray", "wi_0/kernel cannot be opened"),
    ],
)
@pytest.mark.parametrize("cut", [True, False])
def test_damaged_files(t5x_sample, tmp_path, file, message, cut):
    folder = tmp_path / "checkpoint_20"
    shutil.copytree(t5x_sample / "legacy/checkpoint_20", folder, copy_function=shutil.copyfile)
    path = folder / file
    path.parent.chmod(0o755)
    if cut:
        path.write_bytes(path.read_bytes()[:40])
    else:
        path.unlink()
        message = message if "/" in file else "holds no checkpoint"
    with pytest.raises(CheckpointError, match=message):
        restored(folder)


# --------------------------------------------------------------------------------- export


def save_ours(folder, t5x_arrays, sample):
    """The sample as a checkpoint of ours with the optimizer's state, and its config.gin."""
    slots = {
        name.removeprefix("state/param_states/"): array
        for name, array in t5x_arrays.items()
        if name.startswith("state/param_states/")
    }
    step = np.asarray(20, np.int32)
    optimizer = {"step": step, "param_states": checkpoint_arrays.nested(slots)}
    state = jax.tree.map(jax.numpy.asarray, TrainState(step, sample, optimizer))
    with checkpoint.Checkpointer(folder) as saver:
        saver.save(20, state, b"", {}, force=True)
    fields = dataclasses.asdict(T5X_SAMPLE)
    lines = [f"network.T5Config.{name} = {value!r}" for name, value in fields.items()]
    gin_utils.parse(
        [],
        [
            "MODEL = @models.EncoderDecoderModel()",
            "models.EncoderDecoderModel.module = @network.Transformer()",
            "network.Transformer.config = @network.T5Config()",
            *lines,
        ],
        entry="%MODEL",
    )
    (folder / "config.gin").write_text(gin_utils.effective_config_str())
    gin_utils.clear()


def specs(checkpoint_dir):
    """Name -> description or (shape, dtype) of every leaf of the msgpack file."""
    content = flax.serialization.msgpack_restore((checkpoint_dir / "checkpoint").read_bytes())
    assert content["version"] == 3
    found = {}

    def walk(node, prefix):
        if isinstance(node, dict) and "kvstore" not in node:
            for key, value in node.items():
                walk(value, f"{prefix}{key}/")
        else:
            found[prefix] = node if isinstance(node, dict) else (node.shape, str(node.dtype))

    walk(content["optimizer"], "")
    return found


def test_export_has_the_layout_of_the_sample(run, t5x_sample, sample, tmp_path):
    original = t5x_sample / "legacy/checkpoint_20"
    arrays = read_t5x(original)
    save_ours(tmp_path / "run", arrays, sample)
    said = run("export", tmp_path / "run", "--format=t5x", f"--output={tmp_path / 't5x'}")
    assert "optimizer with the state of Adafactor" in said
    written = tmp_path / "t5x/checkpoint_20"
    assert specs(written) == specs(original)
    folders = sorted(path.name for path in original.iterdir())
    assert sorted(path.name for path in written.iterdir()) == folders
    for folder in folders:
        if folder != "checkpoint":
            files = sorted(path.name for path in (original / folder).iterdir())
            assert sorted(path.name for path in (written / folder).iterdir()) == files
            layouts = [
                json.loads((place / folder / ".zarray").read_text())
                for place in (written, original)
            ]
            assert layouts[0] == layouts[1]
    found = read_t5x(written)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].tobytes() == array.tobytes(), name


def test_export_of_parameters_alone_says_so(run, t5x_sample, sample, tmp_path):
    run("import", t5x_sample / "legacy", f"--model_dir={tmp_path / 'run'}", "--no_comparison")
    argv = ("--format=t5x", f"--output={tmp_path / 't5x'}", "--dtype=bfloat16")
    said = run("export", tmp_path / "run", *argv, "--no_comparison")
    assert "optimizer step alone: the layers are scanned" in said
    found = read_t5x(tmp_path / "t5x/checkpoint_20")
    assert found["state/step"] == 20
    expected = checkpoint_arrays.flat(sample, "target/")
    assert set(found) == {*expected, "state/step"}
    for name, array in expected.items():
        assert found[name].dtype.name == "bfloat16"
        assert found[name].tobytes() == array.astype(found[name].dtype).tobytes()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((384, 128), [384, 128]),
        ((4096, 10240), [4096, 2560]),
        ((250112, 4096), [3908, 4096]),
        ((4096, 24, 10240), [512, 24, 1024]),
        ((65_537, 300), [1, 300]),
    ],
)
def test_chunks_are_at_most_64_mib(shape, expected):
    """Worked out by hand: the longest side is cut to its next divisor until it is small enough."""
    assert chunk_shape(shape, 4) == expected


def test_t5x_names_are_those_of_stores(t5x_sample):
    source = stores.open_t5x(t5x_sample / "legacy/checkpoint_20")
    assert len(source.arrays) == 261
    assert source.arrays["state/step"].shape == ()


# --------------------------------------------------------------------- other forms of Orbax


@pytest.mark.parametrize(("ocdbt", "zarr3"), [(False, False), (True, True)])
def test_items_of_orbax_with_other_storage(tmp_path, sample, ocdbt, zarr3):
    sample["token_embedder"]["embedding"][:] = 0  # Written although it is all zeros, or filled in.
    tree = {"target": sample, "state": {"step": np.asarray(20, np.int32)}}
    handler = ocp.PyTreeCheckpointHandler(use_ocdbt=ocdbt, use_zarr3=zarr3)
    with ocp.Checkpointer(handler) as writer:
        writer.save(tmp_path / "checkpoint_20/state", args=ocp.args.PyTreeSave(tree))
    assert_same(restored(tmp_path), sample)


# ---------------------------------------------------------------------- decoder-only models

_T5X_GIN = """
from __gin__ import dynamic_registration
from t5x import models
from t5x.examples.decoder_only import network
DROPOUT_RATE = 0.25
MODEL = @models.DecoderOnlyModel()
VOCABULARY = @seqio.ByteVocabulary()
models.DecoderOnlyModel.module = @network.DecoderWrapper()
models.DecoderOnlyModel.vocabulary = %VOCABULARY
seqio.ByteVocabulary.extra_ids = 3
network.DecoderWrapper.config = @network.TransformerConfig()
network.TransformerConfig.vocab_size = 384
network.TransformerConfig.emb_dim = 32
network.TransformerConfig.num_heads = 4
network.TransformerConfig.num_layers = 3
network.TransformerConfig.head_dim = 8
network.TransformerConfig.mlp_dim = 48
network.TransformerConfig.dropout_rate = %DROPOUT_RATE
"""


def test_a_decoder_only_run_of_t5x(run, tmp_path):
    """There and back; what its config.gin leaves out has T5X's defaults: relu, untied."""
    config = DecoderConfig(
        vocab_size=384,
        emb_dim=32,
        num_heads=4,
        num_layers=3,
        head_dim=8,
        mlp_dim=48,
        mlp_activations=("relu",),
        logits_via_embedding=False,
        scan_layers=False,
    )
    abstract = DecoderOnlyModel(DecoderOnlyTransformer(config)).abstract_params()
    rng = np.random.default_rng(3)
    params = jax.tree.map(lambda x: rng.standard_normal(x.shape).astype(x.dtype), abstract)
    write_msgpack(tmp_path / "t5x/checkpoint_5", params)
    (tmp_path / "t5x/config.gin").write_text(_T5X_GIN)
    said = run("import", tmp_path / "t5x", f"--model_dir={tmp_path / 'run'}")
    assert "largest difference of logits from a direct reading" in said
    text = (tmp_path / "run/config.gin").read_text()
    for line in (
        "DROPOUT_RATE = 0.25",
        "models.DecoderOnlyModel:",
        "  vocabulary = %VOCABULARY",
        "seqio.ByteVocabulary.extra_ids = 3",
        "  mlp_activations = ('relu',)",
        "  logits_via_embedding = False",
    ):
        assert f"{line}\n" in text
    run("export", tmp_path / "run", "--format=t5x", f"--output={tmp_path / 'back'}")
    found = read_t5x(tmp_path / "back/checkpoint_5")
    assert found.pop("state/step") == 5
    assert_same(checkpoint_arrays.nested(found)["target"], params)


# ----------------------------------------------------------------------------------- buckets


def test_arrays_in_a_bucket_are_named_as_tensorstore_wants(t5x_sample):
    """Nothing is read: there is no bucket here."""
    packed = stores.read_msgpack(epath.Path(t5x_sample / "legacy/checkpoint_20/checkpoint"))
    spec = packed["optimizer"]["target"]["token_embedder"]["embedding"]
    placed = stores._placed(spec, epath.Path("gs://bucket/runs/checkpoint_20"), "x")
    path = "runs/checkpoint_20/target.token_embedder.embedding/"
    assert placed["kvstore"] == {"driver": "gcs", "bucket": "bucket", "path": path}
    assert tensorstore.Spec(placed).kvstore.path == path
    with pytest.raises(CheckpointError, match="expected a local path, gs:// or s3://"):
        storage.kvstore("ftp://host/checkpoint_1")
