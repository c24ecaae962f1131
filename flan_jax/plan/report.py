"""A plan as text and as plain values for JSON."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax

from flan_jax.chips import SliceShape
from flan_jax.plan.analysis import ProgramReport, gib
from flan_jax.plan.programs import Recipe

_MOST_COLLECTIVES = 8


@dataclasses.dataclass(frozen=True)
class PlanReport:
    """What a recipe needs of a slice.

    Attributes:
      name: of the recipe: its gin files.
      slice_shape: the slice.
      mesh: axis -> size.
      settings: what shapes the programs: remat policy, microbatches and so on.
      total_steps: of the whole run.
      programs: one report each.
      parameters: number of parameters.
      placement: where every array lies, as text.
    """

    name: str
    slice_shape: SliceShape
    mesh: dict[str, int]
    settings: dict[str, Any]
    total_steps: int
    programs: tuple[ProgramReport, ...]
    parameters: int
    placement: str

    @property
    def fits(self) -> bool:
        """Whether every program does."""
        return all(each.memory.fits for each in self.programs)

    def program(self, name: str) -> ProgramReport | None:
        """The report of one program, or None."""
        return next((each for each in self.programs if each.name == name), None)

    def hours(self) -> tuple[float, float] | None:
        """Predicted hours of all training steps: everything overlaps, nothing overlaps."""
        train = self.program("train")
        if train is None or train.roofline is None:
            return None
        line, steps = train.roofline, self.total_steps
        return line.overlapped_s * steps / 3600, line.serial_s * steps / 3600

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        hours = self.hours()
        return {
            "recipe": self.name,
            "topology": self.slice_shape.name,
            "booked_as": self.slice_shape.booked_as,
            "chips": self.slice_shape.chips,
            "hosts": self.slice_shape.hosts,
            "jax": jax.__version__,
            "mesh": self.mesh,
            "settings": self.settings,
            "parameters": self.parameters,
            "fits": self.fits,
            "total_steps": self.total_steps,
            "predicted_hours_overlapped": hours and hours[0],
            "predicted_hours_serial": hours and hours[1],
            "programs": [_program_dict(each, self.slice_shape) for each in self.programs],
            "chip": dataclasses.asdict(self.slice_shape.chip),
        }


def make(recipe: Recipe, name: str, slice_shape: SliceShape, programs: Any) -> PlanReport:
    """Collects the reports of a recipe's programs."""
    config, plan = recipe.model.config, recipe.plan
    cfg = recipe.train_cfg
    fields = ("dtype", "remat_policy", "scan_layers", "attention_kernel", "dropout_rate")
    settings: dict[str, Any] = {"config": type(config).__name__}
    settings |= {field: getattr(config, field) for field in fields if hasattr(config, field)}
    settings |= {
        "rows": cfg.batch_size,
        "input_length": cfg.input_length,
        "target_length": cfg.target_length,
        "packed": cfg.pack,
        "num_microbatches": recipe.num_microbatches,
        "loss_chunk_size": recipe.model.loss_chunk_size,
    }
    arrays = jax.tree.leaves((plan.abstract.params, plan.abstract_frozen))
    return PlanReport(
        name=name,
        slice_shape=slice_shape,
        mesh={axis: int(size) for axis, size in recipe.partitioner.mesh.shape.items()},
        settings=settings,
        total_steps=recipe.total_steps,
        programs=tuple(programs),
        parameters=sum(array.size for array in arrays),
        placement=plan.report(recipe.partitioner, long=True),
    )


def text(report: PlanReport, placement: bool = False) -> str:
    """The report for a terminal."""
    return "\n".join([*_head(report), *_body(report), *([report.placement] if placement else [])])


def _head(report: PlanReport) -> Iterator[str]:
    shape, chip = report.slice_shape, report.slice_shape.chip
    mesh = " x ".join(f"{axis} {size}" for axis, size in report.mesh.items() if size > 1)
    size = f"{shape.booked_as}: {shape.chips} chips, {shape.hosts} hosts"
    yield f"{report.name} on {shape.name} ({size})"
    yield f"  mesh {mesh or 'of one device'}; {report.parameters:,} parameters"
    yield "  " + ", ".join(f"{name} {value}" for name, value in report.settings.items())
    yield (
        f"  chip {chip.name}: {chip.peak_bf16_flop_per_s / 1e12:.0f} TFLOP/s, "
        f"{gib(chip.usable_hbm_bytes):.2f} GiB usable, {chip.hbm_bytes_per_s / 1e12:.2f} TB/s, "
        f"{chip.ici_bytes_per_s / 1e9:.0f} GB/s a ring ({chip.source})"
    )
    yield "Predictions from compiled programs; nothing was run."


