"""A step that is not finite, and steps left out, in whole runs of a tiny model."""

import pytest

from flan_jax import checkpoint_arrays, checkpoint_files, telemetry, testing
from flan_jax.data.config import DatasetConfig
from flan_jax.errors import NanError
from flan_jax.models.encoder_decoder import EncoderDecoderModel
from flan_jax.models.t5 import Transformer
from flan_jax.optimizers import SGD

from .small_runs import assert_same_end, run_training

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data():
    testing.register_toy_task("bad_steps", 40)
    lengths = {"inputs": 8, "targets": 8}
    return DatasetConfig(
        "bad_steps", lengths, "train", batch_size=4, shuffle=True, pack=False, seed=0
    )


@pytest.fixture(scope="module")
def model():
    config = testing.tiny_t5_config(
        emb_dim=8, num_heads=1, num_encoder_layers=1, num_decoder_layers=1, dropout_rate=0.1
    )
    return EncoderDecoderModel(Transformer(config), optimizer_def=SGD())


def test_nan_names_the_layer_and_the_rows(model, data, tmp_path):
    # The first update is so large that its norm overflows.
    with pytest.raises(NanError) as caught:
        run_training(model, tmp_path, data, 4, 1e37, 8)
    message = str(caught.value)
    assert "of step 2 is not finite" in message or "of step 1 is not finite" in message
    assert "First not finite: inf from " in message, message
    assert "bad_steps" in message and "row 0 (" in message
    assert "skip_steps = [(" in message


@pytest.mark.exhaustive
def test_steps_left_out_afterwards_as_if_from_the_start(model, data, tmp_path):
    early, late = tmp_path / "early", tmp_path / "late"
    run_training(model, early, data, 6, 0.1, 2, skip_steps=[(3, 4)])
    run_training(model, late, data, 6, 0.1, 2)
    run_training(model, late, data, 6, 0.1, 2, skip_steps=[(3, 4)])
    assert_same_end(model, (early, late))
    assert checkpoint_files.list_steps(late) == [2, 4, 6]
    assert {p.name for p in late.glob("*.superseded")} == {
        "checkpoint_4.superseded",
        "checkpoint_6.superseded",
    }
    extra = checkpoint_arrays.read_meta(checkpoint_files.step_dir(late, 6))["extra"]
    assert extra["skipped_steps"] == [[3, 4]]
    events = [r for r in telemetry.read_metrics(late) if r.get("name") == "skipped"]
    assert [event["windows"] for event in events] == [[[3, 4]]]
