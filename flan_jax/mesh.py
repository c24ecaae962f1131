"""The device mesh and the partitioner that places arrays on it.

Axes, outermost first: `slice` (between pod slices, over the data-centre network), `data`, `fsdp`
(batch rows and parameters) and `model` (tensor parallelism, the fastest links).
"""

import contextlib
import contextvars
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import gin
import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from flan_jax import sharding
from flan_jax.errors import TopologyError

AXES = ("slice", "data", "fsdp", "model")
BATCH_AXES = ("slice", "data", "fsdp")

# Options of XLA for the training step, by platform. A compiler for TPUs may take gathers of weights
# and activations apart into loops of single hops, each beside a part of a product. For T5-XXL on 64
# chips of v4 that moved 2.7 to 3.5 times the bytes through memory on the chip, and a hop uses one
# link where a gather uses all rings of its axis (docs/pods.md).
_COMPILER_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "tpu": {
        "xla_jf_spmd_threshold_for_windowed_einsum_mib": "1000000",
        # The embedding's gradient is summed on v5p's and v6e's sparse cores: in one order, so that
        # a resumed run has the bits of one that was not stopped.
        "xla_tpu_sc_scatter_offload_non_deterministic_reduction_order": "false",
    }
}

# The gin name of each axis size, for messages.
_SETTINGS = {"slice": "slices", "data": "data", "fsdp": "fsdp", "model": "num_partitions"}


def divisors(n: int) -> list[int]:
    """Returns the divisors of a positive `n`, ascending."""
    return [d for d in range(1, n + 1) if n % d == 0]


def _nearest_sizes(value: int, options: Sequence[int], n: int = 3) -> str:
    """Names up to `n` of `options` closest to `value`, ascending."""
    close = sorted(sorted(options, key=lambda option: (abs(option - value), option))[:n])
    return ", ".join(map(str, close))


