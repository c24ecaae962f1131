import dataclasses
import pathlib

import gin
import jax
import numpy as np
import pytest

from flan_jax import chips, mesh
from flan_jax.errors import TopologyError
from flan_jax.mesh import PjitPartitioner

TOPOLOGIES = pathlib.Path(__file__).parents[1] / "gin_configs" / "topologies"


@pytest.fixture(autouse=True)
def clean_gin():
    gin.clear_config()
    yield
    gin.clear_config()


@dataclasses.dataclass(frozen=True)
class FakeChip:
    """What jax reads of a TPU device to lay out a mesh."""

    id: int
    platform: str
    device_kind: str
    coords: tuple[int, int, int]
    core_on_chip: int
    slice_index: int
    process_index: int


def fake_pod(kind: str, grid: tuple[int, int, int], slices: int = 1, cores: int = 1):
    devices = []
    for slice_index in range(slices):
        for z, y, x, core in np.ndindex(*grid[::-1], cores):
            devices.append(
                FakeChip(
                    id=len(devices),
                    platform="tpu",
                    device_kind=kind,
                    coords=(x, y, z),
                    core_on_chip=core,
                    slice_index=slice_index,
                    process_index=len(devices) // (4 * cores),
                )
            )
    return devices


def sizes(partitioner: PjitPartitioner) -> tuple[int, ...]:
    return tuple(partitioner.mesh.shape[axis] for axis in mesh.AXES)


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({}, (1, 8, 1, 1)),
        ({"num_partitions": 2}, (1, 4, 1, 2)),
        ({"fsdp": 4, "num_partitions": 2}, (1, 1, 4, 2)),
        ({"slices": 2, "fsdp": 2}, (2, 2, 2, 1)),
        ({"devices": 1}, (1, 1, 1, 1)),
        ({"devices": 2, "num_partitions": 2}, (1, 1, 1, 2)),
        ({"data": 2, "fsdp": 2, "num_partitions": 2}, (1, 2, 2, 2)),
    ],
)
def test_mesh_sizes(kwargs, expected):
    partitioner = PjitPartitioner(**kwargs)
    assert sizes(partitioner) == expected
    assert partitioner.batch_divisor == expected[0] * expected[1] * expected[2]
    used = [d.id for d in partitioner.mesh.devices.flat]
    assert used == list(range(len(used)))


def test_emulated_slices_are_consecutive_blocks():
    devices = PjitPartitioner(slices=2, num_partitions=2).mesh.devices
    assert [d.id for d in devices[0].flat] == [0, 1, 2, 3]
    assert [d.id for d in devices[1].flat] == [4, 5, 6, 7]


def test_hardware_slices_go_to_the_slice_axis():
    devices = fake_pod("TPU v4", (2, 2, 1), slices=3)
    shape = {"slice": 3, "data": 1, "fsdp": 2, "model": 2}
    array = mesh.device_array(shape, devices)
    assert array.shape == (3, 1, 2, 2)
    for index in range(3):
        assert {d.slice_index for d in array[index].flat} == {index}
    with pytest.raises(TopologyError, match=r"slices=2.*3 slice\(s\).*slices=3"):
        mesh.device_array({"slice": 2, "data": 6, "fsdp": 1, "model": 1}, devices)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_partitions": 16}, "needs 16 devices, but there are 8.*num_partitions.*2, 4, 8"),
        ({"fsdp": 3}, "3 places.*does not divide the 8 devices.*fsdp.*1, 2, 4"),
        ({"fsdp": 5, "num_partitions": 3}, "needs 15 devices.*The product must divide 8: 2, 4, 8"),
        ({"data": 2}, r"uses 2 of 8 devices.*data=8.*devices=2"),
        ({"slices": 0}, "slices.*at least 1, found 0"),
        ({"devices": 9}, "devices=9, but this run has 8 cpu devices"),
        ({"devices": 2, "num_partitions": 4}, "needs 4 devices, but there are 2"),
    ],
)
def test_mesh_that_does_not_fit(kwargs, message):
    with pytest.raises(TopologyError, match=message):
        PjitPartitioner(**kwargs)


def test_rule_for_an_unknown_mesh_axis():
    with pytest.raises(TopologyError, match="'modle'.*Did you mean 'model'"):
        PjitPartitioner(logical_axis_rules=(("embed", "modle"),))


@pytest.mark.parametrize(
    ("batch_size", "microbatches", "nearest"),
    [(10, 1, "8 or 12"), (3, 1, "4"), (20, 4, "16 or 32"), (4, 2, "8")],
)
def test_batch_that_does_not_divide(batch_size, microbatches, nearest):
    partitioner = PjitPartitioner(num_partitions=2, fsdp=2)
    partitioner.check_batch_size(32, microbatches)
    with pytest.raises(TopologyError, match=f"Nearest valid batch sizes: {nearest}\\."):
        partitioner.check_batch_size(batch_size, microbatches)
    with pytest.raises(TopologyError, match="at least 1"):
        partitioner.check_batch_size(0)


def test_put_batch_splits_rows():
    partitioner = PjitPartitioner(num_partitions=2, slices=2)
    host = {"tokens": np.arange(24, dtype=np.int32).reshape(8, 3), "weights": np.ones(8)}
    batch = partitioner.put_batch(host)
    np.testing.assert_array_equal(batch["tokens"], host["tokens"])
    assert batch["tokens"].dtype == np.int32
    for shard in batch["tokens"].addressable_shards:
        first = 2 * (shard.device.id // 2)  # Pairs of the model axis hold the same two rows.
        np.testing.assert_array_equal(shard.data, host["tokens"][first : first + 2])
    with pytest.raises(TopologyError, match="'tokens' has 6 rows.*multiple of 4"):
        partitioner.put_batch({"tokens": np.zeros((6, 3))})


def test_gin_binds_t5x_names():
    gin.parse_config(
        """
        partitioning.PjitPartitioner:
          num_partitions = 2
          logical_axis_rules = @partitioning.standard_logical_axis_rules()
        partitioning.standard_logical_axis_rules.additional_rules = [('experts', ['data', 'fsdp'])]
        """
    )
    partitioner = PjitPartitioner()
    assert sizes(partitioner) == (1, 4, 1, 2)
    assert partitioner.rules[0] == ("experts", ("data", "fsdp"))


@pytest.mark.parametrize("path", sorted(TOPOLOGIES.glob("*.gin")), ids=lambda p: p.stem)
def test_topology_files_fit_their_hardware(path, monkeypatch):
    if not path.stem.startswith("cpu"):
        shape = chips.parse_slice(path.stem)
        assert f"--topology={shape.name} " in path.read_text()
        grid = (*shape.dims, 1)[:3]
        devices = fake_pod(shape.kind.device_kind, grid, cores=shape.chip.cores)
        monkeypatch.setattr(jax, "devices", lambda: devices)
    gin.parse_config_file(str(path))
    partitioner = PjitPartitioner()
    expected = int(path.stem.removeprefix("cpu_")) if path.stem.startswith("cpu") else len(devices)
    assert partitioner.mesh.size == expected
    assert len({d.id for d in partitioner.mesh.devices.flat}) == expected
