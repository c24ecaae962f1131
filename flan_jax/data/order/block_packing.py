"""Examples of blocks into rows, from their lengths alone; all blocks of a window at a time.

Every block's examples are placed one by one, each in the row of its block where it fits best, in
all blocks at once, so that a step of the algorithm is a few array operations. With two sides (an
encoder's and a decoder's) the sum of free room is not what matters: rows full of long inputs leave
their decoder side empty. So

* examples come in an order in which both kinds, those that take more of the one side and those that
  take more of the other, grow smaller at the same pace;
* of the rows where it fits an example goes to the one whose free room points most in its own
  direction, with a penalty for room: cos(room, example) as in dot-product packing (Panigrahy et al.
  2011, "Heuristics for vector bin packing", section 2.3), less `tightness` times the room. Which of
  `TIGHTNESSES` is best depends on the mixture and is tried on a sample.

Afterwards the rows with most room on either side are taken apart and packed again, those of many
blocks together (`repacked`), which takes away most of what a block's last rows waste.
"""

import numpy as np

# Below, lopsided mixtures open rows that they never fill; above, the direction counts for nothing.
TIGHTNESSES = (0.2, 0.3, 1.0)
_REPACKED_SHARE = 0.2
_REPACKED_BLOCK = 1024
# Products of two lengths up to here are exact in float32.
_EXACT = 1 << 24


def packed(
    sizes_CxMx2: np.ndarray,
    capacity: tuple[int, int],
    max_segments: int | None = None,
    tightness: float = TIGHTNESSES[-1],
) -> np.ndarray:
    """Returns the row of each example, numbered from 0 in every block, int32 CxM.

    Args:
      sizes_CxMx2: tokens of each example on both sides, none above the capacity; -1 where a block
        has fewer than M examples.
      capacity: most tokens of a row on both sides, at least 1.
      max_segments: most examples of a row; None for any number.
      tightness: see the module; without a second side it makes no difference.

    Returns:
      Rows; -1 where there is no example.
    """
    blocks, count, _ = sizes_CxMx2.shape
    # In units that make both sides of a row equally long; whole numbers, so that fits are exact.
    length = capacity[0] * capacity[1]
    dtype = np.float32 if length <= _EXACT else np.float64
    is_any_CxM = sizes_CxMx2[..., 0] >= 0
    unit_2 = np.array(capacity[::-1], np.int64)
    order_CxM = _order(np.maximum(sizes_CxMx2, 0) * unit_2, is_any_CxM)
    sorted_CxMx2 = np.take_along_axis(sizes_CxMx2, order_CxM[..., None], 1) * unit_2
    # Step by step along memory.
    a_MxC, b_MxC = (np.ascontiguousarray(sorted_CxMx2[..., side].T, dtype) for side in (0, 1))

    # Columns for what the fuller side's tokens would fill and some more; others are added at need.
    fullest = np.maximum(sorted_CxMx2, 0).sum(axis=1).max() / length
    most = int(1.2 * fullest) + 8
    # Room on a side that nothing takes would point away from every example.
    second = length if b_MxC.any() else 0
    room_a_CxR = np.full((blocks, most), length, dtype)
    room_b_CxR = np.full((blocks, most), second, dtype)
    left_CxR = np.full((blocks, most), max_segments or count, np.int32)
    # Fresh memory for each result would take longer than the arithmetic.
    scratches = np.empty((4, blocks * most), dtype)
    row_CxM = np.full((blocks, count), -1, np.int32)
    block_C = np.arange(blocks)
    # Rows that have an example in any block, and one empty row behind them.
    opened = 0
    tiny = dtype(length * 1e-6)
    for place in range(count):
        a_C, b_C = a_MxC[place], b_MxC[place]
        stop = opened + 1
        if stop > room_a_CxR.shape[1]:
            more = ((0, 0), (0, stop))
            room_a_CxR = np.pad(room_a_CxR, more, constant_values=length)
            room_b_CxR = np.pad(room_b_CxR, more, constant_values=second)
            left_CxR = np.pad(left_CxR, more, constant_values=max_segments or count)
            scratches = np.empty((4, room_a_CxR.size), dtype)
        rest_a_CxR, rest_b_CxR, room_CxR, work_CxR = (
            scratch[: blocks * stop].reshape(blocks, stop) for scratch in scratches
        )
        np.subtract(room_a_CxR[:, :stop], a_C[:, None], out=rest_a_CxR)
        np.subtract(room_b_CxR[:, :stop], b_C[:, None], out=rest_b_CxR)
        no_fit_CxR = np.minimum(rest_a_CxR, rest_b_CxR, out=work_CxR) < 0
        if max_segments is not None:
            no_fit_CxR |= left_CxR[:, :stop] == 0
        np.multiply(rest_a_CxR, rest_a_CxR, out=room_CxR)
        np.multiply(rest_b_CxR, rest_b_CxR, out=work_CxR)
        room_CxR += work_CxR
        np.sqrt(room_CxR, out=room_CxR)
        room_CxR += tiny
        rest_a_CxR *= a_C[:, None]
        rest_b_CxR *= b_C[:, None]
        rest_a_CxR += rest_b_CxR
        rest_a_CxR /= room_CxR
        room_CxR *= dtype(tightness)
        room_CxR -= rest_a_CxR
        np.putmask(room_CxR, no_fit_CxR, np.inf)
        row_C = room_CxR.argmin(1)
        given_C = a_C >= 0
        row_CxM[:, place] = np.where(given_C, row_C, -1)
        room_a_CxR[block_C, row_C] -= np.where(given_C, a_C, 0)
        room_b_CxR[block_C, row_C] -= np.where(given_C, b_C, 0)
        left_CxR[block_C, row_C] -= given_C
        if given_C.any():
            opened = max(opened, int(row_C[given_C].max()) + 1)
    found_CxM = np.empty_like(row_CxM)
    np.put_along_axis(found_CxM, order_CxM, row_CxM, 1)
    return found_CxM


