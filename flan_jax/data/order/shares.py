"""Whole numbers of draws for each task, block by block, from shares that are none.

A block has M draws. Laid end to end the tasks' shares divide the interval [0, M); in block b a task
gets the whole numbers of its part, once the ends are moved by an offset in [0, 1). So a block has
exactly M draws and each task its share of them rounded down or up. Offsets are van der Corput's
sequence (the bits of b reversed), which spreads evenly over any run of blocks: after any number of
blocks a task is off its share by less than log2(blocks) + 2 draws, after 2**n blocks by less than
2. How many draws a task had before block b is a sum of `_BITS` terms, so nothing is run from 0.
"""

from collections.abc import Sequence

import numpy as np

# Of the offsets: more blocks than 2**30 of a thousand examples no run has.
_BITS = 30
_ONE = 1 << _BITS


class BlockCounts:
    """Draws of K tasks in blocks of M.

    Attributes:
      block: M.
    """

    def __init__(self, shares: Sequence[float], block: int):
        """Keeps the shares as fixed-point ends.

        Args:
          shares: of the tasks, 0 or more, not all 0; in any unit.
          block: M, less than 2**30.
        """
        self.block = block
        # Python's integers, so that the ends are the same on every machine.
        total = sum(int(share * 2**40 / max(shares)) for share in shares)
        ends, so_far = [0], 0
        for share in shares:
            so_far += int(share * 2**40 / max(shares))
            ends.append(so_far * block * _ONE // total)
        ends_E = np.array(ends, np.int64)
        self._whole_E, self._rest_E = ends_E >> _BITS, ends_E & (_ONE - 1)

    def counts(self, first: int, number: int) -> np.ndarray:
        """Returns the draws of each task in blocks `first` and on, int64 CxK."""
        offset_C = np.array([_reversed(first + i) for i in range(number)], np.int64)
        up_CxE = self._rest_E + offset_C[:, None] >= _ONE
        return np.diff(self._whole_E + up_CxE, axis=1)

    def before(self, block: int) -> np.ndarray:
        """Returns the draws of each task in all blocks before one, int64 K."""
        # An end is moved up in the blocks whose offset is at least this.
        threshold_E = _ONE - self._rest_E
        cycles, rest = divmod(block, _ONE)
        up_E = cycles * self._rest_E
        start = 0
        for bit in reversed(range(_BITS)):
            run = 1 << bit
            if not rest & run:
                continue
            # The offsets of `run` blocks from a multiple of it on: evenly spaced.
            spacing, least = _ONE >> bit, _reversed(start)
            below_E = -((least - threshold_E) // spacing)
            up_E = up_E + run - np.clip(below_E, 0, run)
            start += run
        return np.diff(self._whole_E * block + up_E)


def _reversed(number: int) -> int:
    """The bits of a number, modulo 2**30, in reverse order.

    >>> [_reversed(n) / 2**30 for n in range(4)]
    [0.0, 0.5, 0.25, 0.75]
    """
    return int(f"{number % _ONE:0{_BITS}b}"[::-1], 2)
