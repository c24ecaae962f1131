"""Peak figures of known accelerators, and the shapes of TPU slices.

Sources: "docs" are the pages of cloud.google.com/tpu/docs on each version; "book" is the table of
jax-ml/scaling-book, tpus.md, read in 2026; "compiler" is the limit that libtpu 0.0.42 names when a
program is too large for the device.
"""

import dataclasses
import math

from flan_jax.errors import TopologyError, suggest

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
    """Peak figures of one device as JAX sees it.

    Attributes:
      name: short name.
      peak_bf16_flop_per_s: of matrix products.
      hbm_bytes: size of the main memory.
      hbm_bytes_per_s: its bandwidth.
      source: of the figures above.
      usable_hbm_bytes: what the compiler lets a program take; 0 where it is not known.
      ici_bytes_per_s: of one axis of the torus, both directions together; 0 without such links.
      dcn_bytes_per_s: a chip's share of its host's network, one direction; an estimate of the book.
      torus: chips along each axis of the largest slice; () for chips without a torus.
      wraps_at: a slice's axis is a ring where its size is a multiple of this.
      cores: JAX devices a chip.
    """

    name: str
    peak_bf16_flop_per_s: float
    hbm_bytes: float
    hbm_bytes_per_s: float
    source: str
    usable_hbm_bytes: float = 0.0
    ici_bytes_per_s: float = 0.0
    dcn_bytes_per_s: float = 0.0
    torus: tuple[int, ...] = ()
    wraps_at: int = 0
    cores: int = 1


# Keys are `jax.Device.device_kind`. A v2 or v3 device is one of two cores of its chip, which share
# the chip's links.
CHIPS = {
    "TPU v3": Chip(
        "v3 core",
        123e12 / 2,
        16e9,
        0.45e12,
        "docs: 123 TFLOP/s a chip (the book has 140); book: HBM, links; halved",
        15.48 * GIB,
        1.0e11,
        3.1e9,
        (32, 32),
        32,
        2,
    ),
    "TPU v4": Chip(
        "v4", 275e12, 32e9, 1.2e12, "docs; book", 30.75 * GIB, 9.0e10, 6.25e9, (16, 16, 16), 4
    ),
    "TPU v5 lite": Chip(
        "v5e", 197e12, 16e9, 0.81e12, "docs; book", 15.75 * GIB, 9.0e10, 3.125e9, (16, 16), 16
    ),
    "TPU v5": Chip(
        "v5p", 459e12, 96e9, 2.8e12, "docs; book", 95.74 * GIB, 1.8e11, 6.25e9, (16, 20, 28), 4
    ),
    "TPU v6 lite": Chip(
        "v6e",
        918e12,
        32e9,
        1.6e12,
        "docs (the book has 920); book",
        31.25 * GIB,
        1.8e11,
        12.5e9,
        (16, 16),
        16,
    ),
    "NVIDIA H100 80GB HBM3": Chip("H100 SXM", 989e12, 80e9, 3.35e12, "nvidia.com H100 datasheet"),
    "NVIDIA H200": Chip("H200", 989e12, 141e9, 4.8e12, "nvidia.com H200 datasheet"),
}


@dataclasses.dataclass(frozen=True)
class SliceKind:
    """How slices of one TPU version are named and cut (docs).

    Attributes:
      device_kind: key of CHIPS.
      prefix: of the names by which slices are booked.
      cores_per_name: what the number of such a name counts, per chip.
      chips_per_host: chips of one worker of a slice of several.
      rank: axes of the torus.
    """

    device_kind: str
    prefix: str
    cores_per_name: int
    chips_per_host: int
    rank: int


SLICE_KINDS = {
    "v3": SliceKind("TPU v3", "v3", 2, 4, 2),
    "v4": SliceKind("TPU v4", "v4", 2, 4, 3),
    "v5e": SliceKind("TPU v5 lite", "v5litepod", 1, 4, 2),
    "v5p": SliceKind("TPU v5", "v5p", 2, 4, 3),
    "v6e": SliceKind("TPU v6 lite", "v6e", 1, 4, 2),
}

# Smallest sizes of an axis the hardware offers (docs, "TPU configurations").
_SIZES_2D = {1, 2, 4, 8, 16, 32}


