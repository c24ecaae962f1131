"""Greedy and random decoding over the toy model: exact tokens, frequencies, independence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flan_jax.decode import sampling

T = 6


def run(toy, table, choose, num_samples=1, active_B=None, length=T):
    if active_B is None:
        active_B = np.ones(table.shape[0], bool)
    count = []

    def step(cache, token_N, index):
        jax.debug.callback(lambda i: count.append(int(i)), index)
        return toy.step(cache, token_N, index)

    out = jax.jit(
        lambda table, active: sampling.decode_stepwise(
            step,
            toy.make_cache(table, num_samples, length),
            choose,
            active,
            num_samples=num_samples,
            max_decode_length=length,
            eos_id=toy.EOS,
        )
    )(jnp.asarray(table), jnp.asarray(active_B))
    out = jax.tree.map(np.asarray, out)
    jax.effects_barrier()
    return out, len(count)


def test_greedy_equals_a_plain_loop(toy):
    table = toy.make_table(0, num_rows=5, vocab_size=6)
    out, _ = run(toy, table, sampling.choose_greedy)
    for row in range(5):
        tokens, score = (), 0.0
        while len(tokens) < T and toy.EOS not in tokens:
            log_probs = toy.next_log_probs(table[row], tokens)
            tokens += (int(log_probs.argmax()),)
            score += log_probs.max()
        padded = tokens + (0,) * (T - len(tokens))
        assert tuple(out.tokens_BxKxT[row, 0]) == padded
        assert out.lengths_BxK[row, 0] == len(tokens)
        np.testing.assert_allclose(out.scores_BxK[row, 0], score, rtol=1e-5)


def test_loop_ends_with_the_last_live_row(toy):
    table = np.zeros((3, 4, 4), np.float32)
    table[0, 0, 1] = 9.0  # ends in the first step
    table[1, 0, 2] = table[1, 2, 1] = 9.0  # in the second
    table[2, :, 3] = 9.0  # never
    out, steps = run(toy, table[:2], sampling.choose_greedy)
    assert steps == 2
    assert out.lengths_BxK[:, 0].tolist() == [1, 2]
    _, steps = run(toy, table, sampling.choose_greedy, active_B=[True, True, False])
    assert steps == 2  # the endless row is padding
    _, steps = run(toy, table, sampling.choose_greedy)
    assert steps == T
    out, steps = run(toy, table, sampling.choose_greedy, active_B=[False] * 3)
    assert steps == 0 and not out.tokens_BxKxT.any()


def test_padding_row_with_nan_logits_leaves_no_trace(toy):
    table = toy.make_table(1, num_rows=2, vocab_size=6)
    table[1] = np.nan
    out, _ = run(toy, table, sampling.choose_greedy, active_B=[True, False])
    assert not out.tokens_BxKxT[1].any() and out.lengths_BxK[1, 0] == 0
    assert out.scores_BxK[1, 0] == 0.0 and np.isfinite(out.scores_BxK).all()


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(1.0, 0, 1.0), (0.5, 0, 1.0), (2.0, 3, 1.0), (1.0, 0, 0.7), (0.7, 4, 0.8)],
)
def test_frequencies_follow_the_cut_distribution(toy, key, temperature, top_k, top_p):
    num_samples, vocab_size = 20_000, 6
    table = toy.make_table(2, num_rows=1, vocab_size=vocab_size)
    keys_N = sampling.sampling_keys(key, jnp.arange(1), num_samples)
    choose = sampling.make_choose_sample(keys_N, temperature, top_k, top_p)
    out, _ = run(toy, table, choose, num_samples=num_samples, length=1)
    counts = np.bincount(out.tokens_BxKxT[0, :, 0], minlength=vocab_size)

    probs = np.exp(toy.next_log_probs(table[0], ()) / temperature)
    order = np.argsort(-probs)
    kept = order[: top_k or vocab_size]
    share = probs[kept] / probs[kept].sum()
    kept = kept[: int(np.searchsorted(np.cumsum(share), top_p)) + 1] if top_p < 1 else kept
    expected = np.zeros(vocab_size)
    expected[kept] = probs[kept] / probs[kept].sum()
    assert counts[expected == 0].sum() == 0
    # Five standard deviations of a binomial count: fails by chance less than once in 100,000 keys.
    deviation = np.sqrt(num_samples * expected * (1 - expected))
    np.testing.assert_array_less(np.abs(counts - num_samples * expected), 5 * deviation + 1e-9)


def test_score_is_the_models_own_whatever_the_temperature(toy, key):
    table = toy.make_table(3, num_rows=2, vocab_size=6)
    keys_N = sampling.sampling_keys(key, jnp.arange(2), 3)
    out, _ = run(toy, table, sampling.make_choose_sample(keys_N, 3.0, top_k=4), num_samples=3)
    for row, sample in np.ndindex(2, 3):
        n = out.lengths_BxK[row, sample]
        tokens = tuple(int(t) for t in out.tokens_BxKxT[row, sample, :n])
        score = sum(toy.next_log_probs(table[row], tokens[:i])[t] for i, t in enumerate(tokens))
        np.testing.assert_allclose(out.scores_BxK[row, sample], score, rtol=1e-5)


def test_draws_of_a_row_depend_only_on_key_row_id_and_sample(toy, key):
    table = toy.make_table(4, num_rows=1, vocab_size=12).repeat(4, axis=0)

    def draw(row_ids, num_samples, key=key):
        keys_N = sampling.sampling_keys(key, jnp.asarray(row_ids), num_samples)
        choose = sampling.make_choose_sample(keys_N, 1.5)
        out, _ = run(toy, table[: len(row_ids)], choose, num_samples=num_samples)
        return out.tokens_BxKxT

    four = draw([7, 3, 9, 5], 2)
    # Another batch size and order, and more samples, of which the first stay.
    np.testing.assert_array_equal(draw([9, 7], 3)[:, :2], four[[2, 0]])
    assert (four[0] != four[1]).any() and (four[0, 0] != four[0, 1]).any()
    assert (draw([7, 3, 9, 5], 2, jax.random.key(1)) != four).any()
