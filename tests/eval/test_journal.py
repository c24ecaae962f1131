"""The journal of finished batches: torn lines, other questions, other parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flan_jax.decode.config import DecodeConfig
from flan_jax.eval.journal import NAME, Journal, fingerprint
from flan_jax.eval.predictions import OptionScore, Predictor

LENGTHS = {"inputs": 12, "targets": 6}


def silent(text):
    del text


def test_what_was_put_is_there_after_a_restart(tmp_path):
    journal = Journal(tmp_path, "a")
    key = journal.key("decode", {"tokens": np.arange(3)})
    journal.put(key, [[1, 2], 0.1])
    assert Journal(tmp_path, "a").get(key) == [[1, 2], 0.1]


def test_a_key_depends_on_the_parameters_the_kind_and_every_array(tmp_path):
    tokens = {"tokens": np.arange(3)}
    keys = {
        Journal(tmp_path, "a").key("decode", tokens),
        Journal(tmp_path, "b").key("decode", tokens),
        Journal(tmp_path, "a").key("score", tokens),
        Journal(tmp_path, "a").key("decode", {"tokens": np.arange(1, 4)}),
        Journal(tmp_path, "a").key("decode", {"tokens": np.arange(3, dtype=np.int32)}),
        Journal(tmp_path, "a").key("decode", {"inputs": np.arange(3)}),
    }
    assert len(keys) == 6


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_line_that_was_cut_off_is_left_out_and_the_next_is_whole(tmp_path, cut):
    journal = Journal(tmp_path, "a")
    journal.put("first", [1])
    journal.put("second", [2])
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:-cut])
    again = Journal(tmp_path, "a")
    assert again.get("first") == [1]
    # Without its line end alone the line is whole.
    assert again.get("second") == ([2] if cut == 1 else None)
    again.put("third", [3])
    assert Journal(tmp_path, "a").get("third") == [3]


def test_a_flipped_bit_is_noticed(tmp_path):
    Journal(tmp_path, "a").put("first", [12345])
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes().replace(b"12345", b"12344"))
    assert Journal(tmp_path, "a").get("first") is None


def test_a_fingerprint_tells_parameters_apart_and_not_how_they_are_sharded(
    tiny, tiny_on_eight_devices
):
    params = {"a": jnp.arange(6.0).reshape(2, 3), "b": jnp.ones(4, jnp.bfloat16)}
    first = fingerprint(params)
    assert fingerprint(jax.tree.map(jnp.copy, params)) == first
    swapped = params | {"a": params["a"].at[0, 0].set(1.0).at[0, 1].set(0.0)}
    assert fingerprint(swapped) != first
    assert fingerprint({"c": params["a"], "b": params["b"]}) != first
    smallest = params | {"a": params["a"].at[1, 2].set(np.nextafter(np.float32(5), 6))}
    assert fingerprint(smallest) != first
    assert fingerprint(tiny.params) == fingerprint(tiny_on_eight_devices.params)


def rows(count, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 12, count)
    return [{"inputs": np.append(rng.integers(4, 15, n - 1), 1).astype(np.int32)} for n in lengths]


class Killed(BaseException):
    """Stands for a kill: nothing may catch it."""


def test_after_a_kill_only_the_batches_in_flight_are_run_again(tiny, tmp_path, monkeypatch):
    examples, config = rows(20), DecodeConfig(method="sample", num_samples=2, max_decode_length=4)

    def run(journal):
        return Predictor(
            tiny.model, tiny.params, tiny.partitioner, 4, LENGTHS, silent, journal
        ).predict(examples, config)

    expected = run(None)
    put = Journal.put

    def put_or_die(self, key, value):
        if len(self._known) == 2:
            raise Killed
        put(self, key, value)

    monkeypatch.setattr(Journal, "put", put_or_die)
    with pytest.raises(Killed):
        run(Journal(tmp_path, "a"))
    monkeypatch.setattr(Journal, "put", put)
    again = Journal(tmp_path, "a")
    found = run(again)
    assert again.num_used == 2  # Of five.
    for one, other in zip(found, expected, strict=True):
        assert one.scores == other.scores
        for tokens, others in zip(one.tokens, other.tokens, strict=True):
            np.testing.assert_array_equal(tokens, others)
    third = Journal(tmp_path, "a")
    run(third)
    assert third.num_used == 5


@pytest.mark.parametrize(
    "kind", ["tiny", pytest.param("tiny_decoder", marks=pytest.mark.exhaustive)]
)
def test_ranking_options_together_equals_scoring_them_one_by_one(kind, request, monkeypatch):
    made = request.getfixturevalue(kind)
    examples = rows(9, seed=1)
    rng = np.random.default_rng(2)
    options = [
        [np.append(rng.integers(4, 15, rng.integers(1, 4)), 1).astype(np.int32) for _ in range(n)]
        for n in rng.integers(1, 6, len(examples))
    ]
    inputs = [example["inputs"] for example in examples]
    predictor = Predictor(made.model, made.params, made.partitioner, 4, LENGTHS, silent)
    together = predictor.rank(inputs, options)
    monkeypatch.setattr("flan_jax.eval.predictions._MOST_OPTION_TOKENS", 0)
    one_by_one = predictor.rank(inputs, options)
    for a, b, asked in zip(together, one_by_one, options, strict=True):
        assert isinstance(a, OptionScore)
        assert a.num_greedy == b.num_greedy
        assert a.num_tokens == b.num_tokens == tuple(len(option) for option in asked)
        np.testing.assert_allclose(a.log_likelihoods, b.log_likelihoods, atol=2e-5)
