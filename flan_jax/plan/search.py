"""Tries meshes, remat, microbatches and scanning of a training step, and ranks what fits."""

import copy
import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flan_jax import starting
from flan_jax.chips import SliceShape
from flan_jax.errors import TopologyError
from flan_jax.mesh import PjitPartitioner, divisors
from flan_jax.plan import analysis
from flan_jax.plan import report as report_lib
from flan_jax.plan.programs import Recipe, read_recipe

# More parts than this would cut a kernel's 128 lanes, or wait for links more than compute.
_MOST_MODEL = 32
# What recomputes least comes first; offloading waits for the host, which no figure here shows.
_POLICIES = ("none", "minimal", "lean", "full")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One way to run the training step, and what became of it.

    Attributes:
      model: size of the model axis.
      fsdp: size of the fsdp axis.
      data: size of the data axis, of one slice.
      remat_policy: of the network.
      num_microbatches: parts of a batch.
      scan_layers: of the network.
      report: None where it was refused before compiling.
      refusal: why.
    """

    model: int
    fsdp: int
    data: int
    remat_policy: str
    num_microbatches: int
    scan_layers: bool
    report: report_lib.PlanReport | None = None
    refusal: str = ""

    @property
    def fits(self) -> bool:
        """Whether it was compiled and fits."""
        return self.report is not None and self.report.fits

    @property
    def program(self) -> analysis.ProgramReport | None:
        """The compiled training step; None where it was refused."""
        return self.report.program("train") if self.report else None

    @property
    def peak_bytes(self) -> float:
        """Of a device; infinite if it was not compiled or the compiler gave up."""
        return math.inf if self.program is None else self.program.memory.peak or math.inf

    @property
    def expected_s(self) -> float:
        """Midway between all overlapping and nothing overlapping; infinite if it does not fit."""
        program = self.program
        if not self.fits or program is None or program.roofline is None:
            return math.inf
        return (program.roofline.overlapped_s + program.roofline.serial_s) / 2

    def label(self) -> str:
        """For a table."""
        return (
            f"model {self.model:<3} fsdp {self.fsdp:<4} data {self.data:<3} "
            f"{self.remat_policy:<8} microbatches {self.num_microbatches:<2} "
            f"{'scanned' if self.scan_layers else 'unrolled'}"
        )

    def outcome(self) -> str:
        """One line for whoever waits."""
        if self.refusal:
            return f"refused: {self.refusal}"
        if not self.fits:
            return "does not fit"
        return f"peak {analysis.gib(self.peak_bytes):.2f} GiB, {self.expected_s:.4f} s a step"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        found = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "report"
        }
        return found | {
            "fits": self.fits,
            "expected_s": self.expected_s if self.fits else None,
            "plan": self.report.as_dict() if self.report else None,
        }


def search(
    name: str,
    slice_shape: SliceShape,
    devices: Sequence[Any],
    limit: int,
    say: Callable[[str], None],
) -> list[Candidate]:
    """Compiles up to `limit` candidates of the applied configuration; the best comes first.

    The rows of a step, the model and its numerics stay as they are: candidates differ in speed and
    memory only.
    """
    base = read_recipe(list(devices))
    slices = int(base.partitioner.mesh.shape["slice"])

    def compiled(candidate: Candidate) -> Candidate:
        try:
            recipe = _with(base, candidate, slices, devices)
        except TopologyError as error:
            return dataclasses.replace(candidate, refusal=str(error))
        program = analysis.analyze_program(recipe, "train", slice_shape)
        made = report_lib.make(recipe, name, slice_shape, [program])
        return dataclasses.replace(candidate, report=made)

    return explore(candidates(base, len(devices) // slices, slices), compiled, limit, say)


def rank(tried: Sequence[Candidate]) -> list[Candidate]:
    """The fastest that fits first; of those that do not fit, the smallest."""
    return sorted(tried, key=lambda each: (each.expected_s, each.peak_bytes))


def explore(
    meshes: Sequence[Candidate],
    compiled: Callable[[Candidate], Candidate],
    limit: int,
    say: Callable[[str], None],
) -> list[Candidate]:
    """Tries one setting after the other, each on what was best before; returns them ranked.

    A compilation takes a minute, so there is no time for all combinations: first the meshes, then
    on the best of them the remat policies, then microbatches, then layers unrolled. Where nothing
    fits yet, the smallest counts as the best.

    Args:
      meshes: the first candidates, most promising first.
      compiled: fills in a candidate's report.
      limit: most calls of `compiled`.
      say: called with progress.
    """
    tried: list[Candidate] = []
    seen = set()

    def attempt(group: Iterable[Candidate]) -> Candidate:
        for candidate in group:
            if candidate in seen or len(tried) == limit:
                continue
            seen.add(candidate)
            say(f"{len(tried) + 1} of at most {limit}: {candidate.label()} ...")
            tried.append(compiled(candidate))
            say(tried[-1].outcome())
        return dataclasses.replace(rank(tried)[0], report=None, refusal="")

    best = attempt(meshes)
    best = attempt(dataclasses.replace(best, remat_policy=policy) for policy in _POLICIES)
    best = attempt([dataclasses.replace(best, num_microbatches=2 * best.num_microbatches)])
    # Unrolled layers take as many times longer to compile as there are layers, hence last.
    attempt([dataclasses.replace(best, scan_layers=not best.scan_layers)])
    if len(tried) == limit:
        say(f"stopped at --search_limit={limit}")
    return rank(tried)


def candidates(base: Recipe, devices: int, slices: int) -> list[Candidate]:
    """The meshes that are worth compiling, the recipe's own first, then the nearest to it.

    Tensor parallelism must divide the heads and the feed-forward width; the groups of devices that
    have rows of their own must divide the rows.
    """
    config, rows = base.model.config, base.train_cfg.batch_size
    own = {axis: int(size) for axis, size in base.partitioner.mesh.shape.items()}
    shapes = []
    for model in divisors(devices):
        if model > _MOST_MODEL or config.num_heads % model or config.mlp_dim % model:
            continue
        groups = devices // model
        if rows % (groups * slices):
            continue
        shapes.append((model, groups, 1))
        # Parameters cut over a quarter of the groups: less gathering, more memory.
        if groups >= 16:
            shapes.append((model, groups // 4, 4))
    shapes.sort(key=lambda each: (abs(math.log2(each[0] / max(own["model"], 4))), each[2]))
    shapes.insert(0, (own["model"], own["fsdp"], own["data"]))
    return [
        Candidate(model, fsdp, data, config.remat_policy, base.num_microbatches, config.scan_layers)
        for model, fsdp, data in dict.fromkeys(shapes)
    ]


def _with(base: Recipe, candidate: Candidate, slices: int, devices: Sequence[Any]) -> Recipe:
    """The recipe on another mesh, with another policy."""
    partitioner = PjitPartitioner(
        num_partitions=candidate.model,
        fsdp=candidate.fsdp,
        slices=slices,
        data=candidate.data,
        logical_axis_rules=base.partitioner.rules,
        devices=list(devices),
        compiler_options=base.partitioner.compiler_options,
    )
    partitioner.check_batch_size(base.train_cfg.batch_size, candidate.num_microbatches)
    model = copy.copy(base.model)
    config = dataclasses.replace(
        model.config, remat_policy=candidate.remat_policy, scan_layers=candidate.scan_layers
    )
    module: Any = model.module
    model.module = module.clone(config=config)
    plan = starting.make_plan(model, base.choose(model), base.plan.tx.learning_rate_fn, partitioner)
    return dataclasses.replace(
        base,
        model=model,
        partitioner=partitioner,
        plan=plan,
        num_microbatches=candidate.num_microbatches,
    )


def text(ranked: Sequence[Candidate]) -> str:
    """A table, best first."""
    lines = [
        "Ranked by seconds a step midway between all overlapping and nothing overlapping "
        "(predictions).",
        f"{'':<64} {'peak GiB':>8} {'s/step':>8} {'overlap':>8} {'serial':>8} {'HBM GB':>8} "
        f"{'TFLOP':>7}",
    ]
    for each in ranked:
        program = each.program
        if program is None or program.costs is None or program.roofline is None:
            why = each.refusal or (program.memory.message if program else "")
            lines.append(f"{each.label():<64} does not fit: {why[:90]}")
            continue
        line = program.roofline
        peak = analysis.gib(program.memory.peak or 0)
        fits = f"{each.expected_s:>8.4f}" if each.fits else "too much"
        lines.append(
            f"{each.label():<64} {peak:>8.2f} {fits} {line.overlapped_s:>8.4f} "
            f"{line.serial_s:>8.4f} {program.costs.hbm_bytes / 1e9:>8.1f} "
            f"{program.costs.flops / 1e12:>7.1f}"
        )
    best = ranked[0]
    if best.fits:
        lines += [
            "",
            "To use the first:",
            f"  --gin.partitioning.PjitPartitioner.num_partitions={best.model} "
            f"--gin.partitioning.PjitPartitioner.fsdp={best.fsdp} "
            f"--gin.partitioning.PjitPartitioner.data={best.data} "
            f"--gin.trainer.Trainer.num_microbatches={best.num_microbatches} "
            f"--gin.network.{_config_name(best)}.remat_policy=\"'{best.remat_policy}'\" "
            f"--gin.network.{_config_name(best)}.scan_layers={best.scan_layers}",
        ]
    return "\n".join(lines)


def _config_name(candidate: Candidate) -> str:
    assert candidate.report is not None, "the best one was compiled"
    return candidate.report.settings["config"]
