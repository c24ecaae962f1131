"""resume.sh: what each way of ending asks for."""

import pytest

COMMAND = ("--", "flan-jax", "train", "--multihost", "--gin_file=runs/miniflan.gin")
MORE_STOPS = [(2, "configuration"), (3, "data"), (9, "storage"), (10, "out_of_memory")]


@pytest.fixture
def launched(booked):
    """A run on one slice of two machines."""
    booked.run("launch.sh", "run", "--no-port-check", *COMMAND)
    booked.gcloud.calls.clear()
    return booked


def configurations(cloud):
    paths = cloud.folder.glob("machines/*/flan_jax_runs/run/current/reported")
    return {path.parents[3].name: path.read_text().split("config=")[1].strip() for path in paths}


def preempt(cloud):
    """What a preemption leaves: a suspended request without machines."""
    for node in list(cloud.gcloud.nodes):
        cloud.end_commands()
        cloud.gcloud._forget(node)
    cloud.gcloud.states = ["SUSPENDED"]


def test_after_a_preemption_the_same_is_booked_and_launched(booked_two):
    booked_two.run("launch.sh", "run", "--no-port-check", *COMMAND)
    booked_two.gcloud.calls.clear()
    before = configurations(booked_two)
    assert len(before) == 4
    preempt(booked_two)
    # The checkout has moved on; what runs stays what was booked_two.
    (booked_two.checkout / "setup.py").write_text("# newer\n")
    booked_two.commit()
    text = booked_two.run("resume.sh", "run", *COMMAND)
    assert "booking again: 'run' is SUSPENDED." in text
    (deleted,) = booked_two.calls("queued-resources", "delete")
    (created,) = booked_two.calls("queued-resources", "create")
    assert created[3:] == [
        "--zone=z",
        "--accelerator-type=v4-16",
        "--runtime-version=tpu-ubuntu2204-base",
        "--node-count=2",
        "--node-prefix=run",
        "--async",
        "--quiet",
    ]
    assert configurations(booked_two) == before
    src = booked_two.machine("run-1-1") / "flan_jax_runs/run/current/src"
    assert (src / "setup.py").read_text() != "# newer\n"


@pytest.mark.exhaustive
def test_a_run_that_saved_and_ended_is_launched_on_the_same_machines(launched):
    launched.finish(6)
    launched.clear_finish()
    text = launched.run("resume.sh", "run")
    assert "launching again: run worker 0 ended with 6 (preempted" in text
    assert not launched.calls("queued-resources", "create")
    assert "2 of 2 run" in launched.run("status.sh", "run")


@pytest.mark.exhaustive
def test_codes_of_processes_that_were_pulled_along_do_not_count(launched):
    launched.finish(134, "run-0")
    launched.finish(6, "run-1")
    launched.clear_finish()
    text = launched.run("resume.sh", "run")
    assert "launching again: run worker 1 ended with 6" in text


@pytest.mark.parametrize(
    "code, name",
    [(5, "nan"), *(pytest.param(*row, marks=pytest.mark.exhaustive) for row in MORE_STOPS)],
)
def test_what_would_happen_again_is_not_resumed(launched, code, name):
    # The other still waits for it.
    launched.finish(code, "run-1")
    text = launched.run("resume.sh", "run", "--watch", code=1)
    assert f"not resumed: run worker 1 ended with {code} ({name}: " in text
    # Nor does it matter that another one was told to stop, and saved.
    launched.finish(6, "run-0")
    assert text == launched.run("resume.sh", "run", "--retry-crashes", code=1)
    assert not launched.calls("tpu-vm", "scp")


@pytest.mark.exhaustive
def test_a_crash_is_resumed_only_when_asked(launched):
    launched.finish(1)
    text = launched.run("resume.sh", "run", code=1)
    assert "not resumed: run worker 0 ended with 1 (crash" in text and "--retry-crashes" in text
    launched.clear_finish()
    assert "launching again" in launched.run("resume.sh", "run", "--retry-crashes")


