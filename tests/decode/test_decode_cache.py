"""Beams are followed inside their row, with the batch on any axis."""

import jax.numpy as jnp
import numpy as np

from flan_jax.decode import cache
from flan_jax.models.t5 import DecodeCache

ROWS = jnp.array([10, 11, 12, 20, 21, 22])
SOURCE = jnp.array([[2, 2, 0], [1, 0, 1]])
MOVED = [12, 12, 10, 21, 20, 21]


def test_beams_move_inside_their_row_along_either_axis():
    out = cache.take_beams({"a": ROWS, "b": jnp.stack([ROWS, -ROWS], axis=1)}, 0, SOURCE)
    np.testing.assert_array_equal(out["a"], MOVED)
    np.testing.assert_array_equal(out["b"], [[m, -m] for m in MOVED])
    stacked = cache.take_beams(jnp.stack([ROWS, -ROWS])[:, :, None], 1, SOURCE)
    np.testing.assert_array_equal(stacked[..., 0], [MOVED, [-m for m in MOVED]])


def test_only_self_attention_moves():
    own, cross = (ROWS[:, None], -ROWS[:, None]), (ROWS[:, None] * 2, ROWS[:, None] * 3)
    mask = ROWS[:, None] > 0
    out = cache.gather_beams(DecodeCache(own, cross, mask, batch_axis=0), SOURCE)
    np.testing.assert_array_equal(out.self_attention[0][:, 0], MOVED)
    np.testing.assert_array_equal(out.self_attention[1][:, 0], [-m for m in MOVED])
    assert out.cross_attention is cross and out.source_mask_BxL is mask