@dataclasses.dataclass(frozen=True)
class SliceShape:
    """One TPU slice, or several equal ones.

    Attributes:
      version: key of SLICE_KINDS.
      dims: chips along each axis.
      slices: how many such slices, joined by the data-centre network.
    """

    version: str
    dims: tuple[int, ...]
    slices: int = 1

    @property
    def kind(self) -> SliceKind:
        """Of the version."""
        return SLICE_KINDS[self.version]

    @property
    def chip(self) -> Chip:
        """Figures of one JAX device."""
        return CHIPS[self.kind.device_kind]

    @property
    def chips(self) -> int:
        """Of all slices."""
        return math.prod(self.dims) * self.slices

    @property
    def devices(self) -> int:
        """JAX devices of all slices."""
        return self.chips * self.chip.cores

    @property
    def hosts(self) -> int:
        """Workers of all slices."""
        chips = math.prod(self.dims)
        # The versions with a flat torus also come as one machine of eight.
        if chips == 8 and self.version in ("v5e", "v6e"):
            return self.slices
        return self.slices * max(1, chips // self.kind.chips_per_host)

    @property
    def booked_as(self) -> str:
        """The accelerator type by which one slice is booked, such as 'v4-128'."""
        return f"{self.kind.prefix}-{math.prod(self.dims) * self.kind.cores_per_name}"

    @property
    def name(self) -> str:
        """Such as 'v4:4x4x4' or 'v5e:16x16,slices=2'."""
        text = f"{self.version}:{'x'.join(map(str, self.dims))}"
        return f"{text},slices={self.slices}" if self.slices > 1 else text

    @property
    def rings(self) -> tuple[bool, ...]:
        """For each axis whether its ends are joined."""
        at = self.chip.wraps_at
        # A cube-built torus closes its rings only when every axis is built of whole cubes.
        whole = [size % at == 0 for size in self.dims]
        if self.kind.rank == 3:
            return tuple(all(whole) for _ in whole)
        return tuple(whole)


def parse_slice(text: str) -> SliceShape:
    """Reads 'v4:4x4x4', 'v5e:16x16,slices=2', or a booking name such as 'v4-128' or 'v5e-256'.

    Raises:
      TopologyError: the version is not known, or there is no such slice.
    """
    name, _, option = text.replace(" ", "").partition(",")
    slices = 1
    if option:
        key, _, value = option.partition("=")
        if key != "slices" or not value.isdigit() or int(value) < 1:
            raise TopologyError(
                f"Behind the comma of the topology {text!r} stands {option!r}; expected slices=N."
            )
        slices = int(value)
    version, separator, rest = name.partition(":" if ":" in name else "-")
    version = {"v5litepod": "v5e", "v5lite": "v5e", "v5": "v5p", "v6": "v6e"}.get(version, version)
    if version not in SLICE_KINDS or not separator:
        raise TopologyError(
            f"There is no topology {text!r}. Write a version and the chips along each axis, such "
            f"as v4:4x4x4 or v5e:16x16,slices=2, or a booking name such as v4-128; versions: "
            f"{', '.join(SLICE_KINDS)}.{suggest(version, SLICE_KINDS)}"
        )
    dims = _dims(version, rest, text) if ":" in name else _named_dims(version, rest, text)
    return SliceShape(version, dims, slices)


def _dims(version: str, rest: str, text: str) -> tuple[int, ...]:
    kind, parts = SLICE_KINDS[version], rest.split("x")
    if not all(part.isdigit() and int(part) > 0 for part in parts) or len(parts) != kind.rank:
        raise TopologyError(
            f"The topology {text!r} needs {kind.rank} sizes for {version}, such as "
            f"{version}:{'x'.join(['4'] * kind.rank)}."
        )
    dims = tuple(int(part) for part in parts)
    chip = CHIPS[kind.device_kind]
    if any(size > most for size, most in zip(sorted(dims), sorted(chip.torus), strict=True)):
        most = "x".join(map(str, chip.torus))
        raise TopologyError(f"The topology {text!r} is larger than {version}'s largest, {most}.")
    if kind.rank == 2 and any(size not in _SIZES_2D for size in dims):
        raise TopologyError(
            f"The topology {text!r}: sizes of {version} are {sorted(_SIZES_2D)}, such as "
            f"{version}:{'x'.join(str(max(s for s in _SIZES_2D if s <= d)) for d in dims)}."
        )
    if kind.rank == 3 and any(size % 4 and size not in (1, 2) for size in dims):
        raise TopologyError(
            f"The topology {text!r}: sizes of {version} are 1, 2 and multiples of 4, such as "
            f"{version}:{'x'.join(str(d if d <= 2 else max(4, d // 4 * 4)) for d in dims)}."
        )
    return dims


def _named_dims(version: str, rest: str, text: str) -> tuple[int, ...]:
    """The usual shape for a number of chips: as near to a cube or a square as can be."""
    kind = SLICE_KINDS[version]
    chips = int(rest) // kind.cores_per_name if rest.isdigit() else 0
    shapes = [dims for dims in _shapes(kind) if math.prod(dims) == chips]
    if not shapes or int(rest) % kind.cores_per_name:
        names = sorted({math.prod(dims) * kind.cores_per_name for dims in _shapes(kind)})
        number = int(rest) if rest.isdigit() else 8
        near = sorted(sorted(names, key=lambda n: abs(n - number))[:4])
        counts = "cores, two a chip" if kind.cores_per_name == 2 else "chips"
        raise TopologyError(
            f"There is no slice {text!r} (the number counts {counts}). Nearest: "
            + ", ".join(f"{version}-{n}" for n in near)
        )
    return min(shapes, key=lambda dims: (sum(dims), dims))


def _shapes(kind: SliceKind) -> list[tuple[int, ...]]:
    """Shapes that can be booked, sizes ascending."""
    if kind.rank == 2:
        return [
            (1, 1),
            (2, 2),
            (2, 4),
            (4, 4),
            (4, 8),
            (8, 8),
            (8, 16),
            (16, 16),
            (16, 32),
            (32, 32),
        ][: 8 if kind.device_kind != "TPU v3" else 10]
    most = CHIPS[kind.device_kind].torus
    sizes = range(4, max(most) + 1, 4)
    cubes = [
        (a, b, c)
        for a in sizes
        for b in sizes
        for c in sizes
        if a <= b <= c and a <= most[0] and b <= most[1] and c <= most[2]
    ]
    return [(2, 2, 1), (2, 2, 2), (2, 2, 4), (2, 4, 4), *cubes]