def _body(report: PlanReport) -> Iterator[str]:
    for program in report.programs:
        yield ""
        yield from _program(program, report.slice_shape)
    hours = report.hours()
    if hours is not None:
        low, high = hours
        chips = report.slice_shape.chips
        yield ""
        yield (
            f"{report.total_steps:,} steps: {low:.1f} h if all overlaps, {high:.1f} h if nothing "
            f"does; {low * chips:,.0f} to {high * chips:,.0f} chip-hours, without evaluation, "
            "saving and waiting for data"
        )


def _program(program: ProgramReport, shape: SliceShape) -> Iterator[str]:
    memory = program.memory
    compiled = f"compiled in {program.compile_s:.0f} s"
    if memory.peak is None:
        yield f"{program.name}: DOES NOT FIT ({compiled})"
        yield f"  {memory.message}"
        yield (
            f"  parameters {gib(memory.parameters):.2f}, optimizer {gib(memory.optimizer):.2f}, "
            f"gradients {gib(memory.gradients):.2f} GiB a device; try --search, more fsdp, "
            "remat_policy 'full', or more microbatches"
        )
        return
    margin = gib(memory.usable - memory.peak)
    fits = f"fits with {margin:.2f} GiB to spare" if memory.fits else f"{-margin:.2f} GiB TOO MUCH"
    yield f"{program.name}: peak {gib(memory.peak):.2f} GiB a device, {fits} ({compiled})"
    parts = ("parameters", "optimizer", "gradients", "activations", "batch", "code")
    yield "  memory  " + ", ".join(f"{p} {gib(getattr(memory, p)):.2f}" for p in parts) + " GiB"
    costs, line = program.costs, program.roofline
    assert costs is not None and line is not None, "a program that was compiled has both"
    flops = f"  FLOPs   {costs.flops / 1e12:.2f} T a device"
    if program.model_flops is not None:
        share = program.model_flops / shape.devices
        flops += f"; model FLOPs {share / 1e12:.2f} T, so {costs.flops / share - 1:+.0%} recomputed"
    yield flops
    yield (
        f"  traffic {costs.hbm_bytes / 1e9:.1f} GB of HBM, {costs.onchip_bytes / 1e9:.1f} GB of "
        "memory on the chip"
    )
    yield (
        f"  time    compute {line.compute_s:.4f}, HBM {line.hbm_s:.4f}, ICI {line.ici_s:.4f}, "
        f"DCN {line.dcn_s:.4f} s: {line.overlapped_s:.4f} s if all overlaps (bound by "
        f"{line.bound_by}), {line.serial_s:.4f} s if nothing does"
    )
    bound = program.mfu_bound(shape)
    if bound is not None:
        serial = bound * line.overlapped_s / line.serial_s
        yield f"  MFU     at most {bound:.0%}; {serial:.0%} if nothing overlaps"
    if program.compiler_seconds is not None:
        yield f"  the compiler's own estimate: {program.compiler_seconds:.4f} s"
    yield from _collectives(line.traffic)
    if costs.unknown_loops:
        counted = "once, so FLOPs and bytes are lower bounds"
        if program.name == "decode":
            counted = "for all tokens that decoding may produce"
        yield f"  {len(costs.unknown_loops)} loop(s) whose end depends on data count {counted}"


def _collectives(traffic: Sequence[Any]) -> Iterator[str]:
    for one in traffic[:_MOST_COLLECTIVES]:
        if one.seconds < 1e-5:
            break
        axes = "+".join(one.axes)
        yield (
            f"  {one.kind:<18} {axes:<12} {one.calls:>6.0f} calls {one.nbytes / 1e9:>8.2f} GB "
            f"{one.seconds:.4f} s{' over DCN' if one.over_dcn else ''}"
        )


def _program_dict(program: ProgramReport, shape: SliceShape) -> dict[str, Any]:
    costs, line = program.costs, program.roofline
    found: dict[str, Any] = {
        "name": program.name,
        "fits": program.memory.fits,
        "memory_bytes": dataclasses.asdict(program.memory),
        "compile_s": program.compile_s,
        "model_flops": program.model_flops,
        "mfu_bound": program.mfu_bound(shape),
        "compiler_seconds": program.compiler_seconds,
    }
    if costs is None or line is None:
        return found
    return found | {
        "device_flops": costs.flops,
        "device_hbm_bytes": costs.hbm_bytes,
        "device_hbm_bytes_by_kind": dict(costs.hbm_bytes_by_kind),
        "device_onchip_bytes": costs.onchip_bytes,
        "unknown_loops": list(costs.unknown_loops),
        "seconds": {
            "compute": line.compute_s,
            "hbm": line.hbm_s,
            "ici": line.ici_s,
            "ici_serial": line.ici_serial_s,
            "dcn": line.dcn_s,
            "overlapped": line.overlapped_s,
            "serial": line.serial_s,
        },
        "collectives": [dataclasses.asdict(one) for one in line.traffic],
    }
