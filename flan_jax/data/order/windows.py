"""Windows: consecutive blocks of draws whose examples are packed into a given number of rows.

Because the number of rows is given and not found, step -> window is a division, and no row of any
other window has to be known. What it costs: a window is given as many rows as its examples need
with near certainty (`Sizing`), so some rows, well below 1% with the usual sizes, stay empty. They
are spread evenly over the window's steps.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from flan_jax.data.order import block_packing
from flan_jax.data.order.examples import Examples
from flan_jax.data.order.permutation import derived, key_of, mixed
from flan_jax.data.order.shares import BlockCounts
from flan_jax.errors import DataError

# Draws of a block.
BLOCK = 1024
_REPACKED_TIMES = 2
_MOST_REPACKED_TIMES = 10
# A row stands near its examples' draws, this many of them before or behind at most.
_SPREAD = 16384
# That a window needs more rows than it has at first. Repacking then finds as many again as this
# allowance is, so that what is left as a risk is that of a chance twice as unlikely.
_RISK = 1e-4
_TRIED_BLOCKS, _SAMPLED_BLOCKS = 8, 64


@dataclasses.dataclass(frozen=True)
class Window:
    """The rows of a window.

    Attributes:
      number_S: examples, numbered over all tasks, row after row.
      task_S: their tasks.
      first_R: where the rows begin in these; R + 1 of them, empty rows included.
    """

    number_S: np.ndarray
    task_S: np.ndarray
    first_R: np.ndarray


@dataclasses.dataclass(frozen=True)
class Span:
    """Draws by unchanging shares, from some point of the stream on.

    Attributes:
      key: of everything random in it.
      counts: draws of each task in each block.
      drawn_K: draws of each task before the span.
    """

    key: int
    counts: BlockCounts
    drawn_K: np.ndarray

    def drawn(self, block: int) -> np.ndarray:
        """Returns the draws of each task before a block of the span."""
        return self.drawn_K + self.counts.before(block)

    def draws(self, first: int, blocks: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns task and number of each draw of some blocks, block after block."""
        counts_CxK = self.counts.counts(first, blocks)
        before_CxK = self.drawn(first) + np.cumsum(counts_CxK, axis=0) - counts_CxK
        flat_X = counts_CxK.reshape(-1)
        task_S = np.repeat(np.tile(np.arange(counts_CxK.shape[1]), blocks), flat_X)
        begins_X = np.cumsum(flat_X) - flat_X
        draw_S = np.arange(len(task_S)) + np.repeat(before_CxK.reshape(-1) - begins_X, flat_X)
        return task_S, draw_S


@dataclasses.dataclass(frozen=True)
class Packing:
    """How rows are packed.

    Attributes:
      max_segments: most examples of a row; None for any number.
      tightness: see `block_packing`.
    """

    max_segments: int | None
    tightness: float = block_packing.TIGHTNESSES[-1]

    def rows(self, examples: Examples, number_S: np.ndarray, blocks: int) -> np.ndarray:
        """Returns the row of each example of some blocks of equal size, numbered from 0, int S."""
        return rows_of_each([self], examples, number_S, blocks)[0]

    def repacked(self, examples: Examples, number_S: np.ndarray, row_S: np.ndarray) -> np.ndarray:
        """Returns rows with less waste, or the same."""
        return block_packing.repacked(
            row_S, examples.loads(number_S), examples.capacity, self.max_segments, self.tightness
        )


def rows_of_each(
    packings: Sequence[Packing], examples: Examples, number_S: np.ndarray, blocks: int
) -> list[np.ndarray]:
    """Returns `Packing.rows` of several that differ in tightness alone, for the time of one."""
    size_Sx2, capacity = examples.loads(number_S), examples.capacity
    max_segments, tightnesses = packings[0].max_segments, [each.tightness for each in packings]
    row_CxM = block_packing.packed(
        np.tile(size_Sx2.reshape(blocks, -1, 2), (len(packings), 1, 1)),
        capacity,
        max_segments,
        np.repeat(tightnesses, blocks),
    )
    found = [block_packing.numbered(each) for each in np.split(row_CxM, len(packings))]
    for _ in range(_REPACKED_TIMES):
        found = block_packing.all_repacked(found, size_Sx2, capacity, max_segments, tightnesses)
    return found


def window(
    examples: Examples, span: Span, first: int, blocks: int, rows: int, packing: Packing
) -> Window:
    """Packs some blocks of a span.

    Args:
      examples: of the mixture.
      span: whose blocks.
      first: the first block.
      blocks: how many.
      rows: R.
      packing: how.

    Raises:
      DataError: the examples do not fit into so many rows.
    """
    task_S, draw_S = span.draws(first, blocks)
    number_S = examples.numbers(task_S, draw_S)
    row_S = packing.rows(examples, number_S, blocks)
    for _ in range(_MOST_REPACKED_TIMES):
        if row_S.max() < rows:
            break
        row_S = packing.repacked(examples, number_S, row_S)
    found = int(row_S.max()) + 1
    if found > rows:
        raise DataError(
            f"The examples of blocks {first} to {first + blocks - 1} need {found} rows, and the "
            f"window has {rows}: the lengths of neighbouring examples differ more than chance "
            "allows. Set order.Settings.window higher; the order of rows is then another one, so "
            "begin a new MODEL_DIR."
        )
    return _laid_out(number_S, task_S, row_S, rows, key_of(span.key, first), span.counts.block)


