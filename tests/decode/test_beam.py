"""Beam search against enumeration of all outputs, and its ending rules."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flan_jax.decode import beam, cache
from flan_jax.decode.output import DecodeOutput

T = 5


def search(toy, table, active_B=None, length=T, **options) -> DecodeOutput:
    options = {
        "beam_size": 3,
        "length_penalty": 0.6,
        "length_penalty_type": "google",
        "early_stopping": False,
    } | options
    if active_B is None:
        active_B = np.ones(table.shape[0], bool)
    run = compiled(toy.step, toy.make_cache, length, tuple(options.items()))
    return jax.tree.map(np.asarray, run(table, jnp.asarray(active_B)))


@functools.cache
def compiled(step, make_cache, length, options):
    options = dict(options)

    def gather(tree, source_BxK):
        rows = cache.take_beams({k: tree[k] for k in ("table", "fed")}, 0, source_BxK)
        return {**tree, **rows}

    def run(table_BxVxV, active_B):
        return beam.beam_search(
            step,
            make_cache(table_BxVxV, options["beam_size"], length),
            gather,
            active_B,
            max_decode_length=length,
            eos_id=1,
            **options,
        )

    return jax.jit(run)


def penalised(outputs, kind, alpha):
    size = {"google": lambda n: (5 + n) / 6, "hf": lambda n: n}[kind]
    return {tokens: lp / size(len(tokens)) ** alpha for tokens, lp in outputs.items()}


@pytest.mark.parametrize(("kind", "alpha"), [("google", 0.6), ("hf", 1.0), ("hf", -1.0)])
def test_wide_beam_finds_the_best_outputs_of_all(toy, kind, alpha):
    # Wide enough to keep every open prefix (4**2 before the last step) and to let every ending one
    # of step 2 join (20 candidates); 'never' stops only when nothing can be gained: it is exact.
    table = toy.make_table(3, num_rows=3, vocab_size=5)
    length = 3
    found = search(
        toy,
        table,
        length=length,
        beam_size=20,
        length_penalty=alpha,
        length_penalty_type=kind,
        early_stopping="never",
    )
    for row in range(3):
        best = penalised(toy.all_outputs(table[row], length), kind, alpha)
        ranked = sorted(best.items(), key=lambda item: -item[1])[:10]
        for rank, (tokens, score) in enumerate(ranked):
            n = found.lengths_BxK[row, rank]
            assert tuple(found.tokens_BxKxT[row, rank, :n]) == tokens
            assert not found.tokens_BxKxT[row, rank, n:].any()
            np.testing.assert_allclose(found.scores_BxK[row, rank], score, rtol=2e-5)


def test_scores_are_those_of_the_returned_tokens(toy):
    table = toy.make_table(4, num_rows=4, vocab_size=9)
    found = search(toy, table, beam_size=4, length_penalty=1.5, length_penalty_type="hf")
    for row, hypothesis in np.ndindex(4, 4):
        n = found.lengths_BxK[row, hypothesis]
        tokens = tuple(int(t) for t in found.tokens_BxKxT[row, hypothesis, :n])
        log_prob = sum(toy.next_log_probs(table[row], tokens[:i])[t] for i, t in enumerate(tokens))
        np.testing.assert_allclose(found.scores_BxK[row, hypothesis], log_prob / n**1.5, rtol=2e-5)
    assert (np.diff(found.scores_BxK, axis=1) <= 0).all()


@pytest.mark.parametrize("early_stopping", [False, True, "never"])
def test_a_row_does_not_depend_on_its_neighbours(toy, early_stopping):
    table = toy.make_table(5, num_rows=6, vocab_size=7)
    together = search(toy, table, early_stopping=early_stopping)
    for row in range(6):
        alone = search(toy, table[row : row + 1], early_stopping=early_stopping)
        np.testing.assert_array_equal(alone.tokens_BxKxT[0], together.tokens_BxKxT[row])
        np.testing.assert_allclose(alone.scores_BxK[0], together.scores_BxK[row], rtol=1e-6)


def test_never_scores_at_least_as_high_as_the_quicker_endings(toy):
    options = {"beam_size": 2, "length_penalty": 3.0, "length_penalty_type": "hf"}
    table = toy.make_table(6, num_rows=32, vocab_size=7)
    best = {
        stop: search(toy, table, early_stopping=stop, length=12, **options).scores_BxK[:, 0]
        for stop in (False, True, "never")
    }
    assert (best["never"] >= best[False]).all()
    assert (best[False] >= best[True]).all()
    assert (best["never"] > best[True]).any()


def test_padding_rows_end_at_once_even_when_their_logits_are_nan(toy):
    table = toy.make_table(7, num_rows=3, vocab_size=7)
    table[1] = np.nan
    found = search(toy, table, active_B=[True, False, True])
    assert not found.tokens_BxKxT[1].any()
    assert not found.lengths_BxK[1].any()
    np.testing.assert_array_equal(found.scores_BxK[1], 0.0)
    assert np.isfinite(found.scores_BxK).all()
    alone = search(toy, table[[0]])
    np.testing.assert_array_equal(found.tokens_BxKxT[0], alone.tokens_BxKxT[0])


def test_missing_hypotheses_of_a_tiny_vocabulary_are_marked(toy):
    table = toy.make_table(8, num_rows=1, vocab_size=2)
    found = search(toy, table, beam_size=4, length=1)  # only two outputs of length 1 exist
    assert np.isfinite(found.scores_BxK[0]).tolist() == [True, True, False, False]
    assert found.lengths_BxK[0].tolist() == [1, 1, 0, 0]
