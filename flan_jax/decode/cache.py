"""Following beams through a key-value cache without leaving a row."""

import dataclasses
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from flan_jax.models.decoder import PrefixCache
from flan_jax.models.t5 import DecodeCache

Cache = TypeVar("Cache", DecodeCache, PrefixCache)


def take_beams(tree: Any, batch_axis: int, source_BxK: jax.Array) -> Any:
    """Makes beam k of row b the old beam `source_BxK[b, k]` of the same row, in every leaf.

    The gather runs inside each row, so rows that lie on different devices exchange nothing.

    Args:
      tree: arrays whose axis `batch_axis` has B * K entries, row-major.
      batch_axis: that axis.
      source_BxK: int32, numbers from 0 to K - 1.
    """
    B, K = source_BxK.shape

    def take(x):
        before, after = x.shape[:batch_axis], x.shape[batch_axis + 1 :]
        split = x.reshape(*before, B, K, *after)
        index = source_BxK.reshape((1,) * len(before) + (B, K) + (1,) * len(after))
        return jnp.take_along_axis(split, index, axis=batch_axis + 1).reshape(x.shape)

    return jax.tree.map(take, tree)


def gather_beams(cache: Cache, source_BxK: jax.Array) -> Cache:
    """Reorders the beams of a cache; keys and values of the input are the same for all of a row."""
    moved = take_beams(cache.self_attention, cache.batch_axis, source_BxK)
    return dataclasses.replace(cache, self_attention=moved)
