"""Vocabularies: lazy gin wrappers, and the word vocabulary in Python and TensorFlow alike."""

import copy
import pickle

import pytest

from flan_jax.data.vocabularies import (
    ByteVocabulary,
    SentencePieceVocabulary,
    as_seqio,
    word_vocabulary,
)
from flan_jax.errors import ConfigError, DataError

WORDS = ("red", "blue", "grün")


def test_word_ids_round_trip():
    vocabulary = word_vocabulary(WORDS, extra_ids=2)
    assert vocabulary.vocab_size == 8
    assert (vocabulary.pad_id, vocabulary.eos_id, vocabulary.unk_id) == (0, 1, 2)
    assert vocabulary.encode("  grün red\tpink ") == [5, 3, 2]
    assert vocabulary.decode([5, 3, 0, 2, 1, 3]) == "grün red <unk>"
    assert vocabulary.decode([7]) == "<unk>"


@pytest.mark.parametrize("text", ["blue", "", "  red   blue\n", "pink grün", "red\u00a0blue"])
def test_word_ids_are_the_same_in_tensorflow(text):
    vocabulary = word_vocabulary(WORDS)
    ids = vocabulary.encode_tf(text)
    assert ids.dtype.name == "int32"
    assert ids.numpy().tolist() == vocabulary.encode(text)


def test_word_vocabulary_batches_in_tensorflow():
    import tensorflow as tf

    vocabulary = word_vocabulary(WORDS)
    ids = vocabulary.encode_tf(tf.constant(["red blue", "grün"]))
    assert ids.to_list() == [[3, 4], [5]]
    back = vocabulary.decode_tf(tf.constant([[3, 4, 1, 3], [5, 1, 0, 0]]))
    assert [text.decode() for text in back.numpy()] == ["red blue", "grün"]


@pytest.mark.parametrize("words", [("a b",), ("",), ("x", "y", "x")])
def test_word_vocabulary_refuses_ambiguous_words(words):
    with pytest.raises(ValueError, match="words are listed twice|without whitespace"):
        word_vocabulary(words)


def test_equality_is_by_settings_and_copies_are_equal():
    used = word_vocabulary(WORDS)
    used.encode_tf("red")
    assert pickle.loads(pickle.dumps(used)) == used == word_vocabulary(WORDS)
    assert used != word_vocabulary(WORDS, extra_ids=1)
    assert hash(used) == hash(word_vocabulary(WORDS))
    lazy = ByteVocabulary(extra_ids=3)
    assert copy.deepcopy(lazy) == lazy != ByteVocabulary(extra_ids=4)
    assert SentencePieceVocabulary("x.model") != lazy


def test_byte_vocabulary_is_built_once_and_read_through():
    lazy = ByteVocabulary(extra_ids=125)
    assert lazy.vocab_size == 384
    assert lazy.encode("a") == [100]
    assert as_seqio(lazy) is ByteVocabulary(extra_ids=125).build()
    assert as_seqio(lazy.build()) is lazy.build()


def test_missing_vocabulary_file_names_path_and_remedy(tmp_path):
    path = str(tmp_path / "absent.model")
    lazy = SentencePieceVocabulary(path)
    with pytest.raises(DataError, match=r"absent\.model' does not exist.*sentencepiece_model_file"):
        lazy.build()
    with pytest.raises(DataError, match="is a directory"):
        SentencePieceVocabulary(str(tmp_path)).build()


def test_file_that_is_no_model_is_a_data_error(tmp_path):
    path = tmp_path / "text.model"
    path.write_text("not a model")
    with pytest.raises(DataError, match="could not be read as a SentencePiece model"):
        SentencePieceVocabulary(str(path)).build()


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match="sentencepiece_model_file"):
        SentencePieceVocabulary("")
    with pytest.raises(ConfigError, match="extra_ids"):
        ByteVocabulary(extra_ids=-1)


def test_t5_model_file_has_32100_ids(shared_data):
    vocabulary = SentencePieceVocabulary(str(shared_data / "t5_vocab" / "spiece.model"))
    assert vocabulary.vocab_size == 32100
    assert vocabulary.decode(vocabulary.encode("Is it so?")) == "Is it so?"
