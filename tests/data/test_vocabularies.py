"""Vocabularies: lazy gin wrappers, and the word vocabulary in Python and TensorFlow alike."""

import copy
import pickle

import pytest
import seqio

from flan_jax.data import tokenizer_files
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


def train_pieces(folder, **options):
    """Trains a small SentencePiece model; returns the path of its file."""
    import sentencepiece

    texts = [f"{a} {b} {c}" for a in WORDS for b in "abcdefgh" for c in ("one", "two", "three")]
    settings = {"vocab_size": 60, "pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1, **options}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_prefix=str(folder / "pieces"),
        hard_vocab_limit=False,
        minloglevel=2,
        **settings,
    )
    return str(folder / "pieces.model")


def test_sentinels_count_down_from_the_last_id_as_in_t5_or_up(tmp_path):
    path = train_pieces(tmp_path)
    plain = SentencePieceVocabulary(path, extra_ids=0)
    size = plain.vocab_size
    down = SentencePieceVocabulary(path, extra_ids=4)
    up = SentencePieceVocabulary(path, extra_ids=4, reverse_extra_ids=False)
    assert down.vocab_size == up.vocab_size == size + 4 and down != up
    text = "red <extra_id_0> a <extra_id_3>"
    assert [i - size for i in down.encode(text) if i >= size] == [3, 0]
    assert [i - size for i in up.encode(text) if i >= size] == [0, 3]
    assert down.decode(down.encode(text)) == up.decode(up.encode(text)) == text
    with pytest.raises(ConfigError, match="reverse_extra_ids must be True or False"):
        SentencePieceVocabulary(path, reverse_extra_ids=1)


def test_a_lossless_model_in_palms_manner_gives_every_text_back(tmp_path):
    """Blanks as they are, and bytes for characters without a piece."""
    path = train_pieces(
        tmp_path, vocab_size=330, byte_fallback=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, bos_id=2, unk_id=3, user_defined_symbols=["\n"],
    )  # fmt: skip
    vocabulary = SentencePieceVocabulary(path, extra_ids=0)
    assert (vocabulary.eos_id, vocabulary.bos_id, vocabulary.unk_id) == (1, 2, 3)
    for text in ("red  blue\n\n  grün 東京", "\tx = {'a': 1}\n"):
        assert vocabulary.decode(vocabulary.encode(text)) == text


# ------------------------------------------------------------------- files and identity


def test_identities_tell_vocabularies_apart(tmp_path):
    (tmp_path / "other").mkdir()
    path, other = train_pieces(tmp_path), train_pieces(tmp_path / "other", vocab_size=50)
    made = {
        "pieces": SentencePieceVocabulary(path),
        "sentinels": SentencePieceVocabulary(path, extra_ids=50),
        "upwards": SentencePieceVocabulary(path, reverse_extra_ids=False),
        "others": SentencePieceVocabulary(other),
        "bytes": ByteVocabulary(),
        "words": word_vocabulary(WORDS),
        "more words": word_vocabulary(("blue", "red", "grün")),
    }
    found = {name: tokenizer_files.identity(each) for name, each in made.items()}
    assert tokenizer_files.identity(SentencePieceVocabulary(path)) == found["pieces"]
    for one in found:
        for another in found:
            differs = tokenizer_files.difference(found[one], found[another])
            assert (differs is None) == (one == another), (one, another, differs)
    assert "size" in tokenizer_files.difference(found["pieces"], found["sentinels"])
    assert "other pieces" in tokenizer_files.difference(found["pieces"], found["upwards"])
    # The same vocabulary in another form is no difference.
    as_json = {**found["pieces"], "kind": "tokenizer.json", "sha256": "0"}
    assert tokenizer_files.difference(found["pieces"], as_json) is None


def test_ids_without_an_embedding_or_an_end_are_refused(tmp_path):
    vocabulary = word_vocabulary(WORDS)
    tokenizer_files.check_ids(vocabulary, 6, "inputs")
    with pytest.raises(ConfigError, match="inputs: .* has 6 ids, but the network embeds only 5"):
        tokenizer_files.check_ids(vocabulary, 5, "inputs")
    endless = SentencePieceVocabulary(train_pieces(tmp_path, eos_id=-1), extra_ids=0)
    with pytest.raises(ConfigError, match="end token -1"):
        tokenizer_files.check_ids(endless, 500, "targets")

    class Padded(seqio.ByteVocabulary):
        pad_id = 300

    with pytest.raises(ConfigError, match="padding token 300"):
        tokenizer_files.check_ids(Padded(), 280, "targets")


def test_words_become_a_tokenizer_json_with_the_same_ids():
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = word_vocabulary(WORDS, extra_ids=2)
    content = tokenizer_files.serving_files(vocabulary)["tokenizer.json"]
    theirs = tokenizers.Tokenizer.from_str(content.decode())
    for text in ("grün red", "  red\tpink\x0bblue\n", "red\u00a0blue red", ""):
        ids = theirs.encode(text, add_special_tokens=False).ids
        assert ids == vocabulary.encode(text)
        assert theirs.decode(ids, skip_special_tokens=False) == vocabulary.decode(ids)
    assert tokenizer_files.unspoken_ids(vocabulary) == [0, 1]


def test_the_serving_file_of_pieces_has_the_sentinels(tmp_path):
    import sentencepiece

    vocabulary = SentencePieceVocabulary(train_pieces(tmp_path), extra_ids=3)
    content = tokenizer_files.serving_files(vocabulary)["sentencepiece.model"]
    theirs = sentencepiece.SentencePieceProcessor(model_proto=content)
    text = "red a <extra_id_1> two"
    assert theirs.encode(text) == vocabulary.encode(text)
    assert theirs.get_piece_size() == vocabulary.vocab_size
    assert tokenizer_files.serving_files(ByteVocabulary()) == {}


@pytest.mark.parity
@pytest.mark.parametrize("kind", ["t5", "bytes", "words"])
def test_transformers_reads_the_files_as_the_same_vocabulary(kind, tmp_path, shared_data):
    transformers = pytest.importorskip("transformers")
    vocabulary = {
        "t5": lambda: SentencePieceVocabulary(str(shared_data / "t5_vocab" / "spiece.model")),
        "bytes": lambda: ByteVocabulary(extra_ids=125),
        "words": lambda: word_vocabulary(WORDS),
    }[kind]()
    for name, content in tokenizer_files.hugging_face_files(vocabulary).items():
        (tmp_path / name).write_bytes(content)
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    texts = ("red blue grün", "Is it so? Certainly: 1,234.5 times.", "  two  blanks ")
    for text in texts:
        assert theirs.encode(text, add_special_tokens=False) == vocabulary.encode(text)
    assert theirs.eos_token_id == vocabulary.eos_id and theirs.pad_token_id == 0
    if kind == "t5":
        sentinels = "a <extra_id_0> b <extra_id_99>"
        ids = theirs.encode(sentinels, add_special_tokens=False)
        assert [i for i in ids if i >= 32000] == [32099, 32000]
        assert len(theirs) == vocabulary.vocab_size
