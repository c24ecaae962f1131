"""slices.tsv and exit_codes.tsv against what the package, the recipes and arithmetic say."""

import math
import pathlib
import re

import pytest

from flan_jax import errors

ROOT = pathlib.Path(__file__).parents[2]


def rows(name):
    lines = (ROOT / "tpu_scripts" / name).read_text().splitlines()
    head, *body = [line.split("\t") for line in lines if not line.startswith("#")]
    assert all(len(line) == len(head) for line in body)
    return [dict(zip(head, line, strict=True)) for line in body]


SLICES = {row["name"]: row for row in rows("slices.tsv")}


@pytest.mark.parametrize("row", SLICES.values(), ids=SLICES)
def test_a_slice_is_consistent(row):
    chips, hosts = int(row["chips"]), int(row["hosts"])
    assert math.prod(map(int, row["topology"].split("x"))) == chips
    generation, _, count = row["name"].partition("-")
    assert generation == row["generation"]
    # Names of v3, v4 and v5p count cores.
    assert int(count) == chips * (2 if generation in ("v3", "v4", "v5p") else 1)
    assert row["accelerator_type"] == f"{generation.replace('v5e', 'v5litepod')}-{count}"
    # Machines have four chips; those with eight make a slice by themselves.
    per_host = 8 if chips == 8 and generation in ("v5e", "v6e") else 4
    assert chips == hosts * per_host
    assert row["gke_machine_type"].endswith(f"-{per_host}t")


def test_names_and_shapes_are_unique():
    assert len(SLICES) == len(rows("slices.tsv"))
    shapes = [(row["generation"], row["topology"]) for row in SLICES.values()]
    assert len(set(shapes)) == len(shapes)


def test_every_topology_of_the_recipes_can_be_booked():
    found = 0
    for path in (ROOT / "gin_configs" / "topologies").glob("v*.gin"):
        name = re.match(r"v[0-9]+[a-z]*-[0-9]+", path.stem)[0]
        assert name in SLICES, path
        text = path.read_text()
        said = re.search(r"(\d+) chips.*?\(([\dx]+)\) on (\d+) host", text).groups()
        row = SLICES[name]
        assert said[:2] == (row["chips"], row["topology"]), path
        if row["chips"] != "8":  # Eight chips of v5e and v6e are one machine or two.
            assert said[2] == row["hosts"], path
        sizes = dict(re.findall(r"PjitPartitioner\.(\w+) = (\d+)$", text, re.MULTILINE))
        mesh = [int(sizes.get(axis, 1)) for axis in ("num_partitions", "fsdp", "data", "slices")]
        if "data" in sizes:  # Left out, it takes the devices that remain. On v3 a core is one.
            devices = int(row["chips"]) * (2 if name.startswith("v3-") else 1)
            assert math.prod(mesh) == devices * mesh[-1], path
        found += 1
    assert found >= 5


def test_exit_codes_are_those_of_the_package():
    table = {int(row["code"]): row for row in rows("exit_codes.tsv")}
    kinds = [errors.FlanJaxError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    codes = {kind.exit_code for kind in kinds} - {errors.FlanJaxError.exit_code}
    assert codes <= set(table)
    # What a restart mends by itself, and what it cannot.
    for kind in (errors.PreemptedError, errors.HostsMissingError, errors.PeerLostError):
        assert table[kind.exit_code]["action"] == "relaunch", kind
    for kind in (errors.ConfigError, errors.DataError, errors.CheckpointError, errors.NanError):
        assert table[kind.exit_code]["action"] == "stop", kind
    for kind in (errors.StorageError, errors.OutOfMemoryError):
        assert table[kind.exit_code]["action"] == "stop", kind
    assert {row["action"] for row in table.values()} <= {"done", "stop", "relaunch"}
