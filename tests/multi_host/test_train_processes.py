"""Whole runs of several processes on this machine: killed, gone on with by more, ended by one."""

import itertools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
import worker_processes

from flan_jax.checkpoint import Checkpointer
from flan_jax.errors import HostsMissingError, PeerLostError

_PERIOD = 4
_LIMIT_S = 900  # On a busy machine; some 15 s each otherwise.


class Run:
    """The processes of one attempt."""

    def __init__(
        self,
        folder: pathlib.Path,
        processes: int,
        devices: int,
        *more: str,
        command: str = "train",
    ):
        self.folder = folder
        port = worker_processes.free_port()
        several = [f"--coordinator_address=127.0.0.1:{port}", f"--num_processes={processes}"]
        self.logs = [folder.with_name(f"{processes}_{rank}.log") for rank in range(processes)]
        self.processes = []
        for rank, log in enumerate(self.logs):
            addresses = [*several, f"--process_id={rank}"] if processes > 1 else []
            with log.open("w") as out:
                settings = _settings() if command == "train" else []
                whole = [sys.executable, "-m", "flan_jax.cli", command, f"--model_dir={folder}"]
                whole += [*settings, *addresses, *more]
                self.processes.append(
                    subprocess.Popen(whole, env=_environment(devices), stdout=out, stderr=out)
                )

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *unused: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def log(self, rank: int) -> str:
        return self.logs[rank].read_text()

    def wait_for_steps_after_a_checkpoint(self) -> None:
        """Returns once some steps are logged that the newest whole checkpoint does not have."""
        begun = len(_steps(self.folder))
        deadline = time.monotonic() + _LIMIT_S
        while time.monotonic() < deadline:
            for process, log in zip(self.processes, self.logs, strict=True):
                assert process.poll() is None, log.read_text()[-3000:]
            saved = _saved(self.folder)
            steps = _steps(self.folder)
            if len(steps) >= begun + _PERIOD and saved and steps[-1][0] >= saved[-1] + 2:
                return
            time.sleep(0.05)
        raise AssertionError(self.log(0)[-3000:])

    def codes(self) -> list[int]:
        return [process.wait(timeout=_LIMIT_S) for process in self.processes]


def _settings() -> list[str]:
    return [
        "--allow_config_change",
        *("--gin_file=models/tiny.gin", "--gin_file=runs/finetune.gin"),
        '--gin.MIXTURE_OR_TASK_NAME="toy_copy"',
        '--gin.MIXTURE_OR_TASK_MODULE="tests.e2e.toy_module"',
        '--gin.TASK_FEATURE_LENGTHS={"inputs": 16, "targets": 16}',
        *("--gin.TRAIN_STEPS=100_000", "--gin.BATCH_SIZE=8", "--gin.EVAL_PERIOD=50"),
        f"--gin.utils.SaveCheckpointConfig.period={_PERIOD}",
        "--gin.network.T5Config.emb_dim=16",
        "--gin.network.T5Config.mlp_dim=16",
        "--gin.network.T5Config.num_encoder_layers=1",
        "--gin.network.T5Config.num_decoder_layers=1",
        "--gin.train_script.train.stats_period=1",
        "--gin.train_script.train.tensorboard=False",
        "--gin.train_script.train.infer_eval_num_examples=4",
    ]


def _environment(devices: int) -> dict[str, str]:
    # Compiling is what takes the time; what is compiled need not be fast.
    flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
    root = pathlib.Path(__file__).resolve().parents[2]
    return {
        **os.environ,
        "XLA_FLAGS": flags,
        "PYTHONPATH": str(root),
        "JAX_PLATFORMS": "cpu",
        "FLAN_JAX_GIN_MODULES": "tests.e2e.toy_module",
    }


def _records(folder: pathlib.Path) -> list[dict]:
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def _steps(folder: pathlib.Path) -> list[tuple[int, float]]:
    """(step, loss) of every line, those of steps done again included."""
    return [(r["step"], r["step_loss"]) for r in _records(folder) if r["kind"] == "train"]


