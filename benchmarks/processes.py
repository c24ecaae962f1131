"""Measuring each side of a benchmark in a process of its own."""

import json
import os
import subprocess
import sys


def measure(module: str, **flags: str | int) -> dict[str, float]:
    """Runs `python -m module --name=value ...` on the CPU; returns the JSON of its last line.

    Raises:
      RuntimeError: it failed; with the end of what it wrote.
    """
    command = [
        sys.executable,
        "-m",
        module,
        *(f"--{name}={value}" for name, value in flags.items()),
    ]
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[2:])} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Returns each figure's median; of an even number of rounds the upper one."""
    return {name: sorted(one[name] for one in rounds)[len(rounds) // 2] for name in rounds[0]}