def single_rows(examples: Examples, span: Span, first: int, blocks: int) -> Window:
    """Returns a window of one example a row."""
    task_S, draw_S = span.draws(first, blocks)
    number_S = examples.numbers(task_S, draw_S)
    row_S = np.arange(len(number_S))
    return _laid_out(
        number_S, task_S, row_S, len(row_S), key_of(span.key, first), span.counts.block
    )


def _laid_out(
    number_S: np.ndarray,
    task_S: np.ndarray,
    row_S: np.ndarray,
    rows: int,
    key: int,
    block: int,
) -> Window:
    """Shuffles rows, each near its draws, and spreads empty ones between them."""
    found = int(row_S.max()) + 1
    counts_R = np.bincount(row_S, minlength=found)
    # Rows of few blocks keep a task's epochs apart, however large the window.
    place_R = np.bincount(row_S, np.arange(len(row_S)), found) / counts_R
    bits_R = mixed(derived(np.full(found, key, np.uint64), np.arange(found)))
    jitter_R = (bits_R >> np.uint64(11)).astype(np.float64) * 2.0**-53
    order_R = np.argsort(place_R + jitter_R * max(block, _SPREAD), kind="stable")
    empty = rows - found
    is_empty_R = np.zeros(rows, bool)
    is_empty_R[((2 * np.arange(empty) + 1) * rows) // max(1, 2 * empty)] = True
    position_R = np.empty(found, np.int64)
    position_R[order_R] = np.flatnonzero(~is_empty_R)
    position_S = position_R[row_S]
    order_S = np.argsort(position_S, kind="stable")
    first_R = np.zeros(rows + 1, np.int64)
    first_R[1:] = np.cumsum(np.bincount(position_S, minlength=rows))
    return Window(number_S[order_S], task_S[order_S], first_R)


class Sizing:
    """How many rows so many blocks of a span need, at most, with near certainty.

    By Bernstein's inequality the tokens of n draws, in rows, exceed their mean by more than
    sqrt(2 V l) + l/3 with a probability below exp(-l). V counts a task's draws up to half an epoch
    alone, since whole epochs always have the same tokens (draws without replacement vary less:
    Hoeffding 1963, section 6). The packing's own waste is that of a sample, twice as far from none
    where the sample is small.

    Attributes:
      packing: the one that wastes least of the sample.
      overhead: rows of the sample over its lower bound, less 1.
    """

    def __init__(self, examples: Examples, span: Span, window: int, max_segments: int | None):
        """Packs a sample of the span's first blocks."""
        self._examples, self._span = examples, span
        most = max(1, window // span.counts.block)

        def pack(packings: Sequence[Packing], blocks: int) -> tuple[list[int], np.ndarray]:
            number_S = examples.numbers(*span.draws(0, blocks))
            rows = rows_of_each(packings, examples, number_S, blocks)
            return [int(row_S.max()) + 1 for row_S in rows], number_S

        tried = [Packing(max_segments, each) for each in block_packing.TIGHTNESSES]
        rows, _ = pack(tried, min(_TRIED_BLOCKS, most))
        self.packing = tried[int(np.argmin(rows))]
        (self._sample,), number_S = pack([self.packing], min(_SAMPLED_BLOCKS, most))
        self.overhead = self._sample / lower_bound(examples, number_S, max_segments) - 1
        self._least = 0.0 if max_segments is None else 1 / max_segments
        self._draws_K = span.counts.before(1 << 20) / 2**20

    def rows(self, blocks: int) -> int:
        """Returns the rows that any so many blocks of the span fit into."""
        examples, counts = self._examples, self._span.counts
        draws_K = self._draws_K * blocks
        half_K = np.minimum(draws_K, examples.epochs.cycle_K / 2)
        variance_Kx2 = half_K[:, None] * examples.variance_Kx2
        # A task's draws in a window differ by one or two.
        variance_Kx2 += np.minimum(draws_K, 1.0)[:, None] * examples.mean_Kx2**2
        log_risk = -math.log(_RISK)
        mean_2 = (draws_K[:, None] * examples.mean_Kx2).sum(axis=0)
        high_2 = mean_2 + np.sqrt(2 * log_risk * variance_Kx2.sum(axis=0)) + log_risk / 3
        least = max(float(high_2.max()), blocks * counts.block * self._least)
        # What the sample's overhead may be off by: a row in each of its blocks' last rows.
        slack = 0.5 / math.sqrt(self._sample)
        return math.ceil(least * (1 + self.overhead * (1 + slack)) + 1)


def lower_bound(examples: Examples, number_S: np.ndarray, max_segments: int | None = None) -> float:
    """Returns the rows below which no packing of examples can go: the fuller side's tokens."""
    tokens_2 = examples.loads(number_S).sum(axis=0)
    bound = float((tokens_2 / np.array(examples.capacity)).max())
    return bound if max_segments is None else max(bound, len(number_S) / max_segments)