def _saved(folder: pathlib.Path) -> list[int]:
    names = [path.parent.name for path in folder.glob("checkpoint_*/manifest.json")]
    steps = [name.removeprefix("checkpoint_") for name in names]
    return sorted(int(step) for step in steps if step.isdigit())  # Not those being written.


@pytest.mark.multi_host
@pytest.mark.exhaustive
def test_two_then_four_then_one(tmp_path):
    folder = tmp_path / "run"
    with Run(folder, 2, 2) as two:
        two.wait_for_steps_after_a_checkpoint()
        two.processes[1].send_signal(signal.SIGKILL)
        assert two.codes() == [PeerLostError.exit_code, -signal.SIGKILL]
        assert "Process 1 (" in two.log(0) and "is gone" in two.log(0)
    with Checkpointer(folder) as saver:
        assert saver.latest_valid_step() in _saved(folder)

    # The process that has JAX's coordinator is no exception.
    with Run(folder, 4, 1) as four:
        four.wait_for_steps_after_a_checkpoint()
        four.processes[0].send_signal(signal.SIGKILL)
        assert four.codes() == [-signal.SIGKILL, *[PeerLostError.exit_code] * 3]
        assert "all 4 processes are here" in four.log(3)

    last = _saved(folder)[-1] + 2 * _PERIOD
    with Run(folder, 1, 4, f"--gin.TRAIN_STEPS={last}") as one:
        assert one.codes() == [0], one.log(0)[-3000:]
        assert "resumed from" in one.log(0) and "steps redone" in one.log(0)

    # Steps done again by another number of processes have the same losses.
    losses: dict[int, list[float]] = {}
    for step, loss in _steps(folder):
        losses.setdefault(step, []).append(loss)
    again = [values for values in losses.values() if len(values) > 1]
    assert len(again) >= 4
    for values in again:
        assert values == pytest.approx([values[0]] * len(values), rel=1e-5)
    assert list(losses) == sorted(losses) and max(losses) == last
    assert [after - before for before, after in itertools.pairwise(losses)] == [1] * (last - 1)
    scores = [r for r in _records(folder) if r["kind"] == "infer_eval"]
    assert scores and all(r["num_examples"] == 4 and "error" not in r for r in scores)

    # Two processes evaluate the checkpoint as one does.
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("copy: one two three\nreverse: four five six seven\n")
    answers, scores = [], []
    for processes in (1, 2):
        output = tmp_path / f"answers_{processes}.jsonl"
        with Run(folder, processes, 4 // processes, command="eval") as run:
            assert run.codes() == [0] * processes, run.log(0)[-3000:]
            scores.append(re.findall(r"toy_copy +\d+ +(loss|exact_match) +(\S+)", run.log(0)))
        asked = [f"--prompts={prompts}", f"--output={output}", "--gin.BATCH_SIZE=4"]
        with Run(folder, processes, 4 // processes, *asked, command="infer") as run:
            assert run.codes() == [0] * processes, run.log(0)[-3000:]
        answers.append([json.loads(line) for line in output.read_text().splitlines()])
    assert len(scores[0]) == 2 and scores[0] == scores[1]
    alone, together = answers
    assert len(alone) == 2
    assert [each["prediction"] for each in alone] == [each["prediction"] for each in together]


@pytest.mark.multi_host
@pytest.mark.slow
def test_a_process_that_does_not_come_is_named(tmp_path):
    more = ("--start_report_s=1", "--start_timeout_s=3", "--num_processes=3")
    started = time.monotonic()
    with Run(tmp_path / "run", 2, 1, *more) as run:
        assert run.codes() == [HostsMissingError.exit_code] * 2
        for rank in range(2):
            assert "expected 3 processes, saw 2" in run.log(rank)
            assert "missing: process 2" in run.log(rank)
        assert "--process_id=2" in run.log(0)
    assert time.monotonic() - started < _LIMIT_S
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
