"""What both sides of a benchmark share: shapes, the random batch, and how a call is timed."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

BATCH = 8
INPUT_LENGTH = 256
TARGET_LENGTH = 64
DECODE_LENGTH = 32
DROPOUT_RATE = 0.1
LEARNING_RATE = 1e-3


def random_batch(vocab_size: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A full (unpadded, unpacked) batch of random tokens, int32, with T5X's feature names."""
    rng = np.random.default_rng(seed)
    inputs_BxL = rng.integers(3, vocab_size, (BATCH, INPUT_LENGTH), dtype=np.int32)
    targets_BxT = rng.integers(3, vocab_size, (BATCH, TARGET_LENGTH), dtype=np.int32)
    shifted_BxT = np.pad(targets_BxT[:, :-1], ((0, 0), (1, 0)))
    return {
        "encoder_input_tokens": inputs_BxL,
        "decoder_input_tokens": shifted_BxT,
        "decoder_target_tokens": targets_BxT,
        "decoder_loss_weights": np.ones_like(targets_BxT),
    }


def compile_timed(jitted: Any, *args: Any) -> tuple[Any, float]:
    """Lowers and compiles `jitted` for `args`; returns (executable, seconds)."""
    started = time.perf_counter()
    compiled = jitted.lower(*args).compile()
    return compiled, time.perf_counter() - started


def median_s(call: Callable[[], Any], runs: int) -> float:
    """Median seconds of `runs` calls after one warm-up; each waits for its results."""
    jax.block_until_ready(call())
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - started)
    return statistics.median(times)
