"""Permutations, draws by share, and epochs: what the order of prepared rows is made of."""

import hashlib

import numpy as np
import pytest

from flan_jax.data.order.epochs import Epochs
from flan_jax.data.order.permutation import derived, key_of, permuted
from flan_jax.data.order.shares import BlockCounts


def permutation(size, key):
    return permuted(np.arange(size), np.full(size, size), np.full(size, key, np.uint64))


@pytest.mark.parametrize("size", [*range(1, 40), 255, 256, 257, 10007, 2**15 + 1])
def test_each_number_stands_at_one_place(size):
    for key in (0, key_of("a"), key_of("b")):
        np.testing.assert_array_equal(np.sort(permutation(size, key)), np.arange(size))


def test_places_are_computed_alone():
    whole = permutation(1000, 5)
    one = permuted(np.array([700]), np.array([1000]), np.array([5], np.uint64))
    assert one[0] == whole[700]


def test_sizes_far_beyond_memory():
    size = 2**61 + 12345
    places = np.arange(size - 50, size)
    found = permuted(places, np.full(50, size), np.full(50, 9, np.uint64))
    assert len(set(found.tolist())) == 50
    assert (0 <= found).all() and (found < size).all()


def test_every_row_is_as_likely_at_every_place():
    size, epochs = 7, 14000
    keys = np.repeat(derived(np.array(3, np.uint64), np.arange(epochs)), size)
    places = np.tile(np.arange(size), epochs)
    found = permuted(places, np.full(size * epochs, size), keys)
    counts = np.zeros((size, size))
    np.add.at(counts, (places, found), 1)
    # Chi-square with (7 - 1)**2 = 36 degrees of freedom: 99.99% lie below 78.
    # The network is no perfect shuffle on so few numbers: three times that is let through.
    expected = epochs / size
    assert ((counts - expected) ** 2 / expected).sum() < 3 * 78


def test_neighbours_part_in_large_permutations():
    found = permutation(100_000, key_of("large"))
    # Of two independent numbers below n the mean distance is n / 3.
    assert np.abs(np.diff(found)).mean() == pytest.approx(100_000 / 3, rel=0.02)
    assert abs(np.corrcoef(np.arange(100_000), found)[0, 1]) < 0.02


def test_the_order_is_that_of_earlier_versions():
    """A change here makes every saved position another one: raise `iterator._VERSION`."""
    found = [permutation(size, key_of("golden", size)) for size in (10, 1000, 54321)]
    assert found[0].tolist() == GOLDEN_TEN
    content = np.concatenate(found).astype("<i8").tobytes()
    assert hashlib.sha256(content).hexdigest()[:16] == GOLDEN_HASH


GOLDEN_TEN = [0, 1, 6, 4, 7, 3, 9, 5, 2, 8]
GOLDEN_HASH = "928f5ef96834c668"


def test_blocks_have_each_share_rounded():
    shares = np.array([0.5, 0.123, 0.0004, 0.3766])
    counts = BlockCounts(shares, 1000).counts(0, 300)
    assert (counts.sum(axis=1) == 1000).all()
    assert (np.abs(counts - 1000 * shares) <= 1).all()


def test_draws_before_a_block_are_the_sum_of_the_blocks_before():
    counts = BlockCounts([3, 1.5, 0.001, 7, 0], 1000)
    sums = np.vstack([np.zeros((1, 5), int), np.cumsum(counts.counts(0, 3000), axis=0)])
    for block in (0, 1, 2, 3, 64, 777, 1024, 2999, 3000):
        np.testing.assert_array_equal(counts.before(block), sums[block])
    assert sums[-1, 4] == 0
    later = counts.counts(2900, 5)
    np.testing.assert_array_equal(later, np.diff(sums[2900:2906], axis=0))


def test_shares_are_exact_over_many_blocks():
    generator = np.random.default_rng(0)
    shares = generator.dirichlet(np.ones(200) * 0.1)
    counts = BlockCounts(shares, 1024)
    for blocks in (1, 2, 8, 64, 1024, 2**20):
        assert np.abs(counts.before(blocks) - shares * 1024 * blocks).max() < 2.0
    for blocks in (3, 1000, 54321, 10**6 + 7):
        off = np.abs(counts.before(blocks) - shares * 1024 * blocks)
        assert off.max() < np.log2(blocks) + 2


def test_an_epoch_has_each_row_once_in_an_order_of_its_own():
    epochs = Epochs(["a", "b"], [np.zeros(50, int), np.zeros(7, int)], seed=1)
    found = epochs.examples(np.zeros(150, int), np.arange(150)).reshape(3, 50)
    for epoch in found:
        assert sorted(epoch.tolist()) == list(range(50))
    assert len({tuple(epoch) for epoch in found.tolist()}) == 3
    mixed = epochs.examples(np.array([1, 0, 1]), np.array([3, 100, 10]))
    assert mixed[1] == found[2, 0]
    assert (mixed[[0, 2]] < 7).all()


def test_another_task_or_its_place_changes_no_order():
    alone = Epochs(["b"], [np.zeros(9, int)], 4).examples(np.zeros(20, int), np.arange(20))
    both = Epochs(["a", "b"], [np.zeros(5, int), np.zeros(9, int)], 4)
    np.testing.assert_array_equal(alone, both.examples(np.ones(20, int), np.arange(20)))
    other_seed = Epochs(["b"], [np.zeros(9, int)], 5).examples(np.zeros(20, int), np.arange(20))
    assert alone.tolist() != other_seed.tolist()


def test_epochs_take_renderings_in_turn():
    # Rows 0, 1, 2 in two renderings each, row by row; the second task has one rendering.
    epochs = Epochs(["a", "b"], [np.tile([0, 1], 3), np.zeros(4, int)], seed=0)
    found = epochs.examples(np.zeros(12, int), np.arange(12)).reshape(4, 3)
    for epoch, examples in enumerate(found):
        assert (examples % 2 == epoch % 2).all()
        assert sorted((examples // 2).tolist()) == [0, 1, 2]
    assert epochs.rows_K.tolist() == [3, 4]
    assert epochs.cycle_K.tolist() == [6, 4]
    assert sorted(epochs.examples(np.ones(4, int), np.arange(4)).tolist()) == [0, 1, 2, 3]


def test_a_row_that_lacks_a_rendering_is_left_out_of_that_epoch_alone():
    epochs = Epochs(["a"], [np.array([0, 1, 0, 0, 1])], seed=0)
    found = epochs.examples(np.zeros(10, int), np.arange(10)).tolist()
    assert sorted(found[:3]) == sorted(found[5:8]) == [0, 2, 3]
    assert sorted(found[3:5]) == sorted(found[8:]) == [1, 4]
