"""The JobSet that gke.sh renders and applies, and the image it runs."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
IMAGE = "us-docker.pkg.dev/p/r/flan-jax:abc"
RUN = ("--slice=v5e-64", f"--image={IMAGE}", "--", "flan-jax", "train", "--multihost")


class Cluster:
    def __init__(self, folder):
        self.folder = folder
        (folder / "bin").mkdir()
        shutil.copy(pathlib.Path(__file__).parent / "fake_kubectl.sh", folder / "bin" / "kubectl")
        (folder / "bin" / "kubectl").chmod(0o755)
        path = f"{folder}/bin:{os.environ['PATH']}"
        self.env = {"PATH": path, "HOME": str(folder), "FAKE_CLUSTER": str(folder)}

    def run(self, *args, code=0):
        done = subprocess.run(
            [str(ROOT / "tpu_scripts" / "gke.sh"), *args],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def calls(self):
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def cluster(tmp_path):
    return Cluster(tmp_path)


def test_manifest(cluster):
    awkward = ['--gin.MODEL_DIR="gs://b/run"', "a \\ 'b' @ENV@ & $c\n\té", "--env=@COMMAND@"]
    text = cluster.run(
        "render", "xl", "--slices=2", "--spot", '--env=FLAVOUR=x "y" @NAME@: z', *RUN, *awkward
    )
    manifest = yaml.safe_load(text)
    assert (manifest["apiVersion"], manifest["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    assert manifest["metadata"]["name"] == "xl"
    annotations = manifest["metadata"]["annotations"]
    exclusive = "alpha.jobset.sigs.k8s.io/exclusive-topology"
    assert annotations[exclusive] == "cloud.google.com/gke-nodepool"
    (job,) = manifest["spec"]["replicatedJobs"]
    assert job["replicas"] == 2
    spec = job["template"]["spec"]
    assert (spec["parallelism"], spec["completions"], spec["backoffLimit"]) == (16, 16, 0)
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # podFailurePolicy asks for it.
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "8x8",
        "cloud.google.com/gke-spot": "true",
    }
    (container,) = pod["containers"]
    assert container["command"] == [*RUN[3:], *awkward]
    assert container["image"] == IMAGE
    assert container["resources"]["limits"] == {"google.com/tpu": 4}
    env = {each["name"]: each["value"] for each in container["env"]}
    assert env["FLAVOUR"] == 'x "y" @NAME@: z'
    assert env["JAX_COORDINATOR_PORT"] == "8476"
    assert set(map(type, env.values())) == {str}


def test_mistakes_of_the_user_fail_the_set_and_preemptions_restart_it(cluster):
    manifest = yaml.safe_load(cluster.run("render", "xl", "--max-restarts=7", *RUN))
    policy = manifest["spec"]["failurePolicy"]
    assert policy["maxRestarts"] == 7
    (rule,) = policy["rules"]
    assert (rule["action"], rule["onJobFailureReasons"]) == ("FailJobSet", ["PodFailurePolicy"])
    # The API allows such names only.
    assert re.fullmatch("[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", rule["name"])
    spec = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]
    (rule,) = spec["podFailurePolicy"]["rules"]
    codes = rule["onExitCodes"]["values"]
    assert rule["action"] == "FailJob" and {2, 3, 4, 5} <= set(codes)
    assert not {0, 1, 6, 7, 8, 134, 143} & set(codes)
    name = spec["template"]["spec"]["containers"][0]["name"]
    assert rule["onExitCodes"]["containerName"] == name


def test_a_single_host_has_all_its_chips(cluster):
    manifest = yaml.safe_load(cluster.run("render", "xl", "--slice=v6e-8", *RUN[1:]))
    spec = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert spec["parallelism"] == 1
    resources = spec["template"]["spec"]["containers"][0]["resources"]
    assert resources["requests"] == resources["limits"] == {"google.com/tpu": 8}
    assert "cloud.google.com/gke-spot" not in spec["template"]["spec"]["nodeSelector"]


def test_apply_once_and_only_the_same(cluster):
    text = cluster.run("apply", "xl", "--namespace=n", *RUN)
    look, apply = cluster.calls()
    assert look.startswith("--namespace=n get jobset xl --ignore-not-found --output=jsonpath=")
    assert apply.startswith("--namespace=n apply --filename=")
    assert "--machine-type=ct5lp-hightpu-4t --tpu-topology=8x8 --num-nodes=16" in text
    applied = yaml.safe_load((cluster.folder / "applied").read_text())
    present = applied["metadata"]["annotations"]["flan-jax/configuration"]
    cluster.write("answer", present)
    assert "there already" in cluster.run("apply", "xl", *RUN)
    text = cluster.run("apply", "xl", *RUN, "--gin.TRAIN_STEPS=1", code=2)
    assert f"found configuration {present}, expected" in text and "delete xl" in text
    assert sum("apply" in call for call in cluster.calls()) == 1


def test_a_cluster_without_jobset_or_without_answer(cluster):
    cluster.write("error", 'error: the server doesn\'t have a resource type "jobset"\n')
    assert "jobset.sigs.k8s.io/docs/installation" in cluster.run("apply", "xl", *RUN, code=1)
    cluster.write("error", "Unable to connect to the server\n")
    assert "get-credentials" in cluster.run("apply", "xl", *RUN, code=1)


def test_status_logs_and_delete(cluster):
    cluster.write("answer", "Failed|3|2026-01-01\n")
    assert "xl: Failed, 3 restarts" in cluster.run("status", "xl", code=1)
    cluster.run("logs", "xl", "--slice-index=1", "--worker=2", "--lines=5", "--follow")
    assert cluster.calls()[-1] == (
        "logs --selector=jobset.sigs.k8s.io/jobset-name=xl,jobset.sigs.k8s.io/job-index=1,"
        "batch.kubernetes.io/job-completion-index=2 --container=flan-jax --tail=5 --follow"
    )
    cluster.run("delete", "xl")
    assert cluster.calls()[-1] == "delete jobset xl --ignore-not-found --wait"
    cluster.write("answer", "")
    assert "there is no JobSet 'xl'" in cluster.run("status", "xl", code=1)


@pytest.mark.parametrize(
    "args, expected",
    [
        (["start", "xl"], "expected render, apply, status, logs or delete"),
        (["apply"], "found no NAME"),
        (["apply", "xl", "--slice=v5e-64", "--", "x"], "found no --image"),
        (["apply", "xl", "--slice=v5e-64", "--image=a/b", "--", "x"], "without a tag"),
        (["apply", "xl", *RUN[:3]], "found no command"),
        (["apply", "xl", "--env=API_KEY=1", *RUN], "looks like a secret"),
    ],
)
def test_mistakes_are_told_before_the_cluster_is_asked(cluster, args, expected):
    assert expected in cluster.run(*args, code=2)
    assert cluster.calls() == []


def test_dry_run_only_prints(cluster):
    text = cluster.run("apply", "xl", "--dry-run", *RUN)
    assert re.findall(r"^\+ kubectl (\w+)", text, re.MULTILINE) == ["get", "apply"]
    assert "+ kubectl delete jobset xl" in cluster.run("delete", "xl", "--dry-run")
    assert cluster.calls() == []


def test_image_copies_what_there_is_and_what_docker_is_sent():
    text = (ROOT / "tpu_scripts" / "Dockerfile").read_text()
    sources = [
        source
        for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    ignore = (ROOT / "tpu_scripts" / "Dockerfile.dockerignore").read_text().splitlines()
    sent = {line[1:] for line in ignore if line.startswith("!")}
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in sent, source
