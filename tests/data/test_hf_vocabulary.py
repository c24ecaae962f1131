"""Vocabularies from a tokenizer.json, against the tokenizers library and, live, transformers."""

import json
import pathlib
import pickle
import sys
import tempfile

import numpy as np
import pytest

from flan_jax.data.vocabularies import HuggingFaceVocabulary
from flan_jax.errors import ConfigError, DataError

tokenizers = pytest.importorskip("tokenizers")

TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "Grüße aus Köln, 東京 und Ñandú 🙂",
    "def f(x):\n\treturn {x: [1, 22, 333]}\n\n",
    "  leading, doubled  and trailing blanks  ",
    "\u00a0\u2003odd blanks\r\nand a line",
    "",
    "\n",
    "e\u0301 combining, \u200d joiner, \x00 zero",
)


def byte_level(folder, **options):
    """A byte-level BPE in GPT-2's manner; id 0 is an ordinary token. Returns its path."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    special = options.pop("special", ["<|endoftext|>"])
    tokenizer.add_special_tokens(special)
    return save(tokenizer, folder, **options)


def metaspace(folder, **options):
    """A BPE in Llama's manner: blanks as a sign of their own, unknown characters as bytes."""
    special = ["<unk>", "<s>", "</s>"]
    pieces = special + [f"<0x{i:02X}>" for i in range(256)]
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    tokenizer.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.Prepend("▁"), tokenizers.normalizers.Replace(" ", "▁")]
    )
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=450, special_tokens=pieces, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS[:1] * 9, trainer)
    # The trainer makes all of these special; only three are.
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [one for one in content["added_tokens"] if one["content"] in special]
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(content))
    tokenizer.decoder = tokenizers.decoders.Sequence(
        [
            tokenizers.decoders.Replace("▁", " "),
            tokenizers.decoders.ByteFallback(),
            tokenizers.decoders.Fuse(),
            tokenizers.decoders.Strip(" ", 1, 0),
        ]
    )
    return save(tokenizer, folder, **options)


def save(tokenizer, folder, **files):
    folder.mkdir(exist_ok=True)
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return str(path)


@pytest.fixture(scope="module", params=[byte_level, metaspace])
def path(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp("hf") / request.param.__name__)


def test_texts_come_back_exactly(path):
    vocabulary = HuggingFaceVocabulary(path)
    for text in TEXTS:
        ids = vocabulary.encode(text)
        assert vocabulary.decode(ids) == text
        assert all(0 <= i < vocabulary.vocab_size for i in ids)


def test_ids_are_the_same_in_tensorflow_one_text_or_many(path):
    import tensorflow as tf

    vocabulary = HuggingFaceVocabulary(path).build()
    expected = [vocabulary.encode(text) for text in TEXTS]
    one = vocabulary.encode_tf(TEXTS[1])
    assert one.dtype == tf.int32 and one.numpy().tolist() == expected[1]
    many = vocabulary.encode_tf(tf.constant(TEXTS))
    assert many.to_list() == expected
    assert vocabulary.encode_tf(tf.constant([], tf.string)).to_list() == []
    nested = vocabulary.encode_tf(tf.RaggedTensor.from_row_lengths(tf.constant(TEXTS), [3, 0, 5]))
    assert nested.to_list() == [expected[:3], [], expected[3:]]


def test_a_dataset_of_texts_is_tokenised_and_can_be_resumed(path):
    import tensorflow as tf

    vocabulary = HuggingFaceVocabulary(path).build()
    rows = tf.data.Dataset.from_tensor_slices(list(TEXTS)).map(vocabulary.encode_tf)
    assert rows.element_spec.shape.as_list() == [None]
    assert [row.tolist() for row in rows.as_numpy_iterator()] == [
        vocabulary.encode(text) for text in TEXTS
    ]
    # As a run's snapshot of its stream does: refused for operations with a state.
    iterator = iter(rows)
    next(iterator)
    position = tf.train.Checkpoint(iterator=iterator)
    with tempfile.TemporaryDirectory() as folder:
        saved = position.save(f"{folder}/position")
        expected = next(iterator).numpy().tolist()
        again = iter(rows)
        tf.train.Checkpoint(iterator=again).restore(saved)
        assert next(again).numpy().tolist() == expected


