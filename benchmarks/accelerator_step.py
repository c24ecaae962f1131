"""The training step on one accelerator: seconds, tokens/s, MFU, memory and compile time, as JSON.

    python -m benchmarks.accelerator_step --cases base:32:1024/256:minimal xl:16:1024/256:full

A case is `size:rows:input/target:remat[:scan|unrolled]` of T5.1.1, in bfloat16 with Adafactor and
the dropout of Flan-T5's fine-tuning (0.05). Rows are packed and full: random tokens, four examples
a row. The step is `step.make_train_step` with the state donated, as training runs it. With
`--side torch` the same numbers of rows and tokens go through the T5 of Hugging Face transformers
under torch.compile (see `torch_t5_step`). A case that does not fit is reported as such, and the
others go on.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import importlib.metadata
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

DROPOUT_RATE = 0.05
LEARNING_RATE = 1e-3
SEGMENTS = 4
WARM_UP_STEPS = 3


@dataclasses.dataclass(frozen=True)
class Case:
    """One model, batch and setting.

    Attributes:
        size: of T5.1.1: 'small', 'base', 'large', 'xl' or 'xxl'; 'tiny' to try the script.
        rows: of a batch.
        input_length: tokens of a row of inputs, L.
        target_length: tokens of a row of targets, T.
        remat: `T5Config.remat_policy`.
        scan: `T5Config.scan_layers`.
    """

    size: str
    rows: int
    input_length: int
    target_length: int
    remat: str
    scan: bool

    @classmethod
    def parse(cls, text: str) -> "Case":
        """Reads `size:rows:input/target:remat[:scan|unrolled]`; ValueError for anything else."""
        size, rows, lengths, remat, *layout = text.split(":")
        if layout not in ([], ["scan"], ["unrolled"]):
            raise ValueError(f"{text!r} ends with {':'.join(layout)!r}; expected scan or unrolled")
        input_length, target_length = (int(length) for length in lengths.split("/"))
        return cls(size, int(rows), input_length, target_length, remat, layout != ["unrolled"])

    @property
    def tokens(self) -> int:
        """Tokens of a batch, of inputs and targets together."""
        return self.rows * (self.input_length + self.target_length)


def packed_batch(case: Case, vocab_size: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch of full packed rows of random tokens, int32, with the trainer's feature names."""
    rng = np.random.default_rng(seed)

    def segment_ids(length: int) -> np.ndarray:
        cuts_BxS = rng.integers(1, length, (case.rows, SEGMENTS - 1))
        return 1 + (np.arange(length)[None, :, None] >= cuts_BxS[:, None, :]).sum(-1)

    def positions(ids_BxL: np.ndarray) -> np.ndarray:
        index_L = np.arange(ids_BxL.shape[1])
        starts_BxL = np.where(np.diff(ids_BxL, axis=1, prepend=0) > 0, index_L, 0)
        return index_L - np.maximum.accumulate(starts_BxL, axis=1)

    encoder_ids_BxL = segment_ids(case.input_length)
    decoder_ids_BxT = segment_ids(case.target_length)
    targets_BxT = rng.integers(3, vocab_size, decoder_ids_BxT.shape)
    decoder_positions_BxT = positions(decoder_ids_BxT)
    shifted_BxT = np.pad(targets_BxT[:, :-1], ((0, 0), (1, 0)))
    batch = {
        "encoder_input_tokens": rng.integers(3, vocab_size, encoder_ids_BxL.shape),
        "decoder_input_tokens": np.where(decoder_positions_BxT > 0, shifted_BxT, 0),
        "decoder_target_tokens": targets_BxT,
        "decoder_loss_weights": np.ones_like(targets_BxT),
        "encoder_segment_ids": encoder_ids_BxL,
        "decoder_segment_ids": decoder_ids_BxT,
        "encoder_positions": positions(encoder_ids_BxL),
        "decoder_positions": decoder_positions_BxT,
    }
    return {name: array.astype(np.int32) for name, array in batch.items()}


def median_s(one_step: Callable[[], Any], steps: int) -> float:
    """Median seconds of `steps` calls after the warm-up; a call returns when its work is done."""
    for _ in range(WARM_UP_STEPS):
        one_step()
    times = []
    for _ in range(steps):
        started = time.perf_counter()
        one_step()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def figures(case: Case, step_s: float, device_kind: str) -> dict[str, Any]:
    """What follows from the seconds of a step; MFU is None for a chip that is not known."""
    from flan_jax import flops
    from flan_jax.models import sizes

    config = sizes.t5_config(f"t5_1_1_{case.size}")
    step_flops = flops.train_flops(config, case.rows, case.input_length, case.target_length)
    peak = flops.peak_flop_per_s(device_kind)
    return {
        "step_s": round(step_s, 5),
        "tokens_per_s": round(case.tokens / step_s),
        "model_flops": step_flops,
        "tflop_per_s": round(step_flops / step_s / 1e12, 2),
        "mfu": round(step_flops / step_s / peak, 4) if peak else None,
    }