def mesh_shape(
    num_devices: int, *, slices: int, data: int | None, fsdp: int, model: int
) -> dict[str, int]:
    """Returns the size of each mesh axis; `data=None` takes what the others leave.

    Raises:
      TopologyError: a size is below 1, the mesh needs more devices than there are, does not divide
        them, or leaves some unused.
    """
    sizes = {"slice": slices, "data": data, "fsdp": fsdp, "model": model}
    for axis, size in sizes.items():
        if size is not None and (not isinstance(size, int) or size < 1):
            raise TopologyError(
                f"PjitPartitioner.{_SETTINGS[axis]} (mesh axis {axis!r}) must be a whole number "
                f"of at least 1, found {size!r}."
            )
    given = {axis: size for axis, size in sizes.items() if size is not None}
    needed = math.prod(given.values())
    asked = " x ".join(f"{_SETTINGS[axis]}={size}" for axis, size in given.items())
    if num_devices % needed:
        # The largest axis is the one a user would change.
        axis = max(given, key=lambda a: given[a])
        others = needed // given[axis]
        problem = (
            f"needs {needed} devices, but there are {num_devices}"
            if needed > num_devices
            else f"has {needed} places, which does not divide the {num_devices} devices"
        )
        if num_devices % others:
            options = divisors(num_devices)
            hint = f"The product must divide {num_devices}: {_nearest_sizes(needed, options)}."
        else:
            options = divisors(num_devices // others)
            hint = (
                f"Nearest valid sizes of {_SETTINGS[axis]} (mesh axis {axis!r}) with the other "
                f"axes as they are: {_nearest_sizes(given[axis], options)}."
            )
        raise TopologyError(f"The mesh {asked} {problem}. {hint}")
    if data is None:
        sizes["data"] = num_devices // needed
    elif needed != num_devices:
        raise TopologyError(
            f"The mesh {asked} uses {needed} of {num_devices} devices. Set data=None to take all "
            f"of them (data={data * num_devices // needed}), or devices={needed} to use the first "
            f"{needed} only."
        )
    return {axis: int(sizes[axis] or 1) for axis in AXES}


_PLANNED: contextvars.ContextVar[tuple[Any, ...] | None] = contextvars.ContextVar(
    "planned_devices", default=None
)


@contextlib.contextmanager
def planned_devices(devices: Sequence[Any]) -> Iterator[None]:
    """Lets partitioners made inside take these devices for those of the run.

    Args:
      devices: such as those of a compiled-for topology, which are not attached to this machine.
    """
    token = _PLANNED.set(tuple(devices))
    try:
        yield
    finally:
        _PLANNED.reset(token)


def select_devices(devices: int | Sequence[Any] | None) -> list[Any]:
    """Returns all devices (None), the first n (a number), or the given ones.

    Raises:
      TopologyError: fewer devices exist than asked for, or a process would hold none of them.
    """
    planned = _PLANNED.get()
    available = jax.devices() if planned is None else planned
    if devices is None:
        return list(available)
    if not isinstance(devices, int):
        return list(devices)
    if not 1 <= devices <= len(available):
        raise TopologyError(
            f"PjitPartitioner.devices={devices}, but this run has {len(available)} "
            f"{available[0].platform} devices: give a number from 1 to {len(available)}, or None "
            "for all. XLA_FLAGS=--xla_force_host_platform_device_count=N emulates N CPU devices."
        )
    chosen = list(available[:devices])
    if planned is None and len({d.process_index for d in chosen}) < jax.process_count():
        raise TopologyError(
            f"PjitPartitioner.devices={devices} leaves some of the {jax.process_count()} processes "
            "without a device. Use all devices (devices=None) in a run of several processes."
        )
    return chosen


def device_array(shape: Mapping[str, int], devices: Sequence[Any]) -> np.ndarray:
    """Arranges devices so that neighbours on the inner axes have the fastest links.

    Args:
      shape: size of each of AXES.
      devices: as many devices as the sizes multiply to.

    Raises:
      TopologyError: the slices asked for are not those of the hardware, or the shape cannot be laid
        on the physical topology.
    """
    slices = shape["slice"]
    inner = (1, *(shape[axis] for axis in AXES[1:]))
    try:
        if slices == 1:
            # Splitting a physical axis costs bandwidth, so it is only the second choice.
            try:
                return mesh_utils.create_device_mesh(inner, devices)
            except NotImplementedError:
                return mesh_utils.create_device_mesh(inner, devices, allow_split_physical_axes=True)
        found = len({getattr(d, "slice_index", 0) or 0 for d in devices})
        if found == slices:
            return mesh_utils.create_hybrid_device_mesh(
                inner, (slices, 1, 1, 1), devices, allow_split_physical_axes=True
            )
        if devices[0].platform == "cpu":
            # Emulated devices have no slices: consecutive blocks stand for them.
            blocks = np.array_split(np.asarray(devices, dtype=object), slices)
            return np.stack([block.reshape(inner[1:]) for block in blocks])
    except (ValueError, NotImplementedError) as error:
        sizes = ", ".join(f"{axis} {size}" for axis, size in shape.items())
        raise TopologyError(
            f"The mesh ({sizes}) cannot be laid on the {len(devices)} {devices[0].platform} "
            f"devices of this run: {error}"
        ) from error
    raise TopologyError(
        f"PjitPartitioner.slices={slices}, but the {len(devices)} devices of this run are in "
        f"{found} slice(s): set slices={found}."
    )


@gin.configurable(module="partitioning")
class PjitPartitioner:
    """Places parameters and batches on a device mesh.

    Attributes:
      mesh: `jax.sharding.Mesh` with axes (slice, data, fsdp, model).
      rules: pairs (logical axis name, mesh axes).
      batch_divisor: a batch's rows must be a multiple of this: slice x data x fsdp.
      compiler_options: XLA's, for the training step.
    """

    def __init__(
        self,
        num_partitions: int = 1,
        fsdp: int = 1,
        slices: int = 1,
        data: int | None = None,
        logical_axis_rules: sharding.AxisRules | None = None,
        devices: int | Sequence[Any] | None = None,
        compiler_options: Mapping[str, Any] | None = None,
    ):
        """Builds the mesh.

        Args:
          num_partitions: size of the model axis (tensor parallelism); T5X's name.
          fsdp: number of parts that parameters and their optimizer state are cut into.
          slices: number of pod slices.
          data: size of the data axis; None takes all devices that the other axes leave.
          logical_axis_rules: pairs (logical axis, mesh axes); None for the standard rules.
          devices: None for all devices, a number for the first so many, or a list of devices.
          compiler_options: XLA's, for the training step; None for those that were found best for
            the platform, {} for none.

        Raises:
          TopologyError: the mesh does not fit the devices, or a rule names an unknown mesh axis.
        """
        chosen = select_devices(devices)
        shape = mesh_shape(len(chosen), slices=slices, data=data, fsdp=fsdp, model=num_partitions)
        self.mesh = Mesh(device_array(shape, chosen), AXES, axis_types=(AxisType.Auto,) * len(AXES))
        if logical_axis_rules is None:
            logical_axis_rules = sharding.standard_logical_axis_rules()
        self.rules = sharding.check_rules(logical_axis_rules, self.mesh)
        options: Mapping[str, Any] = _COMPILER_OPTIONS.get(chosen[0].platform, {})
        if compiler_options is not None:
            options = compiler_options
        self.compiler_options = dict(options)
        self.batch_divisor = math.prod(shape[axis] for axis in BATCH_AXES)

    def shardings(self, abstract_tree: Any, axes_tree: Any) -> Any:
        """Returns a `NamedSharding` per array; see `sharding.placements` for trees and errors."""
        return sharding.tree_shardings(abstract_tree, axes_tree, self.rules, self.mesh)

    def coverage_report(self, abstract_tree: Any, axes_tree: Any) -> sharding.CoverageReport:
        """Returns where each array lies, its bytes per device, and why parts stay whole."""
        placed, _ = sharding.placements(abstract_tree, axes_tree, self.rules, self.mesh)
        return sharding.CoverageReport(tuple(placed), dict(self.mesh.shape))

    def batch_sharding(self, ndim: int = 2) -> NamedSharding:
        """Returns the sharding of a batch feature: rows split over (slice, data, fsdp)."""
        if ndim == 0:
            return self.replicated
        return NamedSharding(self.mesh, PartitionSpec(BATCH_AXES, *[None] * (ndim - 1)))

    @property
    def replicated(self) -> NamedSharding:
        """The sharding of an array that every device holds whole."""
        return NamedSharding(self.mesh, PartitionSpec())

    def check_batch_size(self, batch_size: int, num_microbatches: int = 1) -> None:
        """Checks that the rows split evenly over microbatches and devices.

        Raises:
          TopologyError: they do not; names the nearest batch sizes that do.
        """
        for name, value in (("batch size", batch_size), ("num_microbatches", num_microbatches)):
            if not isinstance(value, int) or value < 1:
                raise TopologyError(f"The {name} must be a whole number of at least 1: {value!r}.")
        unit = self.batch_divisor * num_microbatches
        if batch_size % unit == 0:
            return
        below = batch_size // unit * unit
        options = f"{below} or {below + unit}" if below else str(unit)
        axes = " x ".join(f"{axis} {self.mesh.shape[axis]}" for axis in BATCH_AXES)
        raise TopologyError(
            f"The batch of {batch_size} rows cannot be split evenly: {axes} = "
            f"{self.batch_divisor} groups of devices, times {num_microbatches} microbatch(es), "
            f"needs a multiple of {unit}. Nearest valid batch sizes: {options}."
        )

    def put_batch(self, host_batch: Mapping[str, Any]) -> dict[str, jax.Array]:
        """Moves a batch to the devices, each taking its own rows.

        Args:
          host_batch: numpy arrays of the global batch, the same on every process; first dimension
            is rows.

        Returns:
          Global arrays of the same shapes and dtypes.

        Raises:
          TopologyError: the number of rows of a feature is not a multiple of `batch_divisor`.
        """
        arrays = {name: np.asarray(value) for name, value in host_batch.items()}
        for name, array in arrays.items():
            if array.ndim and array.shape[0] % self.batch_divisor:
                raise TopologyError(
                    f"Feature {name!r} has {array.shape[0]} rows, which {self.batch_divisor} "
                    "groups of devices cannot share evenly. Pad the batch to a multiple of "
                    f"{self.batch_divisor}."
                )
        placed = {name: self.batch_sharding(array.ndim) for name, array in arrays.items()}
        if jax.process_count() == 1:
            return jax.device_put(arrays, placed)
        # device_put would compare the whole batch across processes; each reads only its rows.
        return {
            name: jax.make_array_from_callback(array.shape, placed[name], array.__getitem__)
            for name, array in arrays.items()
        }

    @contextlib.contextmanager
    def activate(self) -> Iterator[Mesh]:
        """Makes the mesh and the rules current, for tracing code with logical axis constraints.

        Enter it around the call that traces a jitted function, not inside the function.
        """
        with jax.set_mesh(self.mesh), nn.logical_axis_rules(self.rules):
            yield self.mesh
