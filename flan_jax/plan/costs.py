"""What one call of a compiled program costs a device: FLOPs, memory traffic, collectives.

Everything is counted as often as it runs (see `hlo.Program.runs`), and as the fused program does
it: a fusion reads its operands from memory and writes its results, what happens inside stays on the
chip. A fusion that only takes a slice of an operand reads that slice, one that updates a slice in
place writes that slice.
"""

import collections
import dataclasses
import json
import re
from collections.abc import Iterator, Mapping

import numpy as np

from flan_jax.plan import hlo
from flan_jax.plan.groups import Groups, replica_groups, source_target_pairs

COLLECTIVES = (
    "all-gather",
    "all-reduce",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
    "ragged-all-to-all",
    "collective-broadcast",
)

# They move nothing: names, control flow whose bodies are counted, and halves of asynchronous pairs.
_FREE = frozenset(
    "parameter constant tuple get-tuple-element bitcast while conditional call after-all "
    "partition-id replica-id opt-barrier add-dependency domain iota rng-get-and-update-state "
    "get-dimension-size async-start async-update async-done".split()
)
# A program for several slices hands arrays to the hosts: `send`, with the collective it is part of.
_TRANSFERS = {
    "ALL_GATHER": "all-gather",
    "ALL_REDUCE": "all-reduce",
    "REDUCE_SCATTER": "reduce-scatter",
    "ALL_TO_ALL": "all-to-all",
    "ONE_TO_ONE": "collective-permute",
}
_PALLAS_TARGET = "tpu_custom_call"


@dataclasses.dataclass(frozen=True)
class Collective:
    """Collectives of one kind over the same groups.

    Attributes:
      kind: such as 'all-gather'.
      groups: groups of device numbers that talk to each other; pairs for collective-permute.
      calls: times one of them runs in one call of the program.
      nbytes: bytes of the largest side (the gathered, or the not yet scattered array) on one
        device, over all calls. For collective-permute what one device sends.
      op_name: where most of the bytes come from, as JAX named it.
      between_slices: whether it goes over the network, by hosts; `groups` is empty and `nbytes`
        what one device hands over then.
    """

    kind: str
    groups: tuple[tuple[int, ...], ...]
    calls: float
    nbytes: float
    op_name: str
    between_slices: bool = False

    @property
    def group_size(self) -> int:
        """Devices of the largest group."""
        return max((len(group) for group in self.groups), default=1)


@dataclasses.dataclass(frozen=True)
class Costs:
    """Costs of one call on one device.

    Attributes:
      matmul_flops: of matrix products (dot, convolution), two for each multiply-add.
      kernel_flops: of hand-written kernels, as they declare them.
      hbm_bytes: read from and written to the device's main memory.
      hbm_bytes_by_kind: the same by opcode.
      onchip_bytes: the same traffic of arrays that the compiler keeps on the chip.
      collectives: what devices send each other.
      unknown_loops: loops whose trip count could not be read, counted as `analyze` was told.
    """

    matmul_flops: float
    kernel_flops: float
    hbm_bytes: float
    hbm_bytes_by_kind: Mapping[str, float]
    onchip_bytes: float
    collectives: tuple[Collective, ...]
    unknown_loops: tuple[str, ...]

    @property
    def flops(self) -> float:
        """FLOPs of matrix products, those of hand-written kernels included."""
        return self.matmul_flops + self.kernel_flops


