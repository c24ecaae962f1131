"""The whole command, told to stop: exit code, last words, and the same end after a restart."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from flan_jax import checkpoint_files

ROOT = pathlib.Path(__file__).resolve().parents[2]


def start(model_dir, steps):
    command = [
        *(sys.executable, "-m", "flan_jax.cli", "train", f"--model_dir={model_dir}"),
        *("--gin_file=models/tiny.gin", "--gin_file=runs/finetune.gin"),
        '--gin.MIXTURE_OR_TASK_NAME="toy_copy"',
        '--gin.MIXTURE_OR_TASK_MODULE="tests.e2e.toy_module"',
        '--gin.TASK_FEATURE_LENGTHS={"inputs": 16, "targets": 16}',
        *(f"--gin.TRAIN_STEPS={steps}", "--gin.BATCH_SIZE=4"),
        "--gin.network.T5Config.emb_dim=16",
        "--gin.network.T5Config.num_encoder_layers=1",
        "--gin.network.T5Config.num_decoder_layers=1",
        "--gin.train_script.train.stats_period=1",
        "--gin.train_script.train.tensorboard=False",
        "--gin.train_script.train.infer_eval_dataset_cfg=None",
        "--gin.train_script.train.train_eval_dataset_cfg=None",
    ]
    flags = os.environ["XLA_FLAGS"].replace("device_count=8", "device_count=1")
    env = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
    with (model_dir.parent / "log.txt").open("a") as log:
        return subprocess.Popen(command, env=env, stdout=log, stderr=log)


def words_in(model_dir):
    return json.loads((model_dir / "last_words" / "process_0.json").read_text())


@pytest.mark.slow
def test_a_run_told_to_stop_says_so_and_goes_on(tmp_path):
    model_dir = tmp_path / "run"
    process = start(model_dir, 100_000)
    deadline = time.monotonic() + 300
    try:
        metrics = model_dir / "metrics.jsonl"
        while not (metrics.exists() and '"train"' in metrics.read_text()):
            assert process.poll() is None, (tmp_path / "log.txt").read_text()[-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert words_in(model_dir)["kind"] == "running"
        process.send_signal(signal.SIGUSR1)
        assert process.wait(timeout=120) == 6
    finally:
        process.kill()
        process.wait()
    words = words_in(model_dir)
    assert (words["kind"], words["code"]) == ("preempted", 6)
    assert "SIGUSR1" in words["message"] and words["versions"]["jax"]
    (step,) = checkpoint_files.list_steps(model_dir)
    assert words["step"] == step
    assert checkpoint_files.damage(model_dir / f"checkpoint_{step}") is None
