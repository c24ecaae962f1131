"""Stateless choices: which of n alternatives an example gets is a function of (seed, example).

No generator state is involved, so the choice does not depend on order, sharding or process count.
"""

import contextlib
import contextvars
import hashlib
from collections.abc import Iterator

import numpy as np

MASK_32 = 0xFFFFFFFF
# (right shift, odd factor) rounds of a 32-bit integer mixer: "lowbias32" of Chris Wellons'
# hash-prospector (2018), which states its avalanche bias. The last round only shifts.
MIX_ROUNDS = ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1))


_rendering = contextvars.ContextVar("rendering", default=0)


@contextlib.contextmanager
def rendering(number: int) -> Iterator[None]:
    """Draws every choice made inside anew; 0 is what is drawn outside.

    So a row gets other templates, exemplars and orders of options each time it is rendered. What is
    read once and kept, such as a pool of exemplars, must have been read before: choices made while
    reading are data.
    """
    token = _rendering.set(number)
    try:
        yield
    finally:
        _rendering.reset(token)


def current_rendering() -> int:
    """Returns the number of the `rendering` around the caller, 0 outside of any."""
    return _rendering.get()


def mix_32(value: int) -> int:
    """Scrambles a 32-bit integer; a bijection."""
    for shift, factor in MIX_ROUNDS:
        value = ((value ^ (value >> shift)) * factor) & MASK_32
    return value


def seed_state(seed: int) -> int:
    """Turns a seed of any size, and the current `rendering`, into the start state of `choose`."""
    # An odd constant keeps seed 0 from being the mixer's fixed point.
    state = mix_32((seed ^ (seed >> 32) ^ 0x9E3779B9) & MASK_32)
    number = _rendering.get()
    return mix_32(state ^ number) if number else state


def choose(seed: int, index: int, count: int) -> int:
    """Returns a number in [0, count) that depends on (seed, index) only.

    Args:
      seed: any integer.
      index: a 64-bit integer that identifies the example: its row number or `text_index` of its id.
      count: how many alternatives there are, below 2**31.
    """
    if not 0 < count < 2**31:
        raise ValueError(f"count must be in [1, 2**31), got {count}.")
    state = mix_32(seed_state(seed) ^ (index & MASK_32))
    state = mix_32(state ^ ((index >> 32) & MASK_32))
    return (state * count) >> 32


def choose_numpy(seed: int, index: np.ndarray, count: int | np.ndarray) -> np.ndarray:
    """`choose` for an int64 array of indices; `count` may be one of the same shape."""
    bits = index.view(np.uint64)
    mask, half = np.uint64(MASK_32), np.uint64(32)
    state = _mix_numpy(np.uint64(seed_state(seed)) ^ (bits & mask))
    state = _mix_numpy(state ^ (bits >> half))
    return ((state * np.asarray(count).astype(np.uint64)) >> half).astype(np.int64)


def _mix_numpy(value: np.ndarray) -> np.ndarray:
    for shift, factor in MIX_ROUNDS:
        # Products wrap, but their low 32 bits are those of the true product.
        mixed = (value ^ (value >> np.uint64(shift))) * np.uint64(factor)
        value = mixed & np.uint64(MASK_32)
    return value


def text_index(text: str) -> int:
    """Returns a stable non-negative 63-bit integer for a text, to use as an example's index."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big") >> 1