def analyze(text: str, open_loop_trips: int = 1) -> Costs:
    """Costs of a program from `compiled.as_text()`; any program, not only ours.

    Args:
      text: of the program.
      open_loop_trips: see `hlo.parse`.
    """
    program = hlo.parse(text, open_loop_trips)
    matmul = kernel = onchip = 0.0
    traffic: dict[str, float] = collections.defaultdict(float)
    found: dict[tuple[str, Groups, bool], dict[str, list[float]]] = {}
    fused_flops: dict[str, float] = {}
    for computation, instruction, times in program.executed():
        opcode = instruction.opcode
        if opcode in ("dot", "convolution"):
            matmul += times * matmul_flops(computation, instruction)
        elif opcode == "fusion":
            name = instruction.called("calls") or ""
            if name not in fused_flops:
                fused_flops[name] = _fusion_flops(program, name)
            matmul += times * fused_flops[name]
        elif opcode == "custom-call" and _PALLAS_TARGET in instruction.attributes:
            kernel += times * kernel_cost(instruction).get("flops", 0.0)
        hbm, chip = _bytes(program, computation, instruction)
        if hbm:
            traffic[opcode] += times * hbm
        onchip += times * chip
        for kind, inside, each in _collectives_of(program, computation, instruction):
            groups, nbytes = _collective(kind, inside, each)
            if nbytes and max((len(set(group)) for group in groups), default=2) > 1:
                entry = found.setdefault((kind, groups, False), {})
                calls = entry.setdefault(_op_name(each) or _op_name(instruction), [0.0, 0.0])
                calls[0] += times
                calls[1] += times * nbytes
        transfer = re.search(r'_xla_megascale_transfer_type="(\w+)"', instruction.attributes)
        if opcode == "send" and transfer:
            kind = _TRANSFERS.get(transfer.group(1), transfer.group(1).lower())
            sent = _operand_shape(computation, instruction, 0)
            calls = found.setdefault((kind, (), True), {}).setdefault("", [0.0, 0.0])
            calls[0] += times
            calls[1] += times * (sent.nbytes if sent else 0)
    collectives = [
        Collective(
            kind,
            groups,
            sum(calls for calls, _ in by_name.values()),
            sum(nbytes for _, nbytes in by_name.values()),
            max(by_name, key=lambda name: by_name[name][1]),
            between_slices,
        )
        for (kind, groups, between_slices), by_name in found.items()
    ]
    return Costs(
        matmul_flops=matmul,
        kernel_flops=kernel,
        hbm_bytes=sum(traffic.values()),
        hbm_bytes_by_kind=dict(sorted(traffic.items(), key=lambda item: -item[1])),
        onchip_bytes=onchip,
        collectives=tuple(sorted(collectives, key=lambda each: -each.nbytes)),
        unknown_loops=tuple(program.unknown_loops),
    )


# ------------------------------------------------------------------------------------ FLOPs


def matmul_flops(computation: hlo.Computation, instruction: hlo.Instruction) -> float:
    """FLOPs of one dot or convolution."""
    if instruction.opcode == "dot":
        left = _operand_shape(computation, instruction, 0)
        contracted = _dims(instruction.attributes, "lhs_contracting_dims")
        inner = float(np.prod([left.dims[d] for d in contracted])) if left else 1.0
        return 2.0 * instruction.shapes[0].elements * inner
    return _convolution_flops(computation, instruction)


def _convolution_flops(computation: hlo.Computation, instruction: hlo.Instruction) -> float:
    """Multiply-adds that touch a real input, as XLA counts them.

    The TPU compiler writes batched matrix products as convolutions whose window meets one real
    input at each place, the others being padding or holes; those must not count.
    """
    labels = re.search(r"dim_labels=([^\s,]+)_([^\s,]+)->([^\s,]+)", instruction.attributes)
    left = _operand_shape(computation, instruction, 0)
    right = _operand_shape(computation, instruction, 1)
    if labels is None or left is None or right is None:
        return 0.0
    lhs, rhs, out = labels.groups()
    result = instruction.shapes[0]
    spatial = sorted(set(re.findall(r"\d", out)), key=int)
    window = _window(instruction.attributes, len(spatial))
    valid = 1.0
    for i, label in enumerate(spatial):
        valid *= _valid_positions(
            left.dims[lhs.index(label)],
            right.dims[rhs.index(label)],
            result.dims[out.index(label)],
            {name: values[i] for name, values in window.items()},
        )
    groups = re.search(r"batch_group_count=(\d+)", instruction.attributes)
    batch = left.dims[lhs.index("b")] / (int(groups.group(1)) if groups else 1)
    return 2.0 * right.dims[rhs.index("i")] * right.dims[rhs.index("o")] * batch * valid


def _window(attributes: str, rank: int) -> dict[str, list[tuple[int, ...]]]:
    """The fields of `window={...}` by dimension."""
    fields = {"stride": (1,), "pad": (0, 0), "lhs_dilate": (1,), "rhs_dilate": (1,)}
    text = re.search(r"window=\{([^}]*)\}", attributes)
    found: dict[str, list[tuple[int, ...]]] = {}
    for name, default in fields.items():
        match = re.search(rf"\b{name}=([-\dx_]+)", text.group(1)) if text else None
        entries = match.group(1).split("x") if match else []
        values = [tuple(int(n) for n in entry.split("_")) for entry in entries]
        found[name] = values if len(values) == rank else [default] * rank
    return found


