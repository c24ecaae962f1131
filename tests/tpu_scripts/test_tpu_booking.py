"""create.sh, status.sh and delete.sh against a cloud that refuses, takes away and forgets."""

import pytest

CREATE = ("create.sh", "run", "--slice=v4-16", "--zone=us-central2-b")


def test_one_slice_is_booked_and_waited_for(fake_cloud):
    fake_cloud.gcloud.next_states = [["WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"]]
    text = fake_cloud.run(*CREATE, "--tier=spot", "--project=p")
    assert fake_cloud.calls("queued-resources", "create") == [
        [
            "queued-resources",
            "create",
            "run",
            "--zone=us-central2-b",
            "--project=p",
            "--accelerator-type=v4-16",
            "--runtime-version=tpu-ubuntu2204-base",
            "--node-id=run",
            "--spot",
            "--async",
            "--quiet",
        ]
    ]
    assert fake_cloud.sleeps() == [30, 30]
    assert "8 chips, 2 hosts, spot" in text
    for state in ("WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"):
        assert f"'run' is {state}." in text


def test_several_slices_are_nodes_with_a_prefix(fake_cloud):
    options = ("--slices=3", "--tier", "reserved", "--runtime-version", "image", "--internal-ips")
    fake_cloud.run("create.sh", "run", "--slice", "v5e:4x4", "--zone=z", *options, "--network=n")
    (call,) = fake_cloud.calls("queued-resources", "create")
    assert call[3:] == [
        "--zone=z",
        "--accelerator-type=v5litepod-16",
        "--runtime-version=image",
        "--node-count=3",
        "--node-prefix=run",
        "--reserved",
        "--network=n",
        "--internal-ips",
        "--async",
        "--quiet",
    ]


def test_the_same_again_books_nothing(fake_cloud):
    fake_cloud.run(*CREATE)
    fake_cloud.gcloud.calls.clear()
    assert "there: run." in fake_cloud.run(*CREATE)
    assert not fake_cloud.calls("queued-resources", "create")


def test_other_options_are_refused(fake_cloud):
    fake_cloud.run(*CREATE)
    text = fake_cloud.run(*CREATE, "--tier=spot", code=2)
    assert "< tier=on-demand" in text and "> tier=spot" in text
    assert "delete.sh run" in text


@pytest.mark.slow
def test_a_booking_of_someone_else_is_compared_not_taken(fake_cloud):
    fake_cloud.run(*CREATE)
    (fake_cloud.folder / "records" / "run" / "booking").unlink()
    text = fake_cloud.run("create.sh", "run", "--slice=v4-32", "--zone=z", code=2)
    assert "found 1 x v4-16, expected 1 x v4-32" in text
    assert "there: run." in fake_cloud.run(*CREATE)


def test_quota_is_explained(fake_cloud):
    fake_cloud.gcloud.fail = {
        "queued-resources create": ["ERROR: Quota limit 'TPUV4' has been exceeded"]
    }
    text = fake_cloud.run(*CREATE, code=1)
    assert "does not allow 1 x v4-16 (8 chips, on-demand)" in text
    assert "iam-admin/quotas" in text
    # Nothing was booked, so nothing is on record.
    assert "found no booking 'run'" in fake_cloud.run("status.sh", "run", code=2)


@pytest.mark.slow
def test_a_request_that_fails_in_the_queue_says_why(fake_cloud):
    fake_cloud.gcloud.next_states = [["WAITING_FOR_RESOURCES", "FAILED:no more capacity; quota"]]
    text = fake_cloud.run(*CREATE, code=1)
    assert "was not given: no more capacity" in text and "iam-admin/quotas" in text
    assert "FAILED: no more capacity; quota. It never comes back" in fake_cloud.run(*CREATE, code=1)


def test_preempted_while_it_is_made(fake_cloud):
    fake_cloud.gcloud.next_states = [["PROVISIONING", "SUSPENDING"]]
    text = fake_cloud.run(*CREATE, "--tier=spot", code=6)
    assert "taken away before it was there" in text and "resume.sh run" in text


@pytest.mark.slow
def test_waiting_ends(fake_cloud):
    fake_cloud.gcloud.next_states = [["WAITING_FOR_RESOURCES"]]
    text = fake_cloud.run(*CREATE, "--wait=60", code=1)
    assert "WAITING_FOR_RESOURCES after 60 s, expected ACTIVE within 60 s" in text
    assert sum(fake_cloud.sleeps()) == 60
    assert "not waiting" in fake_cloud.run(*CREATE, "--wait=0")


