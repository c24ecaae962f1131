"""`flan-jax prepare` on Beam's runners: whoever is killed, the bytes are the same."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("array_record")
pytest.importorskip("apache_beam")

pytestmark = pytest.mark.multi_host

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
FLAGS = ["p_all", "--module=prepare_tasks", "--input_length=20", "--target_length=6"]
FLAGS += ["--shard_rows=4"]
_LIMIT_S = 300

ON_DASK = """
import os
import sys
from dask.distributed import LocalCluster
from flan_jax import cli

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        print(*(nanny.pid for nanny in cluster.workers.values()), flush=True)
        address = f"--dask_client_address={cluster.scheduler_address}"
        code = cli.main(["prepare", *sys.argv[1:], "--runner=DaskRunner", address])
        # The runner leaves its client open, which would look for the cluster when that is gone.
        os._exit(code)
"""


@pytest.fixture
def environment(tmp_path):
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"rows": 60}))
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT)]),
        "FLAN_JAX_TEST_PREPARE": str(settings),
        "JAX_PLATFORMS": "cpu",
    }


def command(folder, *flags):
    return [sys.executable, "-m", "flan_jax.cli", "prepare", *FLAGS, f"--output={folder}", *flags]


def run(argv, environment):
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=_LIMIT_S)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def wait_for_records(folder, count, process):
    """Waits until so many units are recorded; what remains is still to be done."""
    until = time.monotonic() + _LIMIT_S
    while time.monotonic() < until and process.poll() is None:
        records = [*(folder / "progress").glob("p_*[0-9].json")]
        if len(records) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"{len(records)} records; the process returned {process.poll()}")


@pytest.mark.exhaustive
def test_two_processes_killed_with_minus_9_go_on_to_the_same_bytes(environment, tmp_path):
    run(command(tmp_path / "alone", "--runner=none"), environment)
    wanted = files(tmp_path / "alone")
    folder = tmp_path / "two"
    process = subprocess.Popen(
        command(folder, "--workers=2"), env=environment, stderr=subprocess.DEVNULL
    )
    wait_for_records(folder, 3, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1.5)  # Its workers see that it is gone.
    left = len([*(folder / "progress").glob("p_*[0-9].json")])
    time.sleep(1.0)
    assert len([*(folder / "progress").glob("p_*[0-9].json")]) == left
    assert not (folder / "manifest.json").exists()
    said = run(command(folder, "--workers=2"), environment)
    assert "0 parts are done" not in said
    assert files(folder) == wanted


@pytest.mark.exhaustive
def test_dask_with_a_worker_killed_gives_the_same_bytes(environment, tmp_path):
    pytest.importorskip("distributed")
    script = tmp_path / "on_dask.py"
    script.write_text(ON_DASK)
    folder = tmp_path / "dask"
    process = subprocess.Popen(
        [sys.executable, str(script), *FLAGS, f"--output={folder}"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    first = int(process.stdout.readline().split()[0])
    wait_for_records(folder, 2, process)
    os.kill(first, signal.SIGKILL)
    _, said = process.communicate(timeout=_LIMIT_S)
    assert process.returncode == 0, said[-3000:]
    run(command(tmp_path / "alone", "--runner=none"), environment)
    assert files(folder) == files(tmp_path / "alone")
