"""First values of a soft prompt: each kind, and what cannot be made."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flan_jax import prompt_init, testing
from flan_jax.checkpoint import Checkpointer
from flan_jax.errors import CheckpointError, ConfigError, DataError
from flan_jax.mesh import PjitPartitioner
from flan_jax.state import TrainState

EMBEDDING_VxD = np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32)


@pytest.fixture
def said():
    return []


@pytest.fixture
def source(said):
    vocabulary = testing.toy_vocabulary()
    return prompt_init.Source(
        key=jax.random.key(0),
        length=4,
        embedding_VxD=jnp.asarray(EMBEDDING_VxD),
        vocabulary=vocabulary,
        vocabulary_size=vocabulary.vocab_size,
        say=said.append,
    )


def make(init, source, **changes):
    return np.asarray(prompt_init.initial_prompt(init, dataclasses.replace(source, **changes)))


def rows_of(source, text):
    return EMBEDDING_VxD[source.vocabulary.encode(text)]


def ids_of(prompt_PxD):
    """Which embedding each row is."""
    same_PxV = (prompt_PxD[:, None] == EMBEDDING_VxD[None]).all(axis=-1)
    assert (same_PxV.sum(axis=1) == 1).all()
    return same_PxV.argmax(axis=1).tolist()


def test_uniform_lies_on_both_sides_of_zero(source):
    prompt_PxD = make(prompt_init.Uniform(), source, length=300)
    assert prompt_PxD.shape == (300, 6) and prompt_PxD.dtype == np.float32
    assert -0.5 <= prompt_PxD.min() < -0.49 and 0.49 < prompt_PxD.max() <= 0.5
    assert np.abs(make(prompt_init.Uniform(scale=2.0), source, length=300)).max() > 1.9


def test_sampled_vocabulary_draws_known_ids_without_repeating_one(source, said):
    ids = ids_of(make(prompt_init.FromSampleOfEmbeddings(), source, length=15))
    assert sorted(ids) == list(range(15))  # The 16th row is of no token.
    few = prompt_init.FromSampleOfEmbeddings(population_size=3)
    assert set(ids_of(make(few, source, length=3))) == {0, 1, 2} and not said
    assert set(ids_of(make(few, source, length=40))) == {0, 1, 2}
    assert said == [
        "The prompt has 40 rows and 3 token ids to draw from, so some come several times."
    ]
    other = make(prompt_init.FromSampleOfEmbeddings(), source, key=jax.random.key(1))
    assert ids_of(other) != ids[:4]


def test_class_labels_are_means_of_their_pieces_and_the_rest_is_sampled(source, said):
    prompt_PxD = make(prompt_init.FromEmbeddedList(["red green", "two"]), source)
    np.testing.assert_allclose(prompt_PxD[0], rows_of(source, "red green").mean(0), rtol=1e-6)
    np.testing.assert_array_equal(prompt_PxD[1], rows_of(source, "two")[0])
    assert len(ids_of(prompt_PxD[2:])) == 2 and not said
    many = prompt_init.FromEmbeddedList("one two three four five six".split())
    np.testing.assert_array_equal(make(many, source), rows_of(source, "one two three four"))
    assert "2 of 6 texts play no part: 'five', 'six'" in said[0]
    zeros = prompt_init.FromEmbeddedList(["red"], initializer=lambda s: jnp.zeros((4, 6)))
    assert not make(zeros, source)[1:].any()


def test_a_string_gives_its_pieces_in_order(source, said):
    prompt_PxD = make(prompt_init.FromEmbeddedString("copy red blue"), source)
    np.testing.assert_array_equal(prompt_PxD[:3], rows_of(source, "copy red blue"))
    assert len(ids_of(prompt_PxD)) == 4 and not said
    long = prompt_init.FromEmbeddedString("one two three four five six")
    np.testing.assert_array_equal(make(long, source), rows_of(source, "one two three four"))
    assert "the last 2 of 6 pieces" in said[0]


def test_arrays_files_and_checkpoints_are_taken_as_they_are(source, tmp_path):
    given_PxD = np.arange(24, dtype=np.float32).reshape(4, 6)
    np.save(tmp_path / "prompt.npy", given_PxD.astype(np.float64))
    tree = {"prompt": {"prompt": {"prompt": jnp.asarray(given_PxD)}}}
    with Checkpointer(tmp_path / "run") as saver:
        saver.save(2, TrainState(jnp.int32(2), {"encoder": tree}, {}), b"", {}, True)
    for prompt in (given_PxD, str(tmp_path / "prompt.npy"), str(tmp_path / "run")):
        np.testing.assert_array_equal(make(prompt_init.FromArray(prompt), source), given_PxD)


def test_what_is_not_such_a_prompt_is_refused(source, tmp_path):
    np.save(tmp_path / "prompt.npy", np.zeros((5, 6), np.float32))
    with pytest.raises(DataError, match=r"\(5, 6\).*\(4, 6\).*prompt_length = 5"):
        make(prompt_init.FromArray(str(tmp_path / "prompt.npy")), source)
    with pytest.raises(DataError, match="another width"):
        make(prompt_init.FromArray(np.zeros((4, 7), np.float32)), source)
    with pytest.raises(DataError, match="int64 of shape"):
        make(prompt_init.FromArray(np.zeros((4, 6), np.int64)), source)
    with pytest.raises(DataError, match=r"there is no .*Did you mean 'prompt.npy'"):
        make(prompt_init.FromArray(str(tmp_path / "promt.npy")), source)
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(DataError, match="cannot be read as a .npy"):
        make(prompt_init.FromArray(str(tmp_path / "text.npy")), source)
    with Checkpointer(tmp_path / "run") as saver:
        saver.save(2, TrainState(jnp.int32(2), {"w": jnp.zeros(2)}, {}), b"", {}, True)
    with pytest.raises(CheckpointError, match="no soft prompt"):
        make(prompt_init.FromArray(str(tmp_path / "run")), source)


def test_texts_outside_the_vocabulary_are_named(source):
    with pytest.raises(ConfigError, match=r"'red gren' holds what .* Did you mean 'green'"):
        make(prompt_init.FromEmbeddedList(["red gren"]), source)
    with pytest.raises(ConfigError, match="from_embedded_string.text: ' ' has no pieces"):
        make(prompt_init.FromEmbeddedString(" "), source)
    with pytest.raises(ConfigError, match="a list of texts"):
        prompt_init.FromEmbeddedList("positive")
    with pytest.raises(ConfigError, match="population_size is 0"):
        prompt_init.FromSampleOfEmbeddings(0)
    with pytest.raises(ConfigError, match="one of gin's prompts"):
        make("uniform", source)


def test_sharded_embeddings_give_the_same_prompt_on_its_sharding(source):
    partitioner = PjitPartitioner(fsdp=2, num_partitions=4)
    axes, shape = {"e": ("vocab", "embed")}, {"e": source.embedding_VxD}
    spread_VxD = jax.device_put(shape, partitioner.shardings(shape, axes))["e"]
    wanted = jax.ShapeDtypeStruct((4, 6), np.float32)
    sharding = partitioner.shardings({"p": wanted}, {"p": ("prompt", "embed")})["p"]
    for init in (prompt_init.FromSampleOfEmbeddings(), prompt_init.FromEmbeddedList(["red"])):
        found = prompt_init.initial_prompt(
            init, dataclasses.replace(source, embedding_VxD=spread_VxD), sharding
        )
        assert found.sharding == sharding
        np.testing.assert_array_equal(found, make(init, source))
