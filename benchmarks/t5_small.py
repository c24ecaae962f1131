"""Train step, compile time and greedy decoding of T5.1.1-small on one CPU device, as JSON.

    python -m benchmarks.t5_small --output /tmp/t5_small.json

Batch 8, 256 input and 64 target tokens, no padding, Adafactor, dropout 0.1; 32 tokens are decoded
greedily. With FLAN_JAX_BENCH_T5X=/path/to/a/t5x/checkout T5X's own step is measured in the same
run and the ratios ours/T5X are added. Each measurement is a process of its own; the two sides
alternate.
"""

import argparse
import json
import os
import platform
from typing import Any

from benchmarks import processes

# T5X's field names; the same dictionary configures both sides.
SIZES = {
    "vocab_size": 32128,
    "emb_dim": 512,
    "num_heads": 6,
    "num_encoder_layers": 8,
    "num_decoder_layers": 8,
    "head_dim": 64,
    "mlp_dim": 1024,
    "mlp_activations": ("gelu", "linear"),
}
FIGURES = ("step_s", "compile_s", "decode_s", "decode_compile_s")


def measure_ours(dtype: str, runs: int) -> dict[str, float]:
    """Seconds of our train step, compile, and greedy decode; see `t5x_baseline.measure`."""
    import jax

    from benchmarks import timing
    from flan_jax import adafactor, state, step
    from flan_jax.decode.config import DecodeConfig
    from flan_jax.models import encoder_decoder, t5

    config = t5.T5Config(**SIZES, dtype=dtype, dropout_rate=timing.DROPOUT_RATE)
    model = encoder_decoder.EncoderDecoderModel(
        module=t5.Transformer(config), optimizer_def=adafactor.Adafactor()
    )
    tx = model.optimizer_def.make(lambda _: timing.LEARNING_RATE, model.logical_axes())
    train_state = state.init_state(model, tx, seed=0)
    batch = timing.random_batch(config.vocab_size)
    jitted = jax.jit(step.make_train_step(model, tx), donate_argnums=0)
    compiled, compile_s = timing.compile_timed(jitted, train_state, batch)
    holder = [train_state]

    def one_step() -> Any:
        holder[0], metrics = compiled(holder[0], batch)
        return metrics.loss

    step_s = timing.median_s(one_step, runs)

    prompts = {"encoder_input_tokens": batch["encoder_input_tokens"]}
    # An end-of-sequence id that is never produced, so that every row decodes to the full length.
    decode_config = DecodeConfig(
        method="greedy", max_decode_length=timing.DECODE_LENGTH, eos_id=config.vocab_size
    )
    decode, decode_compile_s = timing.compile_timed(
        jax.jit(lambda params, batch: model.predict_batch(params, batch, None, decode_config)),
        holder[0].params,
        prompts,
    )
    output = decode(holder[0].params, prompts)
    if int(output.lengths_BxK.min()) != timing.DECODE_LENGTH:
        raise RuntimeError(f"decoded {output.lengths_BxK} tokens, not {timing.DECODE_LENGTH}")
    decode_s = timing.median_s(lambda: decode(holder[0].params, prompts), runs)
    return {
        "step_s": step_s,
        "compile_s": compile_s,
        "decode_s": decode_s,
        "decode_compile_s": decode_compile_s,
    }


def _measure(side: str, dtype: str, runs: int) -> dict[str, float]:
    if side == "ours":
        return measure_ours(dtype, runs)
    from benchmarks import t5x_baseline

    return t5x_baseline.measure(os.environ["FLAN_JAX_BENCH_T5X"], dtype, SIZES, runs)


def main() -> None:
    """Runs the comparison, or with --side one measurement of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", choices=("ours", "t5x"))
    parser.add_argument("--dtype", choices=("float32", "bfloat16"))
    parser.add_argument("--runs", type=int, default=5, help="timed calls in each process")
    parser.add_argument("--rounds", type=int, default=1, help="processes of each side and dtype")
    parser.add_argument("--output", help="also write the JSON to this file")
    args = parser.parse_args()
    if args.side:
        print(json.dumps(_measure(args.side, args.dtype or "float32", args.runs)))
        return

    import jax

    sides = ["ours"] + (["t5x"] if os.environ.get("FLAN_JAX_BENCH_T5X") else [])
    result: dict[str, Any] = {
        "benchmark": "T5.1.1-small, batch 8, 256/64 tokens, greedy 32 tokens, one CPU device",
        "jax": jax.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    for dtype in (args.dtype,) if args.dtype else ("float32", "bfloat16"):
        rounds: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
        for _ in range(args.rounds):
            for side in sides:
                found = processes.measure(
                    "benchmarks.t5_small", side=side, dtype=dtype, runs=args.runs
                )
                rounds[side].append(found)
        result[dtype] = {side: processes.medians(each) for side, each in rounds.items()}
        if "t5x" in sides:
            result[dtype]["ours_over_t5x"] = {
                name: round(result[dtype]["ours"][name] / result[dtype]["t5x"][name], 3)
                for name in FIGURES
            }
    text = json.dumps(result, indent=1)
    print(text)
    if args.output:
        with open(args.output, "w", encoding="utf-8") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
