"""Reads the text of a compiled XLA program: computations, instructions, and how often each runs.

XLA's own cost analysis counts the body of a loop once. Here every computation gets the number of
times it runs in one call of the program: the product of the trip counts of the loops around it.
"""

import collections
import dataclasses
import functools
import math
import re
from collections.abc import Iterator, Mapping

_BITS = {"pred": 8, "s4": 4, "u4": 4, "s2": 2, "u2": 2, "token": 0, "opaque": 0}
_SHAPE = re.compile(r"([a-z][a-z0-9]*)\[([0-9,<= ]*)\](?:\{([^}]*)\})?")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([^\s=]+) = ")
_HEADER = re.compile(r"^(ENTRY )?%?([^\s(]+) \(.*\{\s*$")
_NAME = re.compile(r"%([^\s,(){}]+)")
_CALLED = {
    "calls": re.compile(r"\bcalls=%?([^\s,)}]+)"),
    "body": re.compile(r"\bbody=%?([^\s,)}]+)"),
    "condition": re.compile(r"\bcondition=%?([^\s,)}]+)"),
    "to_apply": re.compile(r"\bto_apply=%?([^\s,)}]+)"),
}
_BRANCHES = re.compile(r"\bbranch_computations=\{([^}]*)\}")
_TRUE_FALSE = re.compile(r"\b(?:true|false)_computation=%?([^\s,)}]+)")
_TRIP_COUNT = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
# Layout tiles such as T(8,128)(2,1), and the memory space S(1); no S is the device's main memory.
_TILE = re.compile(r"T\(([0-9,]+)\)")
_SPACE = re.compile(r"S\((\d+)\)")


@dataclasses.dataclass(frozen=True)
class Shape:
    """One array of a compiled program.

    Attributes:
      dtype: XLA's name, such as 'bf16'.
      dims: sizes.
      space: 0 for the device's main memory (HBM); others are on the chip.
      layout: the text between the braces.
    """

    dtype: str
    dims: tuple[int, ...]
    space: int = 0
    layout: str = ""

    @property
    def bits(self) -> int:
        """Bits of one element."""
        if self.dtype in _BITS:
            return _BITS[self.dtype]
        digits = re.search(r"\d+", self.dtype)
        return int(digits.group()) if digits else 0

    @property
    def elements(self) -> int:
        """Number of elements, without padding."""
        return math.prod(self.dims)

    @functools.cached_property
    def nbytes(self) -> int:
        """Bytes in memory, with the padding of the layout's first tile."""
        order_text = self.layout.split(":", 1)[0]
        dims = list(self.dims)
        order = [int(d) for d in order_text.split(",") if d.strip().isdigit()]
        tile = _TILE.search(self.layout)
        if tile and len(order) == len(dims) and dims:
            sizes = [int(n) for n in tile.group(1).split(",")]
            # `order` lists dimensions from the fastest varying one; a tile's last number is for it.
            for dim, size in zip(order, reversed(sizes), strict=False):
                # A tile never pads an array to more than its own size by much: a scalar is a word.
                if math.prod(self.dims) >= size:
                    dims[dim] = math.ceil(dims[dim] / size) * size
        return math.ceil(math.prod(dims) * self.bits / 8)


@dataclasses.dataclass
class Instruction:
    """One instruction.

    Attributes:
      name: unique in its computation.
      opcode: such as 'fusion'.
      shapes: what it makes; several for a tuple.
      operands: names of instructions of the same computation.
      attributes: the text behind the operands.
      literal: the text between the parentheses, for constants and parameters.
      root: whether it is its computation's result.
    """

    name: str
    opcode: str
    shapes: tuple[Shape, ...]
    operands: tuple[str, ...]
    attributes: str
    literal: str
    root: bool

    def called(self, role: str) -> str | None:
        """The computation it calls as 'calls', 'body', 'condition' or 'to_apply'."""
        found = _CALLED[role].search(self.attributes)
        return found.group(1) if found else None

    @property
    def branches(self) -> list[str]:
        """The computations of a conditional."""
        found = _BRANCHES.search(self.attributes)
        if found:
            return [name.strip().lstrip("%") for name in found.group(1).split(",")]
        return _TRUE_FALSE.findall(self.attributes)


