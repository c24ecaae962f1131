"""Rows from lengths: nothing lost or cut, and few rows."""

import numpy as np
import pytest

from flan_jax.data.order.block_packing import numbered, packed, repacked
from flan_jax.data.packing import Example, Packer


def lopsided(blocks, count, seed=0):
    """Long inputs with short targets, and the other way round, as instruction mixtures have."""
    generator = np.random.default_rng(seed)
    inputs = np.minimum(generator.geometric(1 / 200, (blocks, count)), 1024)
    targets = np.minimum(generator.geometric(1 / 10, (blocks, count)), 256)
    other = generator.random((blocks, count)) < 0.6
    inputs[other] = generator.integers(20, 110, other.sum())
    targets[other] = generator.integers(15, 100, other.sum())
    return np.stack([inputs, targets], axis=2)


def used(row_S, sizes_Sx2):
    return np.stack([np.bincount(row_S, sizes_Sx2[:, side]) for side in (0, 1)], axis=1)


def bound(sizes, capacity):
    return (sizes.reshape(-1, 2).sum(axis=0) / np.array(capacity)).max()


@pytest.mark.parametrize("capacity", [(1024, 256), (1280, 1), (1500, 300)])
def test_every_example_has_a_row_and_no_row_overflows(capacity):
    sizes = lopsided(3, 200)
    if capacity[1] == 1:
        sizes[..., 0] += sizes[..., 1]
        sizes[..., 1] = 0
    row_S = numbered(packed(sizes, capacity))
    assert row_S.shape == (600,)
    assert (used(row_S, sizes.reshape(-1, 2)) <= capacity).all()
    assert (np.bincount(row_S) > 0).all()
    again = repacked(row_S, sizes.reshape(-1, 2), capacity)
    assert (used(again, sizes.reshape(-1, 2)) <= capacity).all()
    assert (np.bincount(again) > 0).all()
    assert again.max() <= row_S.max()


def test_blocks_do_not_share_rows():
    sizes = lopsided(4, 50)
    row_CxM = numbered(packed(sizes, (1024, 256))).reshape(4, 50)
    for first, second in zip(row_CxM[:-1], row_CxM[1:], strict=True):
        assert first.max() < second.min()


def test_perfect_fits_are_found():
    # 24 rows' worth: each row takes one long input and the targets of three others exactly.
    sizes = np.array([[[700, 16]] * 24 + [[108, 80]] * 72])
    row_S = numbered(packed(sizes, (1024, 256), tightness=0.3))
    assert row_S.max() + 1 == 24


def test_rows_of_one_side():
    generator = np.random.default_rng(3)
    sizes = np.zeros((2, 1000, 2), int)
    sizes[..., 0] = generator.integers(20, 600, (2, 1000))
    row_S = numbered(packed(sizes, (1280, 1)))
    assert row_S.max() + 1 <= 1.01 * bound(sizes, (1280, 1))


def test_at_most_so_many_examples_of_a_row():
    sizes = np.full((1, 64, 2), 8)
    row_S = numbered(packed(sizes, (1024, 256), max_segments=5))
    assert np.bincount(row_S).max() == 5
    assert row_S.max() + 1 == 13


def test_whole_rows_and_empty_examples_fit():
    sizes = np.array([[[1024, 256], [1024, 0], [0, 256], [0, 0], [1, 1]]])
    row_S = numbered(packed(sizes, (1024, 256)))
    assert (used(row_S, sizes[0]) <= (1024, 256)).all()
    assert row_S.max() + 1 == 3


def test_missing_examples_of_the_last_block_get_no_row():
    sizes = lopsided(2, 30)
    sizes[1, 20:] = -1
    row_CxM = packed(sizes, (1024, 256))
    assert (row_CxM[1, 20:] == -1).all()
    assert (row_CxM[1, :20] >= 0).all()
    full = packed(sizes[1:, :20], (1024, 256))
    np.testing.assert_array_equal(row_CxM[1, :20], full[0])


def test_few_rows_are_wasted_and_fewer_than_by_the_live_packer():
    capacity = (1024, 256)
    sizes = lopsided(8, 1024)
    flat = sizes.reshape(-1, 2)
    row_S = numbered(packed(sizes, capacity, tightness=0.3))
    for _ in range(2):
        row_S = repacked(row_S, flat, capacity, tightness=0.3)
    rows = int(row_S.max()) + 1

    packer, live = Packer(*capacity, window=1024), 0
    waiting = list(flat[::-1])
    while waiting or packer.waiting():
        while waiting and packer.missing:
            inputs, targets = waiting.pop()
            packer.add(Example(0, np.zeros(inputs, np.int32), np.zeros(targets, np.int32)))
        packer.take_row()
        live += 1
    assert rows < live
    assert rows <= 1.015 * bound(sizes, capacity)
