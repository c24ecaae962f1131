"""Times at peak rates against sums by hand."""

import dataclasses
import types

import numpy as np
import pytest

from flan_jax import chips
from flan_jax.errors import TopologyError
from flan_jax.plan import costs, roofline

V4 = chips.parse_slice("v4:4x4x4")
NOTHING = costs.Costs(0.0, 0.0, 0.0, {}, 0.0, (), ())


def _devices(shape, slices=1):
    made = [
        types.SimpleNamespace(coords=place, slice_index=number)
        for number in range(slices)
        for place in np.ndindex(*shape)
    ]
    array = np.empty(len(made), dtype=object)
    array[:] = made
    return array


def _line(kind, groups, nbytes, shape=V4, mesh=None, slices=1):
    each = costs.Collective(kind, groups, 1.0, nbytes, "")
    devices = _devices(shape.dims, slices)
    return roofline.roofline(
        dataclasses.replace(NOTHING, collectives=(each,)),
        shape,
        mesh or {"slice": slices, "fsdp": 16, "model": 4},
        devices,
    )


ALONG_Z = tuple(tuple(range(i, i + 4)) for i in range(0, 64, 4))
ALONG_XY = tuple(tuple(range(i, 64, 4)) for i in range(4))


def test_compute_and_memory():
    found = roofline.roofline(
        dataclasses.replace(NOTHING, matmul_flops=275e12, kernel_flops=27.5e12, hbm_bytes=2.4e12),
        V4,
        {"model": 64},
        _devices((4, 4, 4)),
    )
    assert found.compute_s == pytest.approx(1.1)
    assert found.hbm_s == pytest.approx(2.0)
    assert found.overlapped_s == pytest.approx(2.0) and found.bound_by == "HBM"
    assert found.serial_s == pytest.approx(3.1)


@pytest.mark.parametrize(
    ("kind", "groups", "expected"),
    [
        # A ring of four: three quarters of 9 GB at 90 GB/s, both directions together.
        ("all-gather", ALONG_Z, 0.075),
        ("reduce-scatter", ALONG_Z, 0.075),
        ("all-reduce", ALONG_Z, 0.15),
        ("all-to-all", ALONG_Z, 0.075 / 4),
        # Two rings of four, sixteen devices.
        ("all-gather", ALONG_XY, 9 * 15 / 16 / 180),
        # To the neighbour, one direction of one link.
        ("collective-permute", ((0, 1), (1, 0)), 0.2),
        # Half of a ring is a line.
        ("all-gather", ((0, 1), (2, 3)), 9 / 2 / 45),
    ],
)
def test_links(kind, groups, expected):
    found = _line(kind, groups, 9e9)
    assert found.ici_s == pytest.approx(expected) and found.dcn_s == 0
    assert found.traffic[0].axes in (("fsdp",), ("model",))


def test_between_slices_the_network_counts():
    two = chips.parse_slice("v4:4x4x4,slices=2")
    pairs = tuple((i, 64 + i) for i in range(64))
    found = _line("all-reduce", pairs, 6.25e9, two, slices=2)
    assert found.ici_s == 0
    assert found.dcn_s == pytest.approx(2 * 0.5)
    assert found.traffic[0].over_dcn and found.traffic[0].axes == ("slice",)


def test_without_rings_a_slice_is_half_as_fast():
    small = chips.parse_slice("v5e:4x4")
    groups = tuple(tuple(range(i, i + 4)) for i in range(0, 16, 4))
    found = _line("all-gather", groups, 9e9, small, {"fsdp": 4, "model": 4})
    assert found.ici_s == pytest.approx(9 * 0.75 / 45)