@dataclasses.dataclass
class Computation:
    """Instructions by name, in order."""

    name: str
    instructions: dict[str, Instruction]

    @functools.cached_property
    def root(self) -> Instruction:
        """The result."""
        for instruction in self.instructions.values():
            if instruction.root:
                return instruction
        return next(reversed(self.instructions.values()))

    @functools.cached_property
    def parameters(self) -> dict[int, Instruction]:
        """Parameters by number."""
        return {
            int(each.literal): each
            for each in self.instructions.values()
            if each.opcode == "parameter"
        }

    @functools.cached_property
    def users(self) -> Mapping[str, list[Instruction]]:
        """Instruction -> those that read it."""
        found: dict[str, list[Instruction]] = collections.defaultdict(list)
        for instruction in self.instructions.values():
            for operand in dict.fromkeys(instruction.operands):
                found[operand].append(instruction)
        return found

    def behind(self, name: str) -> Instruction | None:
        """The instruction that made a value, seen through copies of it."""
        found = self.instructions.get(name)
        while found is not None and found.opcode in ("copy", "bitcast", "convert", "copy-done"):
            source = self.instructions.get(found.operands[0])
            if source is not None and source.opcode == "copy-start":
                source = self.instructions.get(source.operands[0])
            found = source
        return found


@dataclasses.dataclass
class Program:
    """A compiled program.

    Attributes:
      computations: by name.
      entry: name of the one that is called.
      runs: computation -> times it runs in one call; fused ones are left out.
      unknown_loops: loops whose trip count could not be read.
    """

    computations: dict[str, Computation]
    entry: str
    runs: dict[str, float]
    unknown_loops: list[str]

    def executed(self) -> Iterator[tuple[Computation, Instruction, float]]:
        """Every instruction that runs by itself, with the number of times."""
        for name, times in self.runs.items():
            computation = self.computations[name]
            for instruction in computation.instructions.values():
                yield computation, instruction, times


def parse(text: str, open_loop_trips: int = 1) -> Program:
    """Reads `compiled.as_text()`.

    Args:
      text: of the program.
      open_loop_trips: what counts for a loop whose end depends on data, such as decoding until all
        rows have ended.

    Raises:
      ValueError: the text has no entry computation.
    """
    computations: dict[str, Computation] = {}
    entry, current = None, None
    for line in text.splitlines():
        if current is None or not line.startswith(" "):
            header = _HEADER.match(line)
            if header:
                current = Computation(header.group(2), {})
                computations[current.name] = current
                entry = current.name if header.group(1) else entry
            continue
        instruction = _parse_instruction(line)
        if instruction is not None:
            current.instructions[instruction.name] = instruction
    if entry is None:
        raise ValueError("The text is not a compiled program: it has no ENTRY computation.")
    program = Program(computations, entry, {}, [])
    _count(program, entry, 1.0, open_loop_trips)
    return program


def parse_shapes(text: str) -> tuple[Shape, ...]:
    """The arrays named in a type, a tuple's in order."""
    shapes = []
    for dtype, dims, layout in _SHAPE.findall(text):
        sizes = tuple(int(d.strip().lstrip("<=")) for d in dims.split(",") if d.strip())
        space = _SPACE.search(layout or "")
        shapes.append(Shape(dtype, sizes, int(space.group(1)) if space else 0, layout or ""))
    return tuple(shapes)


def _parse_instruction(line: str) -> Instruction | None:
    head = _INSTRUCTION.match(line)
    if head is None:
        return None
    position = head.end()
    end = _closing(line, position) + 1 if line[position] == "(" else line.find(" ", position)
    type_text, rest = line[position:end], line[end:].lstrip()
    opening = rest.find("(")
    if opening < 0:
        return None
    closing = _closing(rest, opening)
    inside = rest[opening + 1 : closing]
    return Instruction(
        name=head.group(2),
        opcode=rest[:opening],
        shapes=parse_shapes(type_text),
        operands=tuple(_NAME.findall(inside)),
        attributes=rest[closing + 1 :],
        literal=inside,
        root=head.group(1) is not None,
    )