def test_decoding_stops_at_the_end_token_and_keeps_other_special_tokens(tmp_path):
    import tensorflow as tf

    special = ["<|endoftext|>", "<|user|>", "<pad>"]
    path = byte_level(tmp_path, special=special)
    vocabulary = HuggingFaceVocabulary(path).build()
    text = "<|user|>hi"
    user, pad = (tokenizers.Tokenizer.from_file(path).token_to_id(t) for t in special[1:])
    ids = vocabulary.encode(text)
    assert ids[0] == user and vocabulary.pad_id == pad
    ended = [*ids, vocabulary.eos_id, *ids, pad]
    assert vocabulary.decode(ended) == text
    assert vocabulary.decode(tf.constant([*ids, pad, pad])) == text
    assert vocabulary.decode(np.asarray(ended)) == text
    rows = tf.constant([ended, [pad] * len(ended)])
    assert [t.decode() for t in vocabulary.decode_tf(rows).numpy()] == [text, ""]
    assert vocabulary.decode_tf(rows[0]).numpy().decode() == text
    assert vocabulary.decode_tf(tf.zeros([0], tf.int32)).numpy() == b""


def test_the_first_id_is_a_token_like_others(tmp_path):
    vocabulary = HuggingFaceVocabulary(byte_level(tmp_path)).build()
    first = tokenizers.Tokenizer.from_file(vocabulary.path).id_to_token(0)
    assert first == "!" and vocabulary.encode("!") == [0]
    assert vocabulary.decode([0, 0]) == "!!"
    assert vocabulary.pad_id == 0 and vocabulary.unk_id is None and vocabulary.bos_id is None


SPECIAL = ["<a>", "<b>", "</s>"]


@pytest.mark.parametrize(
    ("files", "given", "expected"),
    [
        ({}, {}, "</s>"),
        ({"special_tokens_map": {"eos_token": {"content": "<b>"}}}, {}, "<b>"),
        (
            {"special_tokens_map": {"eos_token": "<b>"}, "tokenizer_config": {"eos_token": "<a>"}},
            {},
            "<a>",
        ),
        ({"tokenizer_config": {"eos_token": "<a>"}}, {"eos_token": "<b>"}, "<b>"),
        ({"config": {"eos_token_id": [1, 2]}}, {}, 1),
        ({"tokenizer_config": {"eos_token": "<none>"}, "config": {"eos_token_id": 2}}, {}, 2),
        ({}, {"eos_token": 3}, 3),
    ],
)
def test_special_tokens_are_read_from_the_files_or_given(tmp_path, files, given, expected):
    path = byte_level(tmp_path, special=SPECIAL, **files)
    vocabulary = HuggingFaceVocabulary(path, **given)
    if isinstance(expected, str):
        expected = tokenizers.Tokenizer.from_file(path).token_to_id(expected)
    assert vocabulary.eos_id == expected


def test_all_four_special_tokens_and_sentinels(tmp_path):
    path = metaspace(tmp_path, tokenizer_config={"pad_token": None, "bos_token": "<s>"})
    vocabulary = HuggingFaceVocabulary(path, pad_token="<unk>", extra_ids=10)
    assert (vocabulary.unk_id, vocabulary.bos_id, vocabulary.eos_id) == (0, 1, 2)
    size = tokenizers.Tokenizer.from_file(path).get_vocab_size()
    assert vocabulary.vocab_size == size + 10 and vocabulary.extra_ids == 10
    assert vocabulary.decode([*vocabulary.encode("fox"), size + 3]) == "fox"


def test_a_tokenizer_saved_with_truncation_and_padding_does_neither(tmp_path):
    path = byte_level(tmp_path)
    tokenizer = tokenizers.Tokenizer.from_file(path)
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=64)
    tokenizer.save(path)
    vocabulary = HuggingFaceVocabulary(path)
    assert vocabulary.decode(vocabulary.encode(TEXTS[0])) == TEXTS[0]
    import tensorflow as tf

    rows = vocabulary.encode_tf(tf.constant(["a", "abc def ghi"])).to_list()
    assert [len(row) for row in rows] == [1, len(vocabulary.encode("abc def ghi"))]