@pytest.mark.parametrize(
    ("text", "name", "chips_", "hosts", "booked", "rings"),
    [
        ("v4:4x4x4", "v4:4x4x4", 64, 16, "v4-128", (True,) * 3),
        ("v4-8", "v4:2x2x1", 4, 1, "v4-8", (False,) * 3),
        ("v4-1024", "v4:8x8x8", 512, 128, "v4-1024", (True,) * 3),
        ("v5p-128", "v5p:4x4x4", 64, 16, "v5p-128", (True,) * 3),
        ("v5e-256", "v5e:16x16", 256, 64, "v5litepod-256", (True, True)),
        ("v5litepod-16", "v5e:4x4", 16, 4, "v5litepod-16", (False, False)),
        ("v6e:8x16", "v6e:8x16", 128, 32, "v6e-128", (False, True)),
        ("v5e:16x16,slices=2", "v5e:16x16,slices=2", 512, 128, "v5litepod-256", (True, True)),
        ("v6e-8", "v6e:2x4", 8, 1, "v6e-8", (False, False)),
        ("v3-32", "v3:4x4", 16, 4, "v3-32", (False, False)),
    ],
)
def test_slices(text, name, chips_, hosts, booked, rings):
    shape = chips.parse_slice(text)
    assert (shape.name, shape.chips, shape.hosts) == (name, chips_, hosts)
    assert (shape.booked_as, shape.rings) == (booked, rings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v7x-8", "versions: v3, v4, v5e, v5p, v6e"),
        ("v4:4x4", "needs 3 sizes"),
        ("v4:4x4x3", "such as v4:4x4x4"),
        ("v5e:3x4", "such as v5e:2x4"),
        ("v5e:32x32", "larger than v5e's largest, 16x16"),
        ("v4-100", "Nearest: v4-16, v4-32, v4-64, v4-128"),
        ("v4:4x4x4,slice=2", "expected slices=N"),
    ],
)
def test_slices_that_do_not_exist(text, message):
    with pytest.raises(TopologyError, match=message.replace("(", r"\(")):
        chips.parse_slice(text)


def test_a_ring_walked_both_ways_takes_the_longer_way_only():
    there = tuple((i, (i + 1) % 4) for i in range(4))
    back = tuple((target, source) for source, target in there)
    ways = tuple(
        costs.Collective("collective-permute", pairs, 1.0, nbytes, "")
        for pairs, nbytes in ((there, 9e9), (back, 4.5e9))
    )
    found = roofline.roofline(
        dataclasses.replace(NOTHING, collectives=ways),
        V4,
        {"fsdp": 16, "model": 4},
        _devices(V4.dims),
    )
    assert found.ici_s == pytest.approx(0.2)
    assert found.traffic[0].nbytes == 13.5e9


def test_different_axes_of_the_torus_work_side_by_side():
    along = (("all-gather", ALONG_Z), ("reduce-scatter", ALONG_XY), ("all-reduce", ALONG_Z))
    found = roofline.roofline(
        dataclasses.replace(
            NOTHING,
            collectives=tuple(costs.Collective(k, g, 1.0, 9e9, "") for k, g in along),
        ),
        V4,
        {"fsdp": 16, "model": 4},
        _devices(V4.dims),
    )
    busy, other = 0.075 + 0.15, 9 * 15 / 16 / 180
    assert found.ici_s == pytest.approx(busy)
    assert found.ici_serial_s == found.serial_s == pytest.approx(busy + other)
    assert {one.links for one in found.traffic} == {(2,), (0, 1)}


def test_what_hosts_send_between_slices():
    three = chips.parse_slice("v5e:4x4,slices=3")
    sent = costs.Collective("all-gather", (), 4.0, 3.125e9, "", between_slices=True)
    found = roofline.roofline(
        dataclasses.replace(NOTHING, collectives=(sent,)),
        three,
        {"slice": 3, "fsdp": 16},
        _devices(three.dims, 3),
    )
    assert found.dcn_s == pytest.approx(2.0) and found.ici_s == 0
    assert found.traffic[0].axes == ("slice",) and found.traffic[0].over_dcn
