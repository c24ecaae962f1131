"""Learning-rate schedules: functions of the int32 step, returning a float32 scalar.

`create_learning_rate_scheduler` reads T5X's factor strings; `constant`, `rsqrt`, `linear` and
`cosine` are the same curves by plain names. Steps count from 0.
"""

from collections.abc import Callable

import gin
import jax
import jax.numpy as jnp

from flan_jax import errors
from flan_jax.adafactor import LearningRateFn

_FACTORS = (
    "constant",
    "linear_warmup",
    "linear_decay",
    "rsqrt_decay",
    "rsqrt_normalized_decay",
    "decay_every",
    "cosine_decay",
)
# Factors that divide by `warmup_steps`, at some step or always.
_NEED_WARMUP = ("linear_warmup", "linear_decay", "rsqrt_decay", "rsqrt_normalized_decay")


@gin.configurable(module="utils")
def create_learning_rate_scheduler(
    factors: str = "constant * linear_warmup * rsqrt_decay",
    base_learning_rate: float = 0.5,
    warmup_steps: int = 1000,
    decay_factor: float = 0.5,
    steps_per_decay: int = 20000,
    steps_per_cycle: int = 100000,
    step_offset: int = 0,
    min_learning_rate: float = 1e-8,
) -> LearningRateFn:
    """The product of named factors, with T5X's names and meaning.

    With s = max(step - step_offset, 0) and w = warmup_steps:

    * constant: base_learning_rate
    * linear_warmup: min(1, s / w)
    * linear_decay: base_learning_rate * min(s / w, 1 + decay_factor * (w - s)); it already contains
      constant and linear_warmup
    * rsqrt_decay: 1 / sqrt(max(s, w))
    * rsqrt_normalized_decay: sqrt(w / max(s, w))
    * decay_every: decay_factor ** (s // steps_per_decay)
    * cosine_decay: (1 + cos(pi * p)) / 2, p the fraction of the current cycle of steps_per_cycle
      steps, counted from step w; 0 before

    Args:
        factors: names joined by '*'.
        base_learning_rate: see constant and linear_decay.
        warmup_steps: w, in steps.
        decay_factor: see linear_decay and decay_every.
        steps_per_decay: in steps.
        steps_per_cycle: in steps.
        step_offset: the step that counts as 0.
        min_learning_rate: lower limit of the result.

    Raises:
        ConfigError: an unknown factor, or a number of steps that would be divided by and is not
            positive.
    """
    names = [name.strip() for name in factors.split("*")]
    for name in names:
        if name not in _FACTORS:
            raise errors.ConfigError(
                f"utils.create_learning_rate_scheduler.factors = {factors!r} holds {name!r}; "
                f"known are {', '.join(_FACTORS)}.{errors.suggest(name, _FACTORS)}"
            )
    where = "utils.create_learning_rate_scheduler"
    if any(name in _NEED_WARMUP for name in names):
        _check_positive(where, "warmup_steps", warmup_steps)
    if "decay_every" in names:
        _check_positive(where, "steps_per_decay", steps_per_decay)
    if "cosine_decay" in names:
        _check_positive(where, "steps_per_cycle", steps_per_cycle)

    def learning_rate(step: jax.Array | int) -> jax.Array:
        # The whole-number parts stay int32: float32 cannot hold every step above 2^24.
        count = jnp.maximum(jnp.asarray(step, jnp.int32) - step_offset, 0)
        s = count.astype(jnp.float32)
        w = float(warmup_steps)
        rate = jnp.ones((), jnp.float32)
        for name in names:
            match name:
                case "constant":
                    rate *= base_learning_rate
                case "linear_warmup":
                    rate *= jnp.minimum(1.0, s / w)
                case "linear_decay":
                    slope = 1.0 + decay_factor * (w - s)
                    rate *= base_learning_rate * jnp.minimum(s / w, slope)
                case "rsqrt_decay":
                    rate /= jnp.sqrt(jnp.maximum(s, w))
                case "rsqrt_normalized_decay":
                    rate *= jnp.sqrt(w / jnp.maximum(s, w))
                case "decay_every":
                    rate *= decay_factor ** (count // steps_per_decay).astype(jnp.float32)
                case "cosine_decay":
                    into_cycle = jnp.maximum(count - warmup_steps, 0) % steps_per_cycle
                    progress = into_cycle.astype(jnp.float32) / steps_per_cycle
                    rate *= 0.5 * (1.0 + jnp.cos(jnp.pi * progress))
        return jnp.maximum(rate, min_learning_rate)

    return learning_rate


@gin.configurable(module="schedules")
def constant(learning_rate: float, warmup_steps: int = 0) -> LearningRateFn:
    """`learning_rate`, reached linearly over `warmup_steps` steps."""
    return lambda step: learning_rate * _warmup(step, warmup_steps)


@gin.configurable(module="schedules")
def rsqrt(learning_rate: float = 1.0, hold_steps: int = 10_000) -> LearningRateFn:
    """T5's pretraining schedule: learning_rate / sqrt(max(step, hold_steps)).

    Raises:
        ConfigError: `hold_steps` is not positive.
    """
    _check_positive("schedules.rsqrt", "hold_steps", hold_steps)
    return lambda step: (
        learning_rate / jnp.sqrt(jnp.maximum(jnp.asarray(step, jnp.float32), float(hold_steps)))
    )


@gin.configurable(module="schedules")
def linear(
    learning_rate: float, total_steps: int, warmup_steps: int = 0, end_factor: float = 0.0
) -> LearningRateFn:
    """Warm-up, then a straight line to `end_factor * learning_rate` at `total_steps`, then level.

    Raises:
        ConfigError: `total_steps` is not above `warmup_steps`.
    """
    _check_decay("schedules.linear", total_steps, warmup_steps)
    return _warm_up_and_decay(
        learning_rate,
        total_steps,
        warmup_steps,
        end_factor,
        lambda progress: 1.0 - progress,
    )


@gin.configurable(module="schedules")
def cosine(
    learning_rate: float, total_steps: int, warmup_steps: int = 0, end_factor: float = 0.0
) -> LearningRateFn:
    """Warm-up, then half a cosine to `end_factor * learning_rate` at `total_steps`, then level.

    Raises:
        ConfigError: `total_steps` is not above `warmup_steps`.
    """
    _check_decay("schedules.cosine", total_steps, warmup_steps)
    return _warm_up_and_decay(
        learning_rate,
        total_steps,
        warmup_steps,
        end_factor,
        lambda progress: 0.5 * (1.0 + jnp.cos(jnp.pi * progress)),
    )


def _warm_up_and_decay(
    learning_rate: float,
    total_steps: int,
    warmup_steps: int,
    end_factor: float,
    shape: Callable[[jax.Array], jax.Array],
) -> LearningRateFn:
    """Warm-up, then from `learning_rate` to its `end_factor` as `shape` goes from 1 to 0."""

    def rate(step: jax.Array | int) -> jax.Array:
        left = shape(_progress(step, warmup_steps, total_steps))
        return learning_rate * _warmup(step, warmup_steps) * (end_factor + (1 - end_factor) * left)

    return rate


def _warmup(step: jax.Array | int, warmup_steps: int) -> jax.Array:
    if warmup_steps <= 0:
        return jnp.ones((), jnp.float32)
    return jnp.minimum(1.0, jnp.asarray(step, jnp.float32) / warmup_steps)


def _progress(step: jax.Array | int, warmup_steps: int, total_steps: int) -> jax.Array:
    """How far between the end of the warm-up and `total_steps`, in [0, 1]."""
    done = jnp.asarray(step, jnp.float32) - warmup_steps
    return jnp.clip(done / (total_steps - warmup_steps), 0.0, 1.0)


def _check_positive(where: str, name: str, value: int) -> None:
    if value <= 0:
        raise errors.ConfigError(f"{where}.{name} = {value!r}; expected a number of steps above 0.")


def _check_decay(where: str, total_steps: int, warmup_steps: int) -> None:
    if total_steps <= warmup_steps:
        raise errors.ConfigError(
            f"{where}.total_steps = {total_steps} must be above warmup_steps = {warmup_steps}: "
            "the decay runs from the one to the other."
        )
