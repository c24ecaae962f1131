"""A copy of the scripts in a small git checkout, and a cloud that exists only in a folder."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
from fake_gcloud import CLIENT, FakeGcloud, write_program

ROOT = pathlib.Path(__file__).parents[2]

# The command that runs on a machine: ends with the code in ~/finish, with 6 when told to stop.
FLAN_JAX = """#!/bin/bash
echo "$@"
echo "port=$JAX_COORDINATOR_PORT flavour=$FLAVOUR"
trap 'exit 6' TERM
while [ ! -f "$HOME/finish" ]; do sleep 0.02; done
exit "$(cat "$HOME/finish")"
"""

# Python on a machine: makes an environment whose pip only notes its arguments.
PYTHON = """#!/bin/bash
if [ "$1 $2" = "-m venv" ]; then
  mkdir -p "$3/bin"
  cp "$0" "$3/bin/python"
  cp "$(dirname "$0")/flan-jax" "$3/bin/flan-jax"
elif [ "$1 $2" = "-m pip" ]; then
  echo "$@" >>"$HOME/pip"
  if [ -f "$HOME/pip_fails" ]; then
    echo "ERROR: No matching distribution found for libtpu"
    exit 1
  fi
fi
"""

# Time passes only while a script sleeps.
SLEEP = """#!/bin/bash
echo "$1" >>"$FAKE_CLOUD/sleeps"
echo $(($(cat "$FAKE_CLOUD/clock") + $1)) >"$FAKE_CLOUD/clock"
/bin/sleep 0.05
"""
DATE = """#!/bin/bash
cat "$FAKE_CLOUD/clock"
"""


class Cloud:
    """The scripts in a checkout of their own, with fakes first on PATH."""

    def __init__(self, folder):
        self.folder = folder
        self.checkout = folder / "checkout"
        self.env = {
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
            "HOME": str(folder),
            "FAKE_CLOUD": str(folder),
            "FLAN_JAX_TPU_RECORDS": str(folder / "records"),
        }

    def fill(self):
        shutil.copytree(ROOT / "tpu_scripts", self.checkout / "tpu_scripts")
        for name in ("setup.py", "constraints.txt"):
            shutil.copy(ROOT / name, self.checkout)
        self.git("init", "--quiet", "--template=")
        self.commit()
        write_program(self.folder / "bin" / "sleep", SLEEP)
        write_program(self.folder / "bin" / "date", DATE)
        write_program(self.folder / "machine_bin" / "python3.13", PYTHON)
        write_program(self.folder / "machine_bin" / "flan-jax", FLAN_JAX)
        (self.folder / "clock").write_text("1000000")

    def git(self, *args):
        name = ["-c", "user.name=t", "-c", "user.email=t@t"]
        command = ["git", "-C", str(self.checkout), *name, *args]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=c")

    def run(self, script, *args, code=0, stdin=subprocess.DEVNULL):
        """Runs a script and returns all it printed; its exit code has to be `code`."""
        command = [str(self.checkout / "tpu_scripts" / script), *map(str, args)]
        done = subprocess.run(
            command,
            env=self.env,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,  # On a crowded machine.
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def calls(self, *words):
        """The calls of gcloud so far whose words begin with these, without `compute tpus`."""
        return [each for each in self.gcloud.calls if each[: len(words)] == list(words)]

    def sleeps(self):
        path = self.folder / "sleeps"
        return [int(each) for each in path.read_text().split()] if path.exists() else []

    def machine(self, name):
        return self.folder / "machines" / name

    def finish(self, code, *names):
        """Has the command on these machines (all by default) end with `code`, and waits for it."""
        homes = [self.machine(name) for name in names] or (self.folder / "machines").iterdir()
        for home in homes:
            (home / "finish").write_text(str(code))
            self.wait_for(home, "exit_code")

    def clear_finish(self):
        for path in (self.folder / "machines").glob("*/finish"):
            path.unlink()

    def finish_when_launched(self, code):
        """Has the commands that are launched from now on end with `code` at once."""
        self.gcloud.before_start = lambda home: (home / "finish").write_text(str(code))
        self.gcloud.before_start_of = "all"

    def pass_time(self, seconds):
        clock = self.folder / "clock"
        clock.write_text(str(int(clock.read_text()) + seconds))

    def wait_for(self, home, name):
        end = time.monotonic() + 20
        while not list(home.glob(f"flan_jax_runs/*/current/{name}")):
            assert time.monotonic() < end, f"no {name} in {home}"
            time.sleep(0.01)

    def open(self):
        self.gcloud = FakeGcloud(self.folder)
        client = CLIENT.replace("@PORT@", str(self.gcloud.port))
        write_program(self.folder / "bin" / "gcloud", client)

    def close(self):
        self.gcloud.close()
        self.end_commands()

    def end_commands(self):
        """Ends all that runs on the machines, as pulling their plug would."""
        for path in self.folder.glob("machines/*/flan_jax_runs/*/*/pid"):
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.killpg(int(path.read_text()), signal.SIGKILL)


@pytest.fixture(scope="session")
def filled_folder(tmp_path_factory):
    if shutil.which("git") is None or not pathlib.Path("/proc/self/cmdline").exists():
        pytest.skip("the machines are played by Linux processes, what is sent comes from git")
    made = Cloud(tmp_path_factory.mktemp("cloud"))
    made.fill()
    return made.folder


@pytest.fixture
def fake_cloud(filled_folder, tmp_path):
    folder = tmp_path / "cloud"
    shutil.copytree(filled_folder, folder)
    made = Cloud(folder)
    made.open()
    yield made
    made.close()


@pytest.fixture
def booked(fake_cloud):
    """The cloud with a slice of two machines booked as `run`."""
    fake_cloud.run("create.sh", "run", "--slice=v4-16", "--zone=z")
    fake_cloud.gcloud.calls.clear()
    return fake_cloud


@pytest.fixture
def booked_two(fake_cloud):
    """The cloud with two slices of two machines each booked as `run`."""
    fake_cloud.run("create.sh", "run", "--slice=v4-16", "--slices=2", "--zone=z")
    fake_cloud.gcloud.calls.clear()
    return fake_cloud