def repacked(
    row_S: np.ndarray,
    sizes_Sx2: np.ndarray,
    capacity: tuple[int, int],
    max_segments: int | None = None,
    tightness: float = TIGHTNESSES[-1],
) -> np.ndarray:
    """Takes the rows with most room apart and packs their examples again.

    Args:
      row_S: row of each example, all numbers from 0 on in use.
      sizes_Sx2: tokens of each example on both sides; examples that are to stay near each other
        stand near each other.
      capacity: as of `packed`.
      max_segments: as of `packed`.
      tightness: as of `packed`.

    Returns:
      Rows anew, all numbers from 0 on in use; what was given where that does not save a row.
    """
    rows = int(row_S.max()) + 1
    used_Rx2 = np.stack([np.bincount(row_S, sizes_Sx2[:, side], rows) for side in (0, 1)], 1)
    # As many of either side: what lacks on the one side is what the others have too much of.
    half = int(rows * _REPACKED_SHARE / 2)
    apart_R = np.zeros(rows, bool)
    for side in (0, 1):
        rank_R = np.argsort(np.where(apart_R, np.inf, used_Rx2[:, side]), kind="stable")
        apart_R[rank_R[:half]] = True
    if not apart_R.any():
        return row_S
    loose = np.flatnonzero(apart_R[row_S])
    blocks = max(1, round(len(loose) / _REPACKED_BLOCK))
    each = -(-len(loose) // blocks)
    sizes = np.full((blocks * each, 2), -1, np.int64)
    sizes[: len(loose)] = sizes_Sx2[loose]
    again_CxM = packed(sizes.reshape(blocks, each, 2), capacity, max_segments, tightness)
    again = numbered(again_CxM)[: len(loose)]
    kept = rows - int(apart_R.sum())
    if kept + int(again.max()) + 1 >= rows:
        return row_S
    found_S = (np.cumsum(~apart_R) - 1)[row_S]
    found_S[loose] = kept + again
    return found_S


def numbered(row_CxM: np.ndarray) -> np.ndarray:
    """Returns the rows of all blocks under numbers from 0 on, S = C x M; -1 stays."""
    rows_C = row_CxM.max(axis=1) + 1
    first_C = np.cumsum(rows_C) - rows_C
    return np.where(row_CxM < 0, -1, row_CxM + first_C[:, None]).reshape(-1)


def _order(sizes_CxMx2: np.ndarray, is_any_CxM: np.ndarray) -> np.ndarray:
    """The order in which the examples of each block are placed; absent ones come last."""
    total_CxM = sizes_CxMx2.sum(axis=2)
    first_CxM = np.argsort(np.where(is_any_CxM, -total_CxM, 1), axis=1, kind="stable")
    second_CxM = np.take_along_axis(sizes_CxMx2[..., 1] > sizes_CxMx2[..., 0], first_CxM, 1)
    total_CxM = np.take_along_axis(total_CxM, first_CxM, 1)
    key_CxM = np.zeros(total_CxM.shape)
    for kind_CxM in (second_CxM, ~second_CxM):
        # How much of its kind came before, counted in tokens.
        sum_CxM = np.cumsum(total_CxM * kind_CxM, axis=1)
        share_CxM = sum_CxM / np.maximum(sum_CxM[:, -1:], 1)
        key_CxM = np.where(kind_CxM, share_CxM, key_CxM)
    key_CxM[~np.take_along_axis(is_any_CxM, first_CxM, 1)] = 2.0
    return np.take_along_axis(first_CxM, np.argsort(key_CxM, axis=1, kind="stable"), 1)
