"""The devices of a TPU slice that is not attached: what the compiler needs to know of them."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from flan_jax.chips import SliceShape
from flan_jax.errors import TopologyError

# Compiling must neither ask a cloud's metadata server nor claim an attached TPU, and two compiling
# processes must not exclude each other.
_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_STDERR_LOG_LEVEL": "3",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def prepare_environment() -> None:
    """Sets what libtpu reads when it is loaded; call it before anything uses a JAX device."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drops what libtpu writes to stderr on a machine without a TPU; errors come as exceptions."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def devices(slice_shape: SliceShape) -> list[Any]:
    """Returns the devices of a slice, with coordinates and slice numbers, as compile targets.

    Raises:
      TopologyError: libtpu is not installed, or refuses the slice.
    """
    from jax.experimental import topologies

    options: dict[str, Any] = {}
    if slice_shape.version == "v4":
        # Both cores of a chip as one device, as JAX runs a v4.
        options["chip_config_name"] = "megacore"
    if slice_shape.slices > 1:
        options["num_slices"] = slice_shape.slices
    name = f"{slice_shape.version}:{'x'.join(map(str, slice_shape.dims))}"
    if len(slice_shape.dims) == 2 and slice_shape.chips // slice_shape.slices == 1:
        options["chips_per_host_bounds"] = (1, 1, 1)
    try:
        with _quiet():
            return list(topologies.get_topology_desc(name, "tpu", **options).devices)
    except Exception as error:  # The plug-in raises its own kinds.
        text = str(error)
        if "libtpu" in text.lower() or "no module" in text.lower():
            raise TopologyError(
                "Compiling for TPUs needs their compiler, libtpu, which is not installed: "
                f"pip install 'flan-jax[plan]' ({text.splitlines()[0]})"
            ) from error
        raise TopologyError(f"The TPU compiler refuses {slice_shape.name}: {text}") from error