@pytest.mark.exhaustive
def test_nothing_to_do(launched):
    assert "nothing to do: 2 of 2 machines run it" in launched.run("resume.sh", "run")
    launched.finish(0, "run-0")
    assert "1 of 2 machines run it, 1 have finished" in launched.run("resume.sh", "run")
    launched.finish(0)
    assert "'run' has finished" in launched.run("resume.sh", "run")
    assert not launched.calls("tpu-vm", "scp")


def test_another_configuration_is_refused(launched):
    text = launched.run("resume.sh", "run", *COMMAND, "--gin.TRAIN_STEPS=1", code=2)
    assert "found:    flan-jax train" in text and "--gin.TRAIN_STEPS=1" in text
    assert "goes on with the command it was launched with" in text
    # Someone launched something else from another computer.
    marker = launched.machine("run-1") / "flan_jax_runs/run/current/reported"
    marker.write_text(marker.read_text().replace("config=", "config=0"))
    assert "something else was launched" in launched.run("resume.sh", "run", code=1)
    config = launched.folder / "records/run/launch/config"
    config.write_text(config.read_text().replace("miniflan", "other"))
    assert "was changed after the launch" in launched.run("resume.sh", "run", code=2)
    assert not launched.calls("tpu-vm", "scp")


@pytest.mark.exhaustive
def test_a_damaged_archive_is_not_launched(launched):
    launched.finish(6)
    archive = launched.folder / "records/run/launch/archive.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-1])
    assert "is not what was launched" in launched.run("resume.sh", "run", code=1)


@pytest.mark.exhaustive
def test_preempted_again_while_it_is_made(launched):
    preempt(launched)
    launched.gcloud.next_states = [["PROVISIONING", "SUSPENDED"], ["ACTIVE"]]
    text = launched.run("resume.sh", "run")
    assert "restart 2 within the hour: waiting 30 s first." in text
    assert len(launched.calls("queued-resources", "create")) == 2
    assert len(configurations(launched)) == 2


@pytest.mark.exhaustive
def test_a_storm_of_restarts_ends(launched):
    preempt(launched)
    launched.gcloud.next_states = [["SUSPENDED"]] * 9
    text = launched.run("resume.sh", "run", code=1)
    assert "found 6 restarts within the hour, expected fewer than 6" in text
    assert [each for each in launched.sleeps() if each >= 30] == [30, 60, 120, 240, 480]
    assert len(launched.calls("queued-resources", "create")) == 6
    # An hour later it may try again, at once.
    launched.pass_time(3600)
    launched.gcloud.next_states = [["ACTIVE"]]
    assert "waiting" not in launched.run("resume.sh", "run")


@pytest.mark.exhaustive
def test_a_silent_machine(launched):
    launched.gcloud.unreachable = {("run", 1)}
    text = launched.run("resume.sh", "run", code=1)
    assert "run worker 1 does not answer" in text and "--recreate" in text
    # Watched, it is given some time, then the slice is taken for lost.
    before = len(launched.calls("tpu-vm", "ssh"))
    launched.gcloud.on_create = launched.gcloud.unreachable.clear
    launched.finish_when_launched(0)
    text = launched.run("resume.sh", "run", "--watch")
    # A slow machine may not yet have said that its first launch failed.
    assert launched.sleeps().count(60) >= 4
    assert len(launched.calls("tpu-vm", "ssh")) > before
    assert "booking again: run worker 1 does not answer" in text and "has finished" in text


@pytest.mark.exhaustive
def test_watching_goes_on_until_the_end(launched):
    preempt(launched)
    launched.finish_when_launched(0)
    text = launched.run("resume.sh", "run", "--watch")
    assert "booking again" in text
    assert text.rstrip().endswith("Delete it: tpu_scripts/delete.sh run")


@pytest.mark.exhaustive
def test_a_restarted_machine_runs_nothing(launched):
    launched.end_commands()
    text = launched.run("resume.sh", "run")
    assert "launching again: run worker 0 runs nothing (vanished)" in text


def test_without_a_launch_there_is_nothing_to_resume(booked):
    assert "nothing was launched on 'run' yet" in booked.run("resume.sh", "run", code=2)
