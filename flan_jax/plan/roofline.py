"""How long a program would take at the chip's peak rates: compute, memory, links, network.

Each term is a lower bound for itself. A step takes at least the largest (everything overlaps) and,
if nothing overlaps, the sum; compilers overlap most of it. These are predictions, not measurements.

Links: a gather of V bytes over a mesh axis that lies along k rings of the torus takes
V / (k * both directions of a link), a reduce-scatter the same, an all-reduce twice that, an
all-to-all a quarter; a line instead of a ring takes twice as long (jax-ml/scaling-book,
sharding.md, read in 2026). Collectives along different axes of the torus use different links: where
everything overlaps, the busiest axis counts, and where nothing does, all of them in turn.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flan_jax.chips import SliceShape
from flan_jax.plan import groups as groups_lib
from flan_jax.plan.costs import Collective, Costs

# Time of a kind, in units of (bytes of its largest side) / (bandwidth of the axis).
_TIMES = {"all-reduce": 2.0, "all-to-all": 0.25, "ragged-all-to-all": 0.25}


@dataclasses.dataclass(frozen=True)
class AxisTraffic:
    """Collectives of one kind along the same axes of the mesh, per device and call.

    Attributes:
      kind: such as 'all-gather'.
      axes: axes of the mesh.
      group_size: devices that take part.
      calls: collectives.
      nbytes: of their largest sides.
      seconds: at peak bandwidth.
      over_dcn: whether it leaves the slice.
      links: axes of the torus whose links it uses; () over the network.
      op_name: where most of the bytes come from.
    """

    kind: str
    axes: tuple[str, ...]
    group_size: int
    calls: float
    nbytes: float
    seconds: float
    over_dcn: bool
    links: tuple[int, ...]
    op_name: str


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Seconds of one call at peak rates, by what limits it.

    Attributes:
      compute_s: of matrix products.
      hbm_s: of memory traffic.
      ici_s: of the busiest axis of the torus.
      ici_serial_s: of all collectives within a slice, one after the other.
      dcn_s: of collectives between slices.
      traffic: collectives by kind and axes.
    """

    compute_s: float
    hbm_s: float
    ici_s: float
    ici_serial_s: float
    dcn_s: float
    traffic: tuple[AxisTraffic, ...]

    @property
    def overlapped_s(self) -> float:
        """The largest term: everything else hides behind it."""
        return max(self.compute_s, self.hbm_s, self.ici_s, self.dcn_s)

    @property
    def serial_s(self) -> float:
        """The sum: nothing overlaps."""
        return self.compute_s + self.hbm_s + self.ici_serial_s + self.dcn_s

    @property
    def bound_by(self) -> str:
        """Name of the largest term."""
        terms = {"compute": self.compute_s, "HBM": self.hbm_s, "ICI": self.ici_s, "DCN": self.dcn_s}
        return max(terms, key=lambda name: terms[name])


