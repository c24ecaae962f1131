import gin
import jax
import numpy as np
import optax
import pytest

from flan_jax import schedules
from flan_jax.errors import ConfigError

STEPS = np.array([0, 1, 3, 9, 10, 11, 25, 50, 99, 100, 101, 250, 20_000_001])


def values(schedule, steps=STEPS):
    return np.asarray(jax.vmap(schedule)(steps.astype(np.int32)))


def factor_values(factors, **options):
    return values(schedules.create_learning_rate_scheduler(factors, **options))


def formula_cases():
    s, w = STEPS.astype(np.float64), 10.0
    warm = np.minimum(1.0, s / w)
    after = np.maximum(s - w, 0)
    return {
        "constant": np.full(s.shape, 0.5),
        "constant * linear_warmup": 0.5 * warm,
        "linear_decay": 0.5 * np.minimum(s / w, 1 + 0.01 * (w - s)),
        "constant * linear_warmup * rsqrt_decay": 0.5 * warm / np.sqrt(np.maximum(s, w)),
        "rsqrt_normalized_decay": np.sqrt(w / np.maximum(s, w)),
        "constant*decay_every": 0.5 * 0.01 ** (s // 50),
        "cosine_decay * linear_warmup": warm * (1 + np.cos(np.pi * (after % 40) / 40)) / 2,
    }


@pytest.mark.parametrize("factors", formula_cases())
def test_factors_follow_their_formula(factors):
    found = factor_values(
        factors,
        base_learning_rate=0.5,
        warmup_steps=10,
        decay_factor=0.01,
        steps_per_decay=50,
        steps_per_cycle=40,
    )
    expected = np.maximum(formula_cases()[factors], 1e-8)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-8)


def test_defaults_are_those_of_t5x():
    found = values(schedules.create_learning_rate_scheduler(), np.array([500, 1000, 4000]))
    expected = [0.5 * 0.5 / 1000**0.5, 0.5 / 1000**0.5, 0.5 / 4000**0.5]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_step_offset_and_lower_limit():
    schedule = schedules.create_learning_rate_scheduler(
        "constant * linear_warmup",
        base_learning_rate=1.0,
        warmup_steps=10,
        step_offset=100,
        min_learning_rate=0.05,
    )
    found = values(schedule, np.array([0, 100, 105, 110, 200]))
    np.testing.assert_allclose(found, [0.05, 0.05, 0.5, 1, 1], rtol=1e-6)


def test_named_schedules_equal_optax():
    np.testing.assert_allclose(values(schedules.constant(1e-3)), 1e-3, rtol=1e-6)
    np.testing.assert_allclose(
        values(schedules.constant(1e-3, warmup_steps=10)),
        values(optax.schedules.linear_schedule(0.0, 1e-3, 10)),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        values(schedules.linear(1e-3, total_steps=100, end_factor=0.1)),
        values(optax.schedules.linear_schedule(1e-3, 1e-4, 100)),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        values(schedules.cosine(1e-3, total_steps=100, warmup_steps=10, end_factor=0.1)),
        values(optax.schedules.warmup_cosine_decay_schedule(0.0, 1e-3, 10, 100, 1e-4)),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        values(schedules.linear(1e-3, total_steps=100, warmup_steps=10)),
        values(
            optax.schedules.join_schedules(
                [
                    optax.schedules.linear_schedule(0.0, 1e-3, 10),
                    optax.schedules.linear_schedule(1e-3, 0.0, 90),
                ],
                [10],
            )
        ),
        rtol=1e-5,
        atol=1e-12,
    )


def test_rsqrt_is_flat_and_then_falls():
    found = values(schedules.rsqrt(), np.array([0, 10_000, 40_000, 250_000]))
    np.testing.assert_allclose(found, [1e-2, 1e-2, 5e-3, 2e-3], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factors": "constant * linear_warmpu"}, "Did you mean 'linear_warmup'"),
        ({"factors": "constant + cosine_decay"}, "constant \\+ cosine_decay"),
        ({"warmup_steps": 0}, "warmup_steps = 0"),
        ({"factors": "decay_every", "steps_per_decay": 0}, "steps_per_decay = 0"),
        ({"factors": "cosine_decay", "steps_per_cycle": -1}, "steps_per_cycle = -1"),
    ],
)
def test_wrong_options_are_refused_before_the_first_step(options, message):
    with pytest.raises(ConfigError, match=message):
        schedules.create_learning_rate_scheduler(**options)


@pytest.mark.parametrize("make", [schedules.linear, schedules.cosine])
def test_decay_needs_steps_after_the_warmup(make):
    with pytest.raises(ConfigError, match="total_steps = 10 must be above warmup_steps = 10"):
        make(1e-3, total_steps=10, warmup_steps=10)
    with pytest.raises(ConfigError, match="hold_steps = 0"):
        schedules.rsqrt(hold_steps=0)


def test_t5x_gin_bindings_work():
    with gin.unlock_config():
        gin.parse_config(
            "utils.create_learning_rate_scheduler.factors = 'constant'\n"
            "utils.create_learning_rate_scheduler.base_learning_rate = 0.25"
        )
    try:
        assert schedules.create_learning_rate_scheduler()(7) == 0.25
    finally:
        gin.clear_config()