@dataclasses.dataclass
class Prepared:
    """A compiled step and what it starts from."""

    model: Any
    tx: Any
    batch: dict[str, np.ndarray]
    compiled: Any
    compile_s: float


def prepare(case: Case) -> Prepared:
    """Compiles our step for a case; no array is put on the device."""
    import jax
    import jax.numpy as jnp

    from flan_jax import adafactor, state, step
    from flan_jax.models import encoder_decoder, sizes, t5

    config = sizes.t5_config(
        f"t5_1_1_{case.size}",
        dtype="bfloat16",
        dropout_rate=DROPOUT_RATE,
        remat_policy=case.remat,
        scan_layers=case.scan,
    )
    model = encoder_decoder.EncoderDecoderModel(
        module=t5.Transformer(config), optimizer_def=adafactor.Adafactor()
    )
    assert model.optimizer_def is not None
    tx = model.optimizer_def.make(lambda _: jnp.float32(LEARNING_RATE), model.logical_axes())
    batch = packed_batch(case, config.vocab_size)
    jitted = jax.jit(step.make_train_step(model, tx), donate_argnums=0)
    started = time.perf_counter()
    compiled = jitted.lower(state.abstract_state(model, tx), batch).compile()
    return Prepared(model, tx, batch, compiled, time.perf_counter() - started)


def measure_prepared(case: Case, prepared: Prepared, steps: int) -> dict[str, Any]:
    """Times our compiled step.

    Returns:
        `figures`, with `compile_s`, the `peak_gib` of the compiled program (parameters, optimizer
        state, batch and everything live beside them) and the `loss` of the last step.
    """
    import jax

    from flan_jax import state

    batch = jax.device_put(prepared.batch)
    train_state = state.init_state(prepared.model, prepared.tx, seed=0)
    metrics: Any = None

    def one_step() -> None:
        nonlocal train_state, metrics
        train_state, metrics = prepared.compiled(train_state, batch)
        jax.block_until_ready((train_state, metrics))

    step_s = median_s(one_step, steps)
    memory: Any = prepared.compiled.memory_analysis()
    peak_bytes = (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        + memory.temp_size_in_bytes
        - memory.alias_size_in_bytes
    )
    return {
        **figures(case, step_s, jax.devices()[0].device_kind),
        "compile_s": round(prepared.compile_s, 1),
        "peak_gib": round(peak_bytes / 2**30, 2),
        "loss": round(float(metrics.loss), 4),
    }


def measure(
    side: str, texts: list[str], steps: int, workers: int, eager: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each case with its figures; what did not work has an `error` instead.

    Args:
        side: 'ours', or 'torch' for the baseline.
        texts: cases as `Case.parse` reads them.
        steps: timed ones.
        workers: programs of ours compiled at the same time, before any is timed.
        eager: the baseline without torch.compile.
    """
    cases = [Case.parse(text) for text in texts]
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        programs = [pool.submit(prepare, case) for case in cases] if side == "ours" else []
        concurrent.futures.wait(programs)
    for i, (text, case) in enumerate(zip(texts, cases, strict=True)):
        try:
            if side == "ours":
                yield text, measure_prepared(case, programs[i].result(), steps)
            else:
                from benchmarks import torch_t5_step

                yield text, torch_t5_step.measure(case, steps, compiled=not eager)
        except Exception as error:
            # Out of memory has another type in each framework; the first line says all there is.
            yield text, {"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in ("jax", "jaxlib", "flax", "torch", "transformers"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def main() -> None:
    """Measures the cases of one side; the two sides take turns, since each wants all the memory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", nargs="+", required=True, metavar="CASE")
    parser.add_argument("--side", choices=("ours", "torch"), default="ours")
    parser.add_argument("--eager", action="store_true", help="torch without torch.compile")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of each case")
    parser.add_argument("--workers", type=int, default=1, help="programs compiled at once")
    parser.add_argument("--output", help="also write the JSON to this file")
    args = parser.parse_args()
    result: dict[str, Any] = {"side": args.side, "versions": _versions(), "cases": {}}
    for text, found in measure(args.side, args.cases, args.steps, args.workers, args.eager):
        result["cases"][text] = found
        print(text, json.dumps(found), file=sys.stderr, flush=True)
        if args.output:
            # After every case, so that a run cut short leaves what it has.
            with open(args.output, "w", encoding="utf-8") as file:
                file.write(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