def roofline(
    costs: Costs, slice_shape: SliceShape, mesh_shape: Mapping[str, int], devices: np.ndarray
) -> Roofline:
    """Puts a program's costs on a slice.

    Args:
      costs: of one call on one device.
      slice_shape: the chips.
      mesh_shape: axes of the mesh, outermost first.
      devices: of the mesh, in its shape; their `coords` say which links an axis uses.
    """
    chip = slice_shape.chip
    flat = list(np.asarray(devices, dtype=object).ravel())
    merged: dict[tuple[str, tuple[str, ...], tuple[int, ...]], list[AxisTraffic]] = {}
    one_way: dict[frozenset[tuple[int, ...]], float] = {}
    for each in costs.collectives:
        if each.between_slices:
            merged.setdefault((each.kind, ("slice",), ()), []).append(
                _between_slices(each, slice_shape)
            )
            continue
        if not each.groups:
            each = dataclasses.replace(each, groups=(tuple(range(len(flat))),))
        axes = groups_lib.mesh_axes(each.groups, mesh_shape)
        seconds, over_dcn, links = _seconds(each, slice_shape, flat)
        if each.kind == "collective-permute":
            # A ring that is walked both ways at once uses both directions of its links.
            back = frozenset((target, source) for source, target in each.groups)
            one_way[frozenset(each.groups)] = seconds
            seconds = (
                max(0.0, seconds - one_way.get(back, 0.0)) if len(each.groups) > 2 else seconds
            )
        merged.setdefault((each.kind, axes, links), []).append(
            AxisTraffic(
                each.kind,
                axes,
                each.group_size,
                each.calls,
                each.nbytes,
                seconds,
                over_dcn,
                links,
                each.op_name,
            )
        )
    traffic = [
        dataclasses.replace(
            max(found, key=lambda one: one.nbytes),
            calls=sum(one.calls for one in found),
            nbytes=sum(one.nbytes for one in found),
            seconds=sum(one.seconds for one in found),
        )
        for found in merged.values()
    ]
    traffic.sort(key=lambda one: -one.seconds)
    inside = [one for one in traffic if not one.over_dcn]
    busy = {
        link: sum(one.seconds for one in inside if link in one.links)
        for link in range(len(slice_shape.dims))
    }
    return Roofline(
        compute_s=costs.flops / chip.peak_bf16_flop_per_s,
        hbm_s=costs.hbm_bytes / chip.hbm_bytes_per_s,
        ici_s=max(busy.values()),
        ici_serial_s=sum(one.seconds for one in inside),
        dcn_s=sum(one.seconds for one in traffic if one.over_dcn),
        traffic=tuple(traffic),
    )


def _between_slices(each: Collective, slice_shape: SliceShape) -> AxisTraffic:
    """What hosts send each other: to every other slice, or twice a part of it to be summed."""
    slices = max(slice_shape.slices, 2)
    times = {"all-gather": slices - 1.0, "all-reduce": 2 * (slices - 1) / slices}
    nbytes = each.nbytes * times.get(each.kind, 1.0)
    seconds = nbytes / max(slice_shape.chip.dcn_bytes_per_s, 1.0)
    return AxisTraffic(
        each.kind, ("slice",), slices, each.calls, each.nbytes, seconds, True, (), each.op_name
    )


def _seconds(
    each: Collective, slice_shape: SliceShape, devices: Sequence[Any]
) -> tuple[float, bool, tuple[int, ...]]:
    """Seconds of a collective, whether it leaves the slice, and the axes of the torus it uses."""
    chip = slice_shape.chip
    group = max(each.groups, key=lambda g: len(set(g)))
    members = [devices[i] for i in group]
    over_dcn = len({getattr(d, "slice_index", 0) or 0 for d in members}) > 1
    share = (len(members) - 1) / len(members)
    is_permute = each.kind == "collective-permute"
    nbytes = each.nbytes if is_permute else _TIMES.get(each.kind, 1.0) * each.nbytes * share
    if over_dcn:
        # The part within the slices is small beside it.
        return nbytes / max(chip.dcn_bytes_per_s, 1.0), True, ()
    rates = _link_rates(members, slice_shape)
    links = tuple(rates)
    if is_permute:
        # Neighbours of a ring, in one direction of one link.
        return nbytes / max(chip.ici_bytes_per_s / 2, 1.0), False, links
    # Two cores of one chip talk within it.
    return nbytes / max(sum(rates.values()) or math.inf, 1.0), False, links


def _link_rates(members: Sequence[Any], slice_shape: SliceShape) -> dict[int, float]:
    """Axes of the torus that a group spreads along, with bytes/s of both directions."""
    link = slice_shape.chip.ici_bytes_per_s
    coords = np.array([tuple(d.coords)[: len(slice_shape.dims)] for d in members])
    rates = {}
    for axis, (size, ring) in enumerate(zip(slice_shape.dims, slice_shape.rings, strict=True)):
        along = len(np.unique(coords[:, axis]))
        if along > 1:
            # Part of an axis is a line even where the whole of it is a ring.
            rates[axis] = link if ring and along == size else link / 2
    return rates