@pytest.mark.slow
@pytest.mark.parametrize("script", ["create.sh", "status.sh", "delete.sh"])
def test_an_unknown_state_is_not_taken_for_absence(fake_cloud, script):
    fake_cloud.run(*CREATE)
    fake_cloud.gcloud.calls.clear()
    fake_cloud.gcloud.fail = {"queued-resources describe": ["ERROR: PERMISSION_DENIED"] * 9}
    args = {"create.sh": CREATE[1:], "status.sh": ["run"], "delete.sh": ["run", "--yes"]}
    text = fake_cloud.run(script, *args[script], code=1)
    assert "PERMISSION_DENIED" in text and "gcloud auth login" in text
    assert [call[1] for call in fake_cloud.calls()] == ["describe"]


@pytest.mark.parametrize(
    "args, expected",
    [
        (["--slice=v4-16"], "found no --zone"),
        (["--zone=z"], "found no --slice"),
        (["--slice=v4-12", "--zone=z"], "Those of v4: v4-8 v4-16"),
        (["--slice=v9-1", "--zone=z"], "Generations: v3 v4 v5e v5p v6e"),
        (["--slice=v4-8", "--zone=z", "--tier=cheap"], "expected on-demand, spot or reserved"),
        (["--slice=v4-8", "--zone=z", "--slices=two"], "expected a whole number from 1 on"),
        (["--slice=v4-8", "--zone"], "--zone needs a value"),
        (["--slice=v4-8", "--zome=z"], "there is no option '--zome'"),
        (["other", "--slice=v4-8", "--zone=z"], "'other' is one argument too many"),
    ],
)
def test_mistakes_are_told_before_anything_is_asked(fake_cloud, args, expected):
    assert expected in fake_cloud.run("create.sh", "run", *args, code=2)
    assert not fake_cloud.calls()


@pytest.mark.parametrize("name", ["Run", "run;reboot", "x" * 41])
def test_names_are_names(fake_cloud, name):
    fake_cloud.run("create.sh", name, "--slice=v4-8", "--zone=z", code=2)
    assert not fake_cloud.calls()


# ------------------------------------------------------------------------------- deleting


def test_delete_takes_all_and_can_be_repeated(booked_two):
    assert "'run' is gone." in booked_two.run("delete.sh", "run", "--yes")
    (call,) = booked_two.calls("queued-resources", "delete")
    assert call[2:] == ["run", "--zone=z", "--force", "--quiet"]
    assert {call[2] for call in booked_two.calls("tpu-vm", "describe")} == {"run-0", "run-1"}
    assert "found no booking 'run'" in booked_two.run("delete.sh", "run", "--yes", code=2)


@pytest.mark.slow
def test_delete_of_what_is_gone_is_well(booked_two):
    booked_two.gcloud.queued, booked_two.gcloud.nodes = None, {}
    text = booked_two.run("delete.sh", "run", "--yes")
    assert "no queued resource 'run'" in text and "is gone" in text
    assert not booked_two.calls("queued-resources", "delete")


def test_delete_asks_first(booked_two):
    assert "Add --yes" in booked_two.run("delete.sh", "run", code=2)
    assert not booked_two.calls()


def test_a_machine_that_is_left_is_deleted(booked_two):
    booked_two.gcloud.sticky = {"run-1"}
    text = booked_two.run("delete.sh", "run", "--yes")
    assert "deleting 'run-1', which is left." in text and "is gone" in text
    assert [call[2] for call in booked_two.calls("tpu-vm", "delete")] == ["run-1"]


@pytest.mark.slow
def test_what_cannot_be_deleted_is_named(booked_two):
    booked_two.gcloud.sticky = {"run-1"}
    booked_two.gcloud.fail = {"tpu-vm delete": ["ERROR: INTERNAL"]}
    text = booked_two.run("delete.sh", "run", "--yes", "--wait=30", code=1)
    assert "still there: queued resource ABSENT, machines run-1." in text
    assert "still costs money" in text
    # The record is kept, so that the same command can be run again; now it succeeds.
    assert "is gone" in booked_two.run("delete.sh", "run", "--yes")


@pytest.mark.slow
def test_a_refused_delete_goes_machine_by_machine_then_again(booked_two):
    booked_two.gcloud.fail = {"queued-resources delete": ["ERROR: INTERNAL: try again"]}
    text = booked_two.run("delete.sh", "run", "--yes")
    assert "INTERNAL" in text and "is gone" in text
    assert len(booked_two.calls("queued-resources", "delete")) == 2
    assert len(booked_two.calls("tpu-vm", "delete")) == 2


# --------------------------------------------------------------------------------- status


@pytest.mark.slow
def test_status_without_a_name_lists_bookings(booked_two):
    assert booked_two.run("status.sh") == "run  2 x v4-16 in z, on-demand\n"
    assert not booked_two.calls()


@pytest.mark.slow
def test_status_after_a_preemption_says_what_to_do(booked_two):
    booked_two.gcloud.states = ["SUSPENDED"]
    text = booked_two.run("status.sh", "run", code=1)
    assert text.startswith("run: SUSPENDED, 2 x v4-16 (16 chips, 4 hosts) in z, on-demand\n")
    assert "resume.sh run" in text