def test_wrong_settings_and_files_are_named(tmp_path, monkeypatch):
    path = byte_level(tmp_path, special=SPECIAL)
    with pytest.raises(ConfigError, match="eos_token is '<c>', which.*Did you mean '<b>', '<a>'"):
        HuggingFaceVocabulary(path, eos_token="<c>").build()
    with pytest.raises(ConfigError, match="pad_token is 4000, which"):
        HuggingFaceVocabulary(path, pad_token=4000).build()
    with pytest.raises(ConfigError, match="No file beside .*eos_token to one .*'<x>'"):
        HuggingFaceVocabulary(byte_level(tmp_path / "x", special=["<x>"])).build()
    with pytest.raises(ConfigError, match="tokenizer_json_file"):
        HuggingFaceVocabulary("")
    with pytest.raises(ConfigError, match="unk_token must be a token"):
        HuggingFaceVocabulary(path, unk_token=True)
    with pytest.raises(DataError, match=r"is a directory.*Did you mean .*tokenizer\.json"):
        HuggingFaceVocabulary(str(tmp_path)).build()
    with pytest.raises(DataError, match="does not exist"):
        HuggingFaceVocabulary(str(tmp_path / "absent.json")).build()
    content = pathlib.Path(path).read_text()
    (tmp_path / "broken.json").write_text(content[:-20])
    with pytest.raises(DataError, match="could not be read as a tokenizer.json"):
        HuggingFaceVocabulary(str(tmp_path / "broken.json")).build()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    copied = tmp_path / "copied.json"
    copied.write_text(content)
    with pytest.raises(ConfigError, match=r"pip install 'flan-jax\[hf\]'"):
        HuggingFaceVocabulary(str(copied)).build()


def test_equality_is_by_settings_and_copies_work(path):
    one = HuggingFaceVocabulary(path)
    assert one == HuggingFaceVocabulary(path) != HuggingFaceVocabulary(path, extra_ids=1)
    built = one.build()
    copied = pickle.loads(pickle.dumps(built))
    assert copied == built and hash(copied) == hash(built)
    assert copied.encode(TEXTS[1]) == built.encode(TEXTS[1])


@pytest.mark.parity
@pytest.mark.parametrize("make", [byte_level, metaspace])
def test_ids_and_texts_are_those_of_transformers(make, tmp_path):
    transformers = pytest.importorskip("transformers")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    path = make(tmp_path, tokenizer_config=config)
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    ours = HuggingFaceVocabulary(path)
    for text in (*TEXTS, "a <|endoftext|> b</s>c"):
        ids = ours.encode(text)
        assert ids == theirs.encode(text, add_special_tokens=False)
    for text in TEXTS:
        assert ours.decode(ours.encode(text)) == theirs.decode(ours.encode(text))


@pytest.mark.parity
@pytest.mark.parametrize(
    ("make", "name"), [(byte_level, "GPT2Tokenizer"), (metaspace, "LlamaTokenizer")]
)
def test_ids_are_those_of_the_classes_of_gpt_2_and_llama(make, name, tmp_path):
    """Which transformers 5 builds anew from the pieces: what they save is what they do."""
    transformers = pytest.importorskip("transformers")
    make(tmp_path, tokenizer_config={"tokenizer_class": name})
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    assert type(theirs).__name__ == name
    theirs.save_pretrained(str(tmp_path / "saved"))
    ours = HuggingFaceVocabulary(str(tmp_path / "saved" / "tokenizer.json"))
    assert ours.eos_id == theirs.eos_token_id and ours.bos_id == theirs.bos_token_id
    assert ours.unk_id == theirs.unk_token_id and ours.vocab_size == len(theirs)
    for text in (*TEXTS, "a <|endoftext|> b</s>c"):
        ids = ours.encode(text)
        assert ids == theirs.encode(text, add_special_tokens=False)