def _closing(text: str, opening: int) -> int:
    """Index of the parenthesis that closes the one at `opening`."""
    depth = 0
    for index in range(opening, len(text)):
        if text[index] == "(":
            depth += 1
        elif text[index] == ")":
            depth -= 1
            if depth == 0:
                return index
    return len(text) - 1


def _count(program: Program, name: str, times: float, open_trips: int) -> None:
    """Adds `times` runs of a computation and of what it calls by itself."""
    computation = program.computations.get(name)
    if computation is None:
        return
    program.runs[name] = program.runs.get(name, 0.0) + times
    for instruction in computation.instructions.values():
        if instruction.opcode == "while":
            trips = trip_count(program, computation, instruction)
            if trips is None:
                program.unknown_loops.append(instruction.name)
                trips = open_trips
            _count(program, instruction.called("body") or "", times * trips, open_trips)
        elif instruction.opcode == "conditional":
            # One branch runs; which is not known, so the longest stands for it.
            branches = [b for b in instruction.branches if b in program.computations]
            if branches:
                sizes = {b: len(program.computations[b].instructions) for b in branches}
                _count(program, max(branches, key=lambda b: sizes[b]), times, open_trips)
        elif instruction.opcode in ("call", "async-start"):
            called = instruction.called("to_apply") or instruction.called("calls") or ""
            _count(program, called, times, open_trips)


def trip_count(program: Program, computation: Computation, loop: Instruction) -> int | None:
    """How often a loop's body runs, or None.

    XLA writes it down for some loops. Else it follows from the condition `counter < constant`, the
    counter's first value, and the constant that the body adds to it.
    """
    known = _TRIP_COUNT.search(loop.attributes)
    if known:
        return int(known.group(1))
    condition = program.computations.get(loop.called("condition") or "")
    body = program.computations.get(loop.called("body") or "")
    if condition is None or body is None:
        return None
    compare = condition.root
    if compare.opcode == "fusion":
        return None
    counter, bound = (condition.behind(name) for name in (*compare.operands, "", "")[:2])
    if compare.opcode != "compare" or counter is None or bound is None:
        return None
    direction = _attribute(compare.attributes, "direction")
    if counter.opcode == "constant":
        counter, bound = bound, counter
        direction = {"GT": "LT", "GE": "LE"}.get(direction or "", "")
    limit, index = _constant(bound), _attribute(counter.attributes, "index")
    if limit is None or index is None or direction not in ("LT", "LE"):
        return None
    start = _tuple_entry(computation, loop.operands[0], int(index))
    first = _constant(start) if start is not None else None
    step = _step(program, body, int(index))
    if first is None or not step:
        return None
    return max(0, math.ceil((limit + (direction == "LE") - first) / step))


def _tuple_entry(computation: Computation, name: str, index: int) -> Instruction | None:
    made = computation.instructions.get(name)
    if made is None or made.opcode != "tuple" or index >= len(made.operands):
        return None
    return computation.behind(made.operands[index])


def _step(program: Program, body: Computation, index: int) -> int | None:
    """What the body adds to entry `index` of its tuple."""
    made = _tuple_entry(body, body.root.name, index)
    if made is None:
        return None
    if made.opcode == "fusion":
        inner = program.computations.get(made.called("calls") or "")
        return _added(inner, inner.root) if inner is not None else None
    return _added(body, made)


def _added(computation: Computation, made: Instruction) -> int | None:
    if made.opcode != "add":
        return None
    values = [_constant(computation.behind(name)) for name in made.operands]
    found = [value for value in values if value is not None]
    return found[0] if len(found) == 1 else None


def _constant(instruction: Instruction | None) -> int | None:
    if instruction is None or instruction.opcode != "constant":
        return None
    return int(instruction.literal) if re.fullmatch(r"-?\d+", instruction.literal) else None


def _attribute(text: str, name: str) -> str | None:
    found = re.search(rf"\b{name}=([A-Za-z0-9_]+)", text)
    return found.group(1) if found else None


def numbers(text: str) -> list[int]:
    """All whole numbers of a text."""
    return [int(n) for n in re.findall(r"\d+", text)]
