"""kill -9 in the middle of a run, the same command again: not one bit differs."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from etils import epath

from flan_jax import checkpoint_arrays, checkpoint_files, telemetry, testing
from flan_jax.data.config import DatasetConfig
from flan_jax.evaluations import Evaluations
from flan_jax.models.encoder_decoder import EncoderDecoderModel
from flan_jax.models.t5 import Transformer
from flan_jax.optimizers import SGD

from .small_runs import run_training

_STEPS, _PERIOD = 30, 8


def _command(model_dir: pathlib.Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "flan_jax.cli", "train"),
        *("--gin_file=models/tiny.gin", "--gin_file=runs/finetune.gin"),
        '--gin.MIXTURE_OR_TASK_NAME="toy_copy"',
        '--gin.MIXTURE_OR_TASK_MODULE="tests.e2e.toy_module"',
        '--gin.TASK_FEATURE_LENGTHS={"inputs": 16, "targets": 16}',
        *(f"--gin.TRAIN_STEPS={_STEPS}", "--gin.BATCH_SIZE=8", "--gin.DROPOUT_RATE=0.1"),
        f"--gin.utils.SaveCheckpointConfig.period={_PERIOD}",
        "--gin.network.T5Config.emb_dim=32",
        "--gin.network.T5Config.mlp_dim=64",
        "--gin.network.T5Config.num_encoder_layers=1",
        "--gin.network.T5Config.num_decoder_layers=1",
        "--gin.train_script.train.stats_period=1",
        "--gin.train_script.train.tensorboard=False",
        "--gin.train_script.train.infer_eval_dataset_cfg=None",
        f"--model_dir={model_dir}",
        *more,
    ]


def _environment() -> dict[str, str]:
    flags = os.environ["XLA_FLAGS"].replace("device_count=8", "device_count=2")
    root = pathlib.Path(__file__).resolve().parents[2]
    return {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": str(root)}


def _finish(command: list[str]) -> str:
    done = subprocess.run(
        command, env=_environment(), capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _steps(model_dir: pathlib.Path) -> dict[int, dict[str, float]]:
    timings = {"time_s", "step_s", "tokens_per_s", "padded_tokens_per_s", "data_wait", "mfu"}
    return {
        record["step"]: {name: value for name, value in record.items() if name not in timings}
        for record in telemetry.read_metrics(model_dir)
        if record["kind"] == "train"
    }


def _arrays(model_dir: pathlib.Path) -> dict[str, np.ndarray]:
    directory = epath.Path(model_dir) / f"checkpoint_{_STEPS}"
    found = {}
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    for item in ("params", "train"):
        saved = checkpoint_arrays.saved_arrays(directory, item)
        wanted = {name: jax.ShapeDtypeStruct(*saved[name], sharding=here) for name in saved}
        arrays = checkpoint_arrays.read(directory, item, checkpoint_arrays.nested(wanted))
        found |= {name: np.asarray(array) for name, array in checkpoint_arrays.flat(arrays).items()}
    return found


def _kill_at(model_dir: pathlib.Path, step: int) -> None:
    """Starts a run and kills it without warning once `step` has been logged."""
    process = subprocess.Popen(
        _command(model_dir),
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 400
    try:
        while max(_steps(model_dir), default=0) < step:
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline, "the run made no progress"
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_killed_run_resumes_bit_identically(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    _finish(_command(whole))
    _kill_at(killed, 2 * _PERIOD + 3)
    output = _finish(_command(killed))
    assert "resumed from" in output
    assert _steps(killed) == _steps(whole)
    expected, found = _arrays(whole), _arrays(killed)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name, strict=True)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_other_configuration_is_refused_and_shown(tmp_path):
    _finish(_command(tmp_path, "--gin.TRAIN_STEPS=2"))
    again = _command(tmp_path, "--gin.TRAIN_STEPS=4")
    refused = subprocess.run(again, env=_environment(), capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "TRAIN_STEPS: 2 -> 4" in refused.stderr
    assert max(_steps(tmp_path)) == 2
    _finish([*again, "--allow_config_change"])
    assert max(_steps(tmp_path)) == 4
    stats = json.loads((tmp_path / "data_stats.json").read_text())
    assert stats["batches"] == 4


@pytest.mark.slow
@pytest.mark.parametrize("lost", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_an_evaluation_cut_off_is_made_up_for_once(tmp_path, monkeypatch, lost):
    """The state of its step is saved already; one that was recorded is not done again."""
    testing.register_toy_task("cut_off", 20, splits=("train", "validation"))
    config = testing.tiny_t5_config(
        emb_dim=8, num_heads=1, num_encoder_layers=1, num_decoder_layers=1
    )
    model = EncoderDecoderModel(Transformer(config), optimizer_def=SGD())
    lengths = {"inputs": 8, "targets": 8}
    data = DatasetConfig("cut_off", lengths, "train", batch_size=4, shuffle=True, seed=0)
    rows = DatasetConfig("cut_off", lengths, "validation", batch_size=4, shuffle=False, seed=0)
    real, asked = Evaluations.run, []

    def run(self, params, step, record):
        asked.append(step)
        if asked == [2, 4]:
            raise KeyboardInterrupt
        return real(self, params, step, record)

    monkeypatch.setattr(Evaluations, "run", run)
    evaluation = {"train_eval_dataset_cfg": rows, "eval_period": 2}
    with pytest.raises(KeyboardInterrupt):
        run_training(model, tmp_path, data, 6, 0.1, 2, **evaluation)
    assert checkpoint_files.list_steps(tmp_path) == [2, 4]
    if lost:  # Then the run goes on from step 2, whose figures are there.
        checkpoint_files.step_dir(tmp_path, 4).rmtree()
    run_training(model, tmp_path, data, 6, 0.1, 2, **evaluation)
    assert asked == [2, 4, 4, 6]
    records = [r["step"] for r in telemetry.read_metrics(tmp_path) if r["kind"] == "train_eval"]
    assert sorted(records) == [2, 4, 6]
