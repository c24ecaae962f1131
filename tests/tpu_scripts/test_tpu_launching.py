"""launch.sh, check_ports.sh and logs.sh: the machines' side runs for real, in a folder for each."""

import hashlib
import re
import socket

import pytest

COMMAND = ("--", "flan-jax", "train", "--multihost", "--gin.MODEL_DIR='\"gs://b/run\"'")
MACHINES = ("run-0-0", "run-0-1", "run-1-0", "run-1-1")


@pytest.fixture
def port():
    """A port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def reported(cloud, machine):
    text = (cloud.machine(machine) / "flan_jax_runs/run/current/reported").read_text()
    return dict(word.split("=") for word in text.split())


def test_all_machines_run_the_same(booked_two, port):
    text = booked_two.run(
        "launch.sh",
        "run",
        f"--coordinator-port={port}",
        "--env=FLAVOUR=a 'b' $c",
        *COMMAND,
    )
    commit = booked_two.git("rev-parse", "HEAD")
    assert "4 of 4 machines report" in text
    assert f"port {port} of run-0 worker 0 is reached from all 4 machines" in text
    markers = [reported(booked_two, machine) for machine in MACHINES]
    assert [each["process"] for each in markers] == ["0", "1", "2", "3"]
    assert {each["commit"] for each in markers} == {commit}
    # The same hash, made here of what the record holds.
    config = booked_two.folder / "records/run/launch/config"
    expected = hashlib.sha256(config.read_bytes()).hexdigest()[:16]
    assert {each["config"] for each in markers} == {expected}
    for machine in MACHINES:
        home = booked_two.machine(machine)
        assert (home / "flan_jax_runs/run/current/src/tpu_scripts/launch.sh").exists()
        (pip,) = (home / "pip").read_text().splitlines()
        assert re.search(r"install --quiet --constraint \S+/constraints.txt \S+/src\[tpu\]$", pip)
        booked_two.wait_for(home, "log")
    log = (booked_two.machine("run-1-1") / "flan_jax_runs/run/current/log").read_text()
    assert "train --multihost --gin.MODEL_DIR='\"gs://b/run\"'" in log
    assert f"port={port} flavour=a 'b' $c" in log

    # Again: nothing is installed or started anew.
    before = reported(booked_two, "run-1-1")["pid"]
    again = ("launch.sh", "run", "--no-port-check", f"--coordinator-port={port}")
    booked_two.run(*again, "--env=FLAVOUR=a 'b' $c", *COMMAND)
    assert reported(booked_two, "run-1-1")["pid"] == before
    assert len((booked_two.machine("run-1-1") / "pip").read_text().splitlines()) == 1

    status = booked_two.run("status.sh", "run")
    assert "4 of 4 run or have finished." in status
    assert len(re.findall(r"^[01] +[01] +running +- ", status, re.MULTILINE)) == 4
    assert "--multihost" in booked_two.run("logs.sh", "run", "--slice=1", "--worker=1")
    assert booked_two.run("logs.sh", "run", "--worker=all").count("--multihost") == 4


@pytest.mark.exhaustive
def test_another_configuration_is_refused_until_it_replaces(booked):
    booked.run("launch.sh", "run", "--no-port-check", *COMMAND)
    first = reported(booked, "run-0")["config"]
    other = ("--no-port-check", *COMMAND, "--gin.TRAIN_STEPS=1")
    text = booked.run("launch.sh", "run", *other, code=1)
    assert f"configuration {first} is running here" in text and "--replace" in text
    assert reported(booked, "run-0")["config"] == first
    booked.run("launch.sh", "run", "--replace", *other)
    assert reported(booked, "run-0")["config"] != first
    # The first run was told to stop, saved, and its exit code was kept.
    assert (booked.machine("run-0") / f"flan_jax_runs/run/{first}/exit_code").read_text() == "6\n"


def test_a_machine_that_is_not_reached_is_named(booked):
    booked.gcloud.unreachable = {("run", 1)}
    text = booked.run("launch.sh", "run", *COMMAND, code=1)
    assert "run worker 1 did not answer to 'adopt'." in text
    assert "1 of 2 workers failed in 'adopt', expected none" in text
    assert "timed out" in text and "run worker 0" not in text


def test_a_key_that_is_not_in_the_agent(booked):
    words = 'SSH Key is not present in the SSH agent. Please run "ssh-add key" to add it'
    booked.gcloud.fail = {"tpu-vm scp": [words]}
    text = booked.run("launch.sh", "run", *COMMAND, code=2)
    assert "SSH Key is not present" in text and 'eval "$(ssh-agent)"; ssh-add' in text
    assert not booked.calls("tpu-vm", "ssh")


@pytest.mark.exhaustive
def test_a_machine_that_stays_silent_after_the_start_is_named(booked):
    launch = ("launch.sh", "run", "--no-port-check", "--wait=30", *COMMAND)
    # Its supervisor does not get to report.
    booked.gcloud.before_start = lambda home: (
        home / "flan_jax_runs/run/current/reported.new"
    ).mkdir()
    booked.gcloud.before_start_of = "run-0"
    text = booked.run(*launch, code=1)
    assert re.search(r"missing: run worker 0 \((starting|vanished)\)", text)
    assert "1 of 2 machines report after 30 s, expected all" in text


@pytest.mark.exhaustive
def test_a_command_that_ends_at_once_shows_its_log_and_what_its_code_means(booked):
    booked.gcloud.before_start = lambda home: (home / "finish").write_text("3")
    booked.gcloud.before_start_of = "run-1"
    text = booked.run("launch.sh", "run", "--no-port-check", *COMMAND, code=1)
    assert re.search(r"on run worker 1 \(\S+\), with 3 \(data: a data file", text)
    assert "train --multihost" in text


@pytest.mark.exhaustive
def test_a_failed_installation_says_why_and_starts_nothing(booked):
    (booked.machine("run-1") / "pip_fails").touch()
    text = booked.run("launch.sh", "run", *COMMAND, code=1)
    assert "run worker 1, 'install': pip: ERROR: No matching distribution found" in text
    assert not list(booked.folder.glob("machines/*/flan_jax_runs/run/*/pid"))
    (booked.machine("run-1") / "pip_fails").unlink()
    assert "2 of 2" in booked.run("launch.sh", "run", "--no-port-check", *COMMAND)


@pytest.mark.exhaustive
def test_a_closed_port_is_named_with_its_fix(booked, port):
    booked.gcloud.address = "255.255.255.255"
    text = booked.run("launch.sh", "run", f"--coordinator-port={port}", *COMMAND, code=1)
    assert f"run worker 1 does not reach 255.255.255.255:{port}." in text
    assert "closed from 2 of 2 machines" in text
    assert f"firewall-rules create flan-jax-{port} --network=default --allow=tcp:{port}" in text
    # The check has ended what listened.
    with socket.create_server(("", port)):
        pass
    assert not list(booked.folder.glob("machines/*/flan_jax_runs/run/*/pid"))


@pytest.mark.exhaustive
def test_uncommitted_changes_are_refused_or_recorded(booked):
    (booked.checkout / "setup.py").write_text("# changed\n")
    (booked.checkout / "new.py").write_text("x = 1\n")
    text = booked.run("launch.sh", "run", *COMMAND, code=2)
    assert " M setup.py" in text and "?? new.py" in text and "--allow-dirty" in text
    assert not booked.calls()
    booked.run("launch.sh", "run", "--allow-dirty", "--no-port-check", *COMMAND)
    launch = booked.folder / "records/run/launch"
    diff = (launch / "diff").read_bytes()
    assert b"+# changed" in diff and b"+x = 1" in diff
    assert f"diff={hashlib.sha256(diff).hexdigest()}\n" in (launch / "config").read_text()
    assert reported(booked, "run-0")["commit"].endswith("-dirty")
    src = booked.machine("run-1") / "flan_jax_runs/run/current/src"
    assert (src / "new.py").read_text() == "x = 1\n"
    assert (src / "setup.py").read_text() == "# changed\n"


def test_mistakes_are_told_before_anything_is_sent(booked):
    gin_file = "--gin_file=topologies/"
    for args, expected in [
        ([], "found no command"),
        (["--", "flan-jax", "train"], "has no --multihost, but 'run' has 2 hosts"),
        (["--env=HF_TOKEN=x", *COMMAND], "--env HF_TOKEN looks like a secret"),
        (["--env=PLAIN", *COMMAND], "found 'PLAIN', expected NAME=VALUE"),
        ([*COMMAND, f"{gin_file}v4-128.gin"], f"Write: {gin_file}v4-16.gin"),
        ([*COMMAND, "--gin_file", "topologies/v4-8.gin"], "but 'run' is a v4-16"),
        (["flan-jax", *COMMAND], "the command stands behind '--'"),
    ]:
        assert expected in booked.run("launch.sh", "run", *args, code=2)
    assert not booked.calls()


@pytest.mark.exhaustive
def test_a_slice_that_is_not_there(booked):
    booked.gcloud.states = ["SUSPENDED"]
    assert "is SUSPENDED, expected ACTIVE" in booked.run("launch.sh", "run", *COMMAND, code=1)
    booked.gcloud.states, booked.gcloud.nodes["run"] = ["ACTIVE"], "PREEMPTED"
    assert "'run' is PREEMPTED" in booked.run("launch.sh", "run", *COMMAND, code=1)


@pytest.mark.exhaustive
def test_looking_where_nothing_was_launched(booked):
    text = booked.run("status.sh", "run", code=1)
    assert len(re.findall(r"^0 +[01] +none", text, re.MULTILINE)) == 2
    assert "nothing was launched there" in booked.run("logs.sh", "run", code=1)
    assert "has slices 0 to 0 with workers 0 to 1" in booked.run(
        "logs.sh", "run", "--worker=2", code=2
    )
