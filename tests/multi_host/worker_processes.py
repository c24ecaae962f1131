"""Several processes on this machine that are one test's run."""

import pathlib
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence

HERE = pathlib.Path(__file__).parent


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def run(
    script: str,
    processes: int,
    arguments: Sequence[object],
    *,
    logs: pathlib.Path,
    environment: Mapping[str, str],
    limit_s: float,
) -> None:
    """Runs `script RANK *arguments` once for each rank; fails with the logs where one fails."""
    files = [(logs / f"log_{rank}").open("w+") for rank in range(processes)]
    workers = [
        subprocess.Popen(
            [sys.executable, str(HERE / script), str(rank), *map(str, arguments)],
            env=environment,
            stdout=log,
            stderr=log,
        )
        for rank, log in enumerate(files)
    ]
    try:
        codes = [process.wait(timeout=limit_s) for process in workers]
    finally:
        for process in workers:
            process.kill()
            process.wait()
    for log in files:
        log.seek(0)
    assert codes == [0] * processes, "\n".join(log.read()[-3000:] for log in files)
    for log in files:
        log.close()
