"""What the loaders of several hosts put on their devices, together, is what one host's does."""

import json

import gin
import jax
import numpy as np
import pytest
from jax.experimental import multihost_utils

pytest.importorskip("array_record")

from flan_jax import batch_origin, testing
from flan_jax.data.config import DatasetConfig
from flan_jax.data.layout import ENCODER_DECODER
from flan_jax.data.loader import Loader
from flan_jax.data.prepared.command import prepare
from flan_jax.data.train_stream import open_stream
from flan_jax.errors import DataError
from flan_jax.mesh import PjitPartitioner

ROWS = 16
TASKS = {"hosts_a": (70, 3.0), "hosts_b": (9, 1.0)}


def config(prepared):
    return DatasetConfig(
        mixture_or_task_name="hosts_both",
        task_feature_lengths={"inputs": 24, "targets": 16},
        split="train",
        batch_size=ROWS,
        shuffle=True,
        seed=3,
        pack=True,
        prepared_dir=None if prepared is None else str(prepared),
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    for seed, (name, (size, _)) in enumerate(TASKS.items()):
        testing.register_toy_task(name, size, seed=seed)
    testing.register_toy_mixture("hosts_both", {name: rate for name, (_, rate) in TASKS.items()})
    found = tmp_path_factory.mktemp("hosts") / "data"
    prepare(config(None), str(found), runner="none")
    yield found
    for name in ("hosts_both", *TASKS):
        testing.unregister(name)


@pytest.fixture(autouse=True)
def _several_windows():
    gin.bind_parameter("order.Settings.window", 256)


class Host:
    """One of several hosts: a partitioner that sees its own part of the devices alone."""

    def __init__(self, whole, number, hosts):
        each = len(jax.devices()) // hosts
        self._devices = set(jax.devices()[number * each : (number + 1) * each])
        self._whole = whole

    def batch_sharding(self, ndim):
        self._sharding = self._whole.batch_sharding(ndim)
        return self

    def addressable_devices_indices_map(self, shape):
        every = self._sharding.addressable_devices_indices_map(shape)
        return {device: index for device, index in every.items() if device in self._devices}

    def put_batch(self, host_batch):
        """Row number -> hash of what this host's devices take of a batch."""
        rows = {}
        indices = self.batch_sharding(2).addressable_devices_indices_map((ROWS, 1)).values()
        for taken, _ in indices:
            for row in range(*taken.indices(ROWS)):
                values = {name: array[row] for name, array in host_batch.items()}
                rows[row] = batch_origin.row_hash(values)
        return rows


def delivered(prepared, host, stop, state=None):
    """Rows of the steps before one, as the loader of a host delivers them; its last state."""
    stream = open_stream(config(prepared), ENCODER_DECODER, host)
    if state is not None:
        stream.restore(state)
    with Loader(stream, host, start_step=stream.step) as loader:
        found = [next(loader) for _ in range(loader.step, stop)]
        state = loader.state_at()
    stream.close()
    return found, state


def meshes():
    """Arrangements of eight devices, the last of which gives no host neighbouring rows."""
    mixed = [jax.devices()[i] for i in (0, 4, 1, 5, 2, 6, 3, 7)]
    return {
        "data": PjitPartitioner(),
        "fsdp4": PjitPartitioner(fsdp=4),
        "model2": PjitPartitioner(num_partitions=2),
        "slices2": PjitPartitioner(slices=2),
        "mixed": PjitPartitioner(devices=mixed),
    }


def check(prepared, partitioner, hosts, expected, state=None):
    """Compares several hosts with the rows of one, from a saved state on."""
    first = 0 if state is None else json.loads(state)["step"]
    each = [
        delivered(prepared, Host(partitioner, number, hosts), first + len(expected), state)[0]
        for number in range(hosts)
    ]
    for step, rows in enumerate(expected):
        together = {}
        for given in (found[step] for found in each):
            assert len(given) < ROWS
            # Where several hosts hold a row, it is the same one.
            assert {row: together.get(row, given[row]) for row in given} == given
            together |= given
        assert together == rows


def test_four_hosts_from_the_start_and_from_where_one_host_stood(prepared):
    partitioner = PjitPartitioner()
    alone = Host(partitioner, 0, 1)
    first, state = delivered(prepared, alone, 8)
    then, _ = delivered(prepared, alone, 16, state)
    assert then != first
    check(prepared, partitioner, 4, first)
    check(prepared, partitioner, 4, then, state)


def test_hosts_with_other_data_are_named(prepared, monkeypatch):
    alone = Host(PjitPartitioner(), 0, 1)
    asked = []

    def gather(here):
        asked.append(here)
        return np.stack([here, here, here ^ np.uint8(1), here])

    monkeypatch.setattr(jax, "process_count", lambda: 4)
    monkeypatch.setattr(multihost_utils, "process_allgather", gather)
    with pytest.raises(DataError, match="The processes 2 have other rows in .* than process 0"):
        open_stream(config(prepared), ENCODER_DECODER, alone)
    monkeypatch.setattr(multihost_utils, "process_allgather", lambda here: np.stack([here] * 4))
    open_stream(config(prepared), ENCODER_DECODER, alone)
    # What is compared does not depend on the host.
    with pytest.raises(DataError):
        monkeypatch.setattr(multihost_utils, "process_allgather", gather)
        open_stream(config(prepared), ENCODER_DECODER, Host(PjitPartitioner(), 1, 2))
    assert np.array_equal(*asked)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["data", "fsdp4", "model2", "slices2", "mixed"])
def test_steps_0_to_500(prepared, name):
    partitioner = meshes()[name]
    expected, _ = delivered(prepared, Host(partitioner, 0, 1), 501)
    for hosts in (2, 4, 8):
        check(prepared, partitioner, hosts, expected)
