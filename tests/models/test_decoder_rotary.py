"""Rotary positions: written-out vectors, their laws, and Llama 3.1's scaling."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flan_jax.errors import ConfigError
from flan_jax.models.rotary import RotaryScaling, frequencies, make_rotation, rotate


def turn(x, position, style, base=10_000.0):
    """One head vector at one position."""
    rotation = make_rotation(jnp.array([[position]]), frequencies(len(x), base))
    return rotate(jnp.asarray(x, jnp.float32)[None, None, None], rotation, style)[0, 0, 0]


def test_written_out_vectors():
    """Head width 4: angles of position 3 are 3 and 3 / 100 (10,000 ** (-2 j / 4))."""
    np.testing.assert_allclose(frequencies(4, 10_000.0), [1.0, 0.01])
    np.testing.assert_allclose(frequencies(8, 10_000.0), [1.0, 0.1, 0.01, 0.001])
    a, b = 3.0, 0.03
    # Pairs (0, 2) and (1, 3).
    halves = turn([1.0, 2.0, 5.0, 7.0], 3, "halves")
    np.testing.assert_allclose(
        halves,
        [
            math.cos(a) - 5 * math.sin(a),
            2 * math.cos(b) - 7 * math.sin(b),
            5 * math.cos(a) + math.sin(a),
            7 * math.cos(b) + 2 * math.sin(b),
        ],
        rtol=1e-5,
    )
    # Pairs (0, 1) and (2, 3): the same of other channels.
    interleaved = turn([1.0, 5.0, 2.0, 7.0], 3, "interleaved")
    np.testing.assert_allclose(interleaved, halves[jnp.array([0, 2, 1, 3])], rtol=1e-5)


@pytest.mark.parametrize("style", ["halves", "interleaved"])
def test_products_depend_on_the_distance_only(style):
    rng = np.random.default_rng(0)
    query, key = rng.standard_normal((2, 8))

    def product(q, k):
        return float(turn(query, q, style) @ turn(key, k, style))

    assert product(9, 4) == pytest.approx(product(505, 500), abs=1e-4)
    assert abs(product(9, 4) - product(9, 5)) > 1e-2
    np.testing.assert_allclose(turn(query, 0, style), query, atol=1e-6)
    norms = [float(jnp.linalg.norm(turn(query, p, style))) for p in (0, 17)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)


def test_positions_beyond_what_bfloat16_counts_stay_apart():
    x = jnp.ones((1, 1, 2, 8), jnp.bfloat16)
    rotation = make_rotation(jnp.array([[1000, 1001]]), frequencies(8, 10_000.0))
    assert rotation.cos_BxTxR.dtype == jnp.float32
    turned = rotate(x, rotation, "halves")
    assert turned.dtype == jnp.bfloat16
    assert float(jnp.abs(turned[0, 0, 0] - turned[0, 0, 1]).max()) > 0.1
    np.testing.assert_allclose(rotation.cos_BxTxR[0, 1, 0], math.cos(1001), atol=1e-3)


def test_scaling_is_that_of_llama_3_1():
    """Wavelengths: short ones stay, long ones grow 8 times, those between in part."""
    scaling = RotaryScaling(8.0, 1.0, 4.0, 8192)
    plain = frequencies(128, 500_000.0)
    found = frequencies(128, 500_000.0, scaling)
    kinds = set()
    for turn_plain, turn_found in zip(plain, found, strict=True):
        wavelength = 2 * math.pi / turn_plain
        if wavelength < 8192 / 4:
            kind, expected = "kept", turn_plain
        elif wavelength > 8192 / 1:
            kind, expected = "slowed", turn_plain / 8
        else:
            kind, smooth = "between", (8192 / wavelength - 1) / (4 - 1)
            expected = (1 - smooth) * turn_plain / 8 + smooth * turn_plain
        kinds.add(kind)
        assert turn_found == pytest.approx(expected, rel=1e-9)
    assert kinds == {"kept", "slowed", "between"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factor": 0}, "factor is 0"),
        ({"original_length": "long"}, "original_length is 'long'"),
        ({"low_freq_factor": 4.0}, r"low_freq_factor is 4.0.*less than high_freq_factor"),
    ],
)
def test_wrong_scaling_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        RotaryScaling(**changes)


def test_gradients_pass(key):
    rotation = make_rotation(jnp.arange(3)[None], frequencies(4, 100.0))
    x = jax.random.normal(key, (1, 1, 3, 4))
    # A rotation's transpose is its inverse: the gradient of half the squared norm is x itself.
    gradient = jax.grad(lambda x: 0.5 * jnp.sum(rotate(x, rotation, "halves") ** 2))(x)
    np.testing.assert_allclose(gradient, x, atol=1e-6)