def _valid_positions(
    size: int, kernel: int, out: int, window: Mapping[str, tuple[int, ...]]
) -> int:
    """Pairs (output position, kernel position) of one dimension that meet a real input."""
    stride, dilate, hole = window["stride"][0], window["rhs_dilate"][0], window["lhs_dilate"][0]
    if kernel == 1 and window["pad"] == (0, 0) and hole == 1:
        return out
    at = np.arange(out)[:, None] * stride - window["pad"][0] + np.arange(kernel)[None, :] * dilate
    inside = (at >= 0) & (at % hole == 0) & (at // hole < size)
    return int(inside.sum())


def _fusion_flops(program: hlo.Program, name: str) -> float:
    computation = program.computations.get(name)
    if computation is None:
        return 0.0
    total = 0.0
    for instruction in computation.instructions.values():
        if instruction.opcode in ("dot", "convolution"):
            total += matmul_flops(computation, instruction)
        elif instruction.opcode == "fusion":
            total += _fusion_flops(program, instruction.called("calls") or "")
    return total


def kernel_cost(instruction: hlo.Instruction) -> dict[str, float]:
    """`flops` and `bytes_accessed` that a hand-written kernel declares of itself, where it does."""
    text = re.search(r'"cost_estimate":(\{[^}]*\})', instruction.attributes)
    if text is None:
        return {}
    return {name: float(value) for name, value in json.loads(text.group(1)).items()}


# ------------------------------------------------------------------------------------ memory


def _bytes(
    program: hlo.Program, computation: hlo.Computation, instruction: hlo.Instruction
) -> tuple[float, float]:
    """Bytes in main memory and in on-chip memory that one instruction reads and writes."""
    opcode = instruction.opcode
    if opcode in _FREE or opcode.endswith("-done"):
        return 0.0, 0.0
    if opcode == "custom-call" and _PALLAS_TARGET not in instruction.attributes:
        return 0.0, 0.0  # Names for buffers: AllocateBuffer, ConcatBitcast.
    if opcode == "fusion":
        fused = program.computations.get(instruction.called("calls") or "")
        reads, writes = _fusion_sizes(program, fused) if fused else ({}, {})
    else:
        reads, writes = _plain_sizes(computation, instruction)
    totals = [0.0, 0.0]
    for i, name in enumerate(instruction.operands):
        made = computation.instructions.get(name)
        if made is None or not made.shapes or made.opcode == "constant":
            continue
        for shape in made.shapes[:1] if len(made.shapes) == 1 else ():
            size = reads.get(i)
            totals[shape.space != 0] += shape.nbytes if size is None else min(size, shape.nbytes)
    results = instruction.shapes
    if opcode.endswith("-start"):
        # (operand, result, ...): the operand is only handed through.
        results = results[1:2]
    for i, shape in enumerate(results):
        size = writes.get(i)
        totals[shape.space != 0] += shape.nbytes if size is None else min(size, shape.nbytes)
    return totals[0], totals[1]


def _plain_sizes(
    computation: hlo.Computation, instruction: hlo.Instruction
) -> tuple[dict[int, float], dict[int, float]]:
    """Bytes read of each operand and written of each result, where it is not all of it."""
    result = float(instruction.shapes[0].nbytes)
    opcode = instruction.opcode
    if opcode in ("dynamic-slice", "slice", "gather"):
        return {0: result}, {}
    if opcode == "slice-start":
        return {0: float(instruction.shapes[1].nbytes)}, {}
    if opcode == "dynamic-update-slice":
        update = _operand_shape(computation, instruction, 1)
        size = float(update.nbytes) if update else result
        return {0: 0.0}, {0: size}
    if opcode == "scatter":
        updates = _operand_shape(computation, instruction, len(instruction.operands) - 1)
        size = float(updates.nbytes) if updates else result
        return {0: size}, {0: size}
    return {}, {}


def _fusion_sizes(
    program: hlo.Program, fused: hlo.Computation
) -> tuple[dict[int, float], dict[int, float]]:
    """The same for a fusion, from how it uses its parameters and makes its results."""
    reads: dict[int, float] = {}
    for number, parameter in fused.parameters.items():
        size = _read_size(program, fused, parameter.name)
        if size is not None:
            reads[number] = size
    writes: dict[int, float] = {}
    root = fused.root
    parts = root.operands if root.opcode == "tuple" else (root.name,)
    for i, name in enumerate(parts):
        made = fused.behind(name)
        if made is not None and made.opcode == "dynamic-update-slice":
            update = _operand_shape(fused, made, 1)
            if update is not None:
                writes[i] = float(update.nbytes)
    return reads, writes


def _read_size(program: hlo.Program, fused: hlo.Computation, name: str) -> float | None:
    """Bytes of a value that a fusion touches; None for all of it."""
    total = 0.0
    for user in fused.users.get(name, []):
        if user.opcode in ("dynamic-slice", "slice", "gather") and user.operands[0] == name:
            total += user.shapes[0].nbytes
        elif user.opcode == "dynamic-update-slice" and user.operands[0] == name:
            continue
        elif user.opcode == "bitcast":
            size = _read_size(program, fused, user.name)
            if size is None:
                return None
            total += size
        elif user.opcode == "fusion":
            inner = program.computations.get(user.called("calls") or "")
            number = user.operands.index(name)
            if inner is None or number not in inner.parameters:
                return None
            size = _read_size(program, inner, inner.parameters[number].name)
            if size is None:
                return None
            total += size
        else:
            return None
    return total


# ------------------------------------------------------------------------------------ collectives


def _collectives_of(
    program: hlo.Program, computation: hlo.Computation, instruction: hlo.Instruction
) -> Iterator[tuple[str, hlo.Computation, hlo.Instruction]]:
    """The collectives that an instruction is, or that a fusion holds, with their kind."""
    kind = instruction.opcode.removesuffix("-start")
    if kind in COLLECTIVES:
        users = computation.users.get(instruction.name, [])
        # A TPU writes a reduce-scatter as an all-reduce of which a slice is kept, in one fusion.
        sliced = users and all(user.opcode == "dynamic-slice" for user in users)
        yield (
            "reduce-scatter" if kind == "all-reduce" and sliced else kind,
            computation,
            instruction,
        )
    elif instruction.opcode == "fusion":
        fused = program.computations.get(instruction.called("calls") or "")
        if fused is None:
            return
        for each in fused.instructions.values():
            if each.opcode == "fusion" or each.opcode.removesuffix("-start") in COLLECTIVES:
                yield from _collectives_of(program, fused, each)


def _collective(
    kind: str, computation: hlo.Computation, instruction: hlo.Instruction
) -> tuple[tuple[tuple[int, ...], ...], float]:
    """Groups, and bytes of the largest side on one device."""
    if kind == "collective-permute":
        shape = _operand_shape(computation, instruction, 0)
        pairs = source_target_pairs(instruction.attributes)
        return pairs, float(shape.nbytes) if shape else 0.0
    operands = sum(
        float(shape.nbytes)
        for name in instruction.operands
        if (made := computation.instructions.get(name)) is not None
        for shape in made.shapes
    )
    results = instruction.shapes
    if instruction.opcode.endswith("-start") and kind == "all-gather":
        results = results[1:2]
    made = sum(float(shape.nbytes) for shape in results)
    return replica_groups(instruction.attributes), max(operands, made) if kind in (
        "all-gather",
        "reduce-scatter",
    ) else operands


def _op_name(instruction: hlo.Instruction) -> str:
    found = re.search(r'op_name="([^"]*)"', instruction.attributes)
    return found.group(1) if found else ""


def _operand_shape(
    computation: hlo.Computation, instruction: hlo.Instruction, index: int
) -> hlo.Shape | None:
    if index >= len(instruction.operands):
        return None
    made = computation.instructions.get(instruction.operands[index])
    return made.shapes[0] if made is not None and made.shapes else None


def _dims(attributes: str, name: str) -> list[int]:
    found = re.search(rf"\b{name}=\{{([\d,]*)\}}", attributes)
    return hlo.numbers(found.group(1)) if found else []
