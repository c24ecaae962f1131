"""Keyed permutations: the number at a place is computed alone, whatever the size.

A Feistel network on the pairs (a, b) with a < A and b < B, where A x B is the least such product
not below the size, permutes A x B numbers; one outside the size is sent through again until it
falls inside (cycle walking: Black and Rogaway 2002, "Ciphers with arbitrary finite domains").
"""

import hashlib
import json

import numpy as np

_ROUNDS = 6
_STEP = np.uint64(0x9E3779B97F4A7C15)
_ODD, _OTHER_ODD = np.uint64(0xD6E8FEB86659FD93), np.uint64(0xBF58476D1CE4E5B9)


def mixed(values_N: np.ndarray) -> np.ndarray:
    """Returns uint64 numbers scrambled: the output function of SplitMix64 (Steele et al. 2014)."""
    x = values_N.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def key_of(*names: str | int) -> int:
    """Returns a key in [0, 2**64) that depends on the names and on nothing else."""
    content = json.dumps(names).encode()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())


def derived(keys: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Returns the uint64 key of each number under each key, e.g. of an epoch of a task."""
    return mixed(keys.astype(np.uint64) + numbers.astype(np.uint64) * _STEP)


def permuted(place_N: np.ndarray, size_N: np.ndarray, key_N: np.ndarray) -> np.ndarray:
    """Returns what stands at places of permutations, each place with a permutation of its own.

    Args:
      place_N: whole numbers in [0, size).
      size_N: of the permutations, at least 1 and below 2**62.
      key_N: uint64, well mixed (`derived`); other keys give other permutations.

    Returns:
      int64 numbers in [0, size): all of them, over all places of one size and key.
    """
    size_N = size_N.astype(np.uint64)
    high_N = np.ceil(np.sqrt(size_N.astype(np.float64))).astype(np.uint64)
    low_N = (size_N + high_N - np.uint64(1)) // high_N
    found_N = _rounds(place_N.astype(np.uint64), high_N, low_N, key_N)
    out = np.flatnonzero(found_N >= size_N)
    while len(out):
        found_N[out] = _rounds(found_N[out], high_N[out], low_N[out], key_N[out])
        out = out[found_N[out] >= size_N[out]]
    return found_N.astype(np.int64)


def _rounds(
    value_N: np.ndarray, high_N: np.ndarray, low_N: np.ndarray, key_N: np.ndarray
) -> np.ndarray:
    """One pass of the network over numbers below high x low."""
    a_N = value_N // low_N
    b_N = value_N - a_N * low_N
    key_N = key_N.astype(np.uint64)
    for number in range(_ROUNDS):
        key_N = key_N + _STEP
        if number % 2:
            b_N = _moved(b_N, low_N, a_N, key_N)
        else:
            a_N = _moved(a_N, high_N, b_N, key_N)
    return a_N * low_N + b_N


def _moved(value_N: np.ndarray, size_N: np.ndarray, by_N: np.ndarray, key_N: np.ndarray):
    """Returns value + f(by, key) modulo size, all below 2**31."""
    x = (by_N + np.uint64(1)) * _ODD ^ key_N
    x ^= x >> np.uint64(32)
    x *= _OTHER_ODD
    x >>= np.uint64(32)
    # The upper 32 bits, scaled to the size: much faster than a division.
    x *= size_N
    x >>= np.uint64(32)
    x += value_N
    return x - np.where(x >= size_N, size_N, np.uint64(0))
