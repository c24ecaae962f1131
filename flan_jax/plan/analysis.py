"""Compiles one program for a slice and says what it needs: memory, FLOPs, traffic, time."""

import dataclasses
import re
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from flan_jax import flops
from flan_jax.chips import GIB, SliceShape
from flan_jax.plan import costs as costs_lib
from flan_jax.plan import roofline as roofline_lib
from flan_jax.plan.programs import PROGRAMS, Recipe, decode_length

_TOO_LARGE = ("RESOURCE_EXHAUSTED", "Ran out of memory", "exceeds available")


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes of one device's main memory.

    Attributes:
      peak: the most at one time; None where the program was refused as too large.
      usable: what the compiler lets a program take; 0 where it is not known.
      parameters: of the arguments, exact.
      optimizer: likewise.
      batch: likewise.
      gradients: of the trained parameters in float32, placed like these; 0 without an update.
      activations: what else is there at the peak: saved activations and temporary arrays.
      code: the program.
      message: of the compiler, where it refused.
    """

    peak: int | None
    usable: int
    parameters: int
    optimizer: int
    batch: int
    gradients: int
    activations: int
    code: int
    message: str = ""

    @property
    def fits(self) -> bool:
        """Whether the compiler took the program and its peak is below what is usable."""
        return self.peak is not None and (not self.usable or self.peak <= self.usable)


@dataclasses.dataclass(frozen=True)
class ProgramReport:
    """What one program needs of one device.

    Attributes:
      name: 'train', 'eval' or 'decode'.
      memory: see `Memory`.
      compile_s: seconds of tracing, lowering and compiling.
      model_flops: of one call over all devices, by formula; recomputation is not in it. None for
        programs without a formula.
      costs: of one call on one device; None where the program was refused.
      roofline: likewise.
      compiler_seconds: the compiler's own estimate of one call, where it is one: a program without
        loops for a v5p. None else.
    """

    name: str
    memory: Memory
    compile_s: float
    model_flops: float | None
    costs: costs_lib.Costs | None
    roofline: roofline_lib.Roofline | None
    compiler_seconds: float | None

    def mfu_bound(self, slice_shape: SliceShape) -> float | None:
        """Model FLOPs as a share of peak if everything overlapped: no run can do better."""
        if self.model_flops is None or self.roofline is None:
            return None
        peak = slice_shape.devices * slice_shape.chip.peak_bf16_flop_per_s
        return self.model_flops / (peak * self.roofline.overlapped_s)


def analyze_program(recipe: Recipe, name: str, slice_shape: SliceShape) -> ProgramReport:
    """Compiles the program `name` of a recipe for the slice its partitioner lies on."""
    started = time.perf_counter()
    lowered = PROGRAMS[name](recipe)
    compiled, message = None, ""
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if not any(word in str(error) for word in _TOO_LARGE):
            raise
        message = _first_sentences(str(error))
    compile_s = time.perf_counter() - started
    memory = _memory(recipe, name, slice_shape, compiled, message)
    if compiled is None:
        return ProgramReport(name, memory, compile_s, _model_flops(recipe, name), None, None, None)
    open_trips = decode_length(recipe) if name == "decode" else 1
    mesh = recipe.partitioner.mesh
    found, line = analyze_compiled(
        compiled, slice_shape, dict(mesh.shape), mesh.devices, open_trips
    )
    return ProgramReport(
        name,
        memory,
        compile_s,
        _model_flops(recipe, name),
        found,
        line,
        _compiler_seconds(compiled, slice_shape),
    )


def analyze_compiled(
    compiled: Any,
    slice_shape: SliceShape,
    mesh_shape: Mapping[str, int],
    devices: np.ndarray,
    open_loop_trips: int = 1,
) -> tuple[costs_lib.Costs, roofline_lib.Roofline]:
    """Costs and roofline of any compiled executable, such as another framework's.

    Args:
      compiled: from `jax.jit(f).lower(...).compile()`.
      slice_shape: the chips it was compiled for.
      mesh_shape: axes of its mesh, outermost first.
      devices: of the mesh, in that shape.
      open_loop_trips: see `hlo.parse`.
    """
    found = costs_lib.analyze(compiled.as_text(), open_loop_trips)
    return found, roofline_lib.roofline(found, slice_shape, mesh_shape, devices)


def _memory(
    recipe: Recipe, name: str, slice_shape: SliceShape, compiled: Any, message: str
) -> Memory:
    plan = recipe.plan
    parameters = _device_bytes(plan.abstract.params, plan.shardings.params)
    trained = parameters
    parameters += _device_bytes(plan.abstract_frozen, plan.frozen_shardings)
    optimizer = 0
    if name == "train":
        optimizer = _device_bytes(plan.abstract.opt_state, plan.shardings.opt_state)
    gradients = trained if name == "train" else 0
    usable = int(slice_shape.chip.usable_hbm_bytes)
    if compiled is None:
        return Memory(None, usable, parameters, optimizer, 0, gradients, 0, 0, message)
    stats = compiled.memory_analysis()
    batch = max(0, stats.argument_size_in_bytes - parameters - optimizer)
    peak = int(stats.peak_memory_in_bytes)
    code = int(stats.generated_code_size_in_bytes)
    rest = max(0, peak - parameters - optimizer - batch - gradients)
    return Memory(peak, usable, parameters, optimizer, batch, gradients, rest, code)


def _device_bytes(abstract: Any, shardings: Any) -> int:
    sizes = jax.tree.map(
        lambda x, s: int(np.prod(s.shard_shape(x.shape), dtype=np.int64)) * x.dtype.itemsize,
        abstract,
        shardings,
    )
    return sum(jax.tree.leaves(sizes))


def _model_flops(recipe: Recipe, name: str) -> float | None:
    cfg, config = recipe.train_cfg, recipe.model.config
    sizes = (cfg.batch_size, cfg.input_length, cfg.target_length)
    if name == "train":
        return flops.train_flops(config, *sizes, trained_share=recipe.plan.trained_share)
    return flops.forward_flops(config, *sizes) if name == "eval" else None


def _compiler_seconds(compiled: Any, slice_shape: SliceShape) -> float | None:
    if slice_shape.version != "v5p" or " while(" in compiled.as_text():
        return None
    seconds = (compiled.cost_analysis() or {}).get("optimal_seconds", -1.0)
    return float(seconds) if seconds > 0 else None


def _first_sentences(text: str) -> str:
    """The part of an out-of-memory message that a person needs."""
    line = re.sub(r"\s+", " ", text.split("\n\n")[0])
    return line if len(line) < 400 else line[:397] + "..."


def gib(nbytes: float) -> float:
    """Bytes in GiB."""
    return nbytes / GIB
