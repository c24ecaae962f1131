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

from collections.abc import Sequence

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
    tightness: float | np.ndarray = TIGHTNESSES[-1],
    two_sided: np.ndarray | None = None,
) -> np.ndarray:
    """Returns the row of each example, numbered from 0 in every block, int32 CxM.

    Args:
      sizes_CxMx2: tokens of each example on both sides, none above the capacity; -1 where a block
        has fewer than M examples.
      capacity: most tokens of a row on both sides, at least 1.
      max_segments: most examples of a row; None for any number.
      tightness: see the module, of all blocks or of each; without a second side it makes no
        difference.
      two_sided: of each block, whether rows have room on the second side; None looks whether
        anything but 0 stands there in any block. With it, a block's rows are the same whatever
        blocks stand beside it.

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
    # Step by step along memory, both sides together: most of the time goes into starting each
    # operation.
    size_Mx2xC = np.ascontiguousarray(sorted_CxMx2.transpose(1, 2, 0), dtype)
    given_MxC = size_Mx2xC[:, 0] >= 0
    all_M, any_M = np.all(given_MxC, axis=1), np.any(given_MxC, axis=1)

    # Columns for what the fuller side's tokens would fill and some more; others are added at need.
    fullest = np.maximum(sorted_CxMx2, 0).sum(axis=1).max() / length
    most = int(1.2 * fullest) + 8
    is_two_C = np.full(blocks, size_Mx2xC[:, 1].any()) if two_sided is None else two_sided
    # Room on a side that nothing takes would point away from every example.
    fresh_2xCx1 = np.stack([np.full(blocks, length), length * is_two_C]).astype(dtype)[..., None]
    room_2xCxR = np.repeat(fresh_2xCx1, most, axis=2)
    left_CxR = np.full((blocks, most), max_segments or count, np.int32)
    row_MxC = np.full((count, blocks), -1, np.int32)
    block_C = np.arange(blocks)
    side_2xC = np.arange(2 * blocks).reshape(2, blocks)
    # Arrays of no dimension: numbers of Python's take longer to get to numpy.
    zero, tiny = np.zeros((), dtype), np.array(length * 1e-6, dtype)
    tight = np.asarray(tightness, dtype)
    if tight.ndim:
        tight = tight[:1] if np.all(tight == tight[0]) else tight[:, None]

    # Rows that have an example in any block, and one empty row behind them.
    opened, stop = 0, 0
    flat_X, first_2xC = room_2xCxR.reshape(-1), side_2xC * most
    for place in range(count):
        if not any_M[place]:
            break  # Absent examples come last.
        if stop != opened + 1:
            stop = opened + 1
            if stop > room_2xCxR.shape[2]:
                more_2xCxR = np.repeat(fresh_2xCx1, stop, axis=2)
                room_2xCxR = np.concatenate([room_2xCxR, more_2xCxR], axis=2)
                left_CxR = np.pad(left_CxR, ((0, 0), (0, stop)), constant_values=max_segments or 0)
                flat_X, first_2xC = room_2xCxR.reshape(-1), side_2xC * room_2xCxR.shape[2]
            seen_2xCxR = room_2xCxR[:, :, :stop]
            # Fresh memory for each result would take longer than the arithmetic.
            rest_2xCxR, work_2xCxR = np.empty((2, 2, blocks, stop), dtype)
            rest_a_CxR, rest_b_CxR = rest_2xCxR
            score_CxR, work_CxR = work_2xCxR
            no_fit_CxR = np.empty((blocks, stop), bool)
        size_2xC = size_Mx2xC[place]
        size_2xCx1 = size_2xC[:, :, None]
        np.subtract(seen_2xCxR, size_2xCx1, rest_2xCxR)
        np.minimum(rest_a_CxR, rest_b_CxR, out=score_CxR)
        np.less(score_CxR, zero, no_fit_CxR)
        if max_segments is not None:
            np.logical_or(no_fit_CxR, left_CxR[:, :stop] == 0, no_fit_CxR)
        np.multiply(rest_2xCxR, rest_2xCxR, work_2xCxR)
        np.add(score_CxR, work_CxR, score_CxR)
        np.sqrt(score_CxR, score_CxR)
        np.add(score_CxR, tiny, score_CxR)
        np.multiply(rest_2xCxR, size_2xCx1, rest_2xCxR)
        np.add(rest_a_CxR, rest_b_CxR, rest_a_CxR)
        np.divide(rest_a_CxR, score_CxR, rest_a_CxR)
        np.multiply(score_CxR, tight, score_CxR)
        np.subtract(score_CxR, rest_a_CxR, score_CxR)
        np.copyto(score_CxR, np.inf, where=no_fit_CxR)
        row_C = score_CxR.argmin(1)
        if all_M[place]:
            row_MxC[place] = row_C
            flat_X[first_2xC + row_C] -= size_2xC
            if max_segments is not None:
                left_CxR[block_C, row_C] -= 1
            opened = max(opened, max(row_C.tolist()) + 1)
        else:
            given_C = given_MxC[place]
            row_MxC[place] = np.where(given_C, row_C, -1)
            flat_X[first_2xC + row_C] -= np.where(given_C, size_2xC, zero)
            left_CxR[block_C, row_C] -= given_C
            opened = max(opened, int(row_C[given_C].max()) + 1)
    found_CxM = np.empty((blocks, count), np.int32)
    np.put_along_axis(found_CxM, order_CxM, row_MxC.T, 1)
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
    return all_repacked([row_S], sizes_Sx2, capacity, max_segments, [tightness])[0]


def all_repacked(
    rows: Sequence[np.ndarray],
    sizes_Sx2: np.ndarray,
    capacity: tuple[int, int],
    max_segments: int | None,
    tightnesses: Sequence[float],
) -> list[np.ndarray]:
    """Returns `repacked` of several packings of the same examples, for the time of one.

    Args:
      rows: of each packing, `row_S`.
      sizes_Sx2: as of `repacked`.
      capacity: as of `packed`.
      max_segments: as of `packed`.
      tightnesses: of each packing.
    """
    apart = [_apart(row_S, sizes_Sx2) for row_S in rows]
    parts = []
    for apart_R, row_S in zip(apart, rows, strict=True):
        loose = np.flatnonzero(apart_R[row_S])
        blocks = max(1, round(len(loose) / _REPACKED_BLOCK))
        sizes = np.full((blocks * -(-len(loose) // blocks), 2), -1, np.int64)
        sizes[: len(loose)] = sizes_Sx2[loose]
        parts.append((loose, sizes.reshape(blocks, -1, 2)))
    widest = max(sizes.shape[1] for _, sizes in parts)
    if not widest:
        return list(rows)
    padded = [
        np.pad(sizes, ((0, 0), (0, widest - sizes.shape[1]), (0, 0)), constant_values=-1)
        for _, sizes in parts
    ]
    counts = [len(sizes) for sizes in padded]
    tight_C = np.repeat(np.asarray(tightnesses), counts)
    two_sided_C = np.repeat([sizes[..., 1].any() for _, sizes in parts], counts)
    again_CxM = packed(np.concatenate(padded), capacity, max_segments, tight_C, two_sided_C)
    found = []
    for row_S, apart_R, (loose, sizes), mine_CxM in zip(
        rows, apart, parts, np.split(again_CxM, np.cumsum(counts)[:-1]), strict=True
    ):
        again = numbered(mine_CxM[:, : sizes.shape[1]])[: len(loose)]
        kept = len(apart_R) - int(apart_R.sum())
        if not len(loose) or kept + int(again.max()) + 1 >= len(apart_R):
            found.append(row_S)
            continue
        found_S = (np.cumsum(~apart_R) - 1)[row_S]
        found_S[loose] = kept + again
        found.append(found_S)
    return found


def _apart(row_S: np.ndarray, sizes_Sx2: np.ndarray) -> np.ndarray:
    """Which rows have most room on either side, bool R."""
    rows = int(row_S.max()) + 1
    used_Rx2 = np.stack([np.bincount(row_S, sizes_Sx2[:, side], rows) for side in (0, 1)], 1)
    # As many of either side: what lacks on the one side is what the others have too much of.
    half = int(rows * _REPACKED_SHARE / 2)
    apart_R = np.zeros(rows, bool)
    for side in (0, 1):
        rank_R = np.argsort(np.where(apart_R, np.inf, used_Rx2[:, side]), kind="stable")
        apart_R[rank_R[:half]] = True
    return apart_R


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
