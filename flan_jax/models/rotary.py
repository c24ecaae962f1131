"""Rotary positions: queries and keys are turned by angles that grow with their position.

Channel pair j of a head is turned by position * base ** (-2 j / K), so that the product of a query
and a key depends on their distance alone (Su et al. 2021, arXiv 2104.09864). Pairs are the channels
j and j + K/2 ('halves': Llama, flaxformer), or 2j and 2j + 1 ('interleaved': the paper); one is a
permutation of the other. Angles and their sines are float32: bfloat16 cannot tell positions above
256 apart. R is K/2; the other letters are listed in `layers.py`.
"""

import dataclasses
import math
from typing import NamedTuple

import gin
import jax
import jax.numpy as jnp
import numpy as np

from flan_jax.errors import ConfigError

STYLES = ("halves", "interleaved")


@gin.configurable(module="network")
@dataclasses.dataclass(frozen=True)
class RotaryScaling:
    """Llama 3.1's slowing of rotary positions, for rows longer than those of pretraining.

    Pairs that turn fully more than `high_freq_factor` times within `original_length` stay as they
    are, those that turn less than `low_freq_factor` times are slowed `factor` times, and those
    between are slowed in part.

    Attributes:
        factor: how many times longer rows become.
        low_freq_factor: turns within the original length below which a pair is slowed fully.
        high_freq_factor: turns above which a pair is not slowed.
        original_length: longest row of the pretraining.
    """

    factor: float = 8.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_length: int = 8192

    def __post_init__(self) -> None:
        """Checks the values; raises ConfigError naming the field."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ConfigError(
                    f"network.RotaryScaling.{field.name} is {value!r}. Set a number above 0."
                )
        if self.low_freq_factor >= self.high_freq_factor:
            raise ConfigError(
                f"network.RotaryScaling.low_freq_factor is {self.low_freq_factor!r}. Set less than "
                f"high_freq_factor ({self.high_freq_factor!r})."
            )


class Rotation(NamedTuple):
    """Cosines and sines of the angles, float32 BxTxR each; B is 1 where all rows are alike."""

    cos_BxTxR: jax.Array
    sin_BxTxR: jax.Array


def frequencies(head_dim: int, base: float, scaling: RotaryScaling | None = None) -> np.ndarray:
    """Angle per position of each channel pair, float64 R."""
    turn_R = base ** (-np.arange(0, head_dim, 2) / head_dim)
    if scaling is None:
        return turn_R
    turns_R = scaling.original_length * turn_R / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    kept_R = np.clip((turns_R - low) / (high - low), 0.0, 1.0)
    return turn_R * (kept_R + (1.0 - kept_R) / scaling.factor)


def make_rotation(positions_BxT: jax.Array, turn_R: np.ndarray) -> Rotation:
    """The rotation of each position.

    Args:
        positions_BxT: int32, from 0.
        turn_R: from `frequencies`.
    """
    turn_1x1xR = jnp.asarray(turn_R, jnp.float32)[None, None]
    angle_BxTxR = positions_BxT.astype(jnp.float32)[:, :, None] * turn_1x1xR
    return Rotation(jnp.cos(angle_BxTxR), jnp.sin(angle_BxTxR))


def rotate(x_BxHxTxK: jax.Array, rotation: Rotation, style: str) -> jax.Array:
    """Turns the channel pairs of each head; computed in float32, returned in the dtype of `x`."""
    cos, sin = rotation.cos_BxTxR[:, None], rotation.sin_BxTxR[:, None]
    x = x_BxHxTxK.astype(jnp.float32)
    if style == "halves":
        first, second = jnp.split(x, 2, axis=-1)
        turned = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    else:
        assert style == "interleaved", style
        first, second = x[..., ::2], x[..., 1::2]
        pairs = jnp.stack([first * cos - second * sin, second * cos + first * sin], axis=-1)
        turned = pairs.reshape(x.shape)
    return turned.astype(x_BxHxTxK.dtype)
