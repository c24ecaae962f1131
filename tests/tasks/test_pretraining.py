import json

import gin
import numpy as np
import pytest
import seqio

from flan_jax import gin_utils
from flan_jax.data.config import DatasetConfig
from flan_jax.data.live import TrainIterator
from flan_jax.errors import ConfigError, DataError
from tasks import pretraining, registration
from tasks.settings import Pretraining

BYTES = seqio.ByteVocabulary(extra_ids=100)
LENGTHS = {"inputs": 32, "targets": 32}


@pytest.fixture(autouse=True)
def clean_gin():
    gin.clear_config()
    yield
    gin.clear_config()


def register(files, **settings):
    settings = Pretraining(text_files={"train": files}, **settings)
    pretraining.register(settings=settings, vocabulary=BYTES)


def read(name, lengths=LENGTHS, **settings):
    task = seqio.TaskRegistry.get(name)
    settings = {"split": "train", "shuffle": False, "seed": 0, "num_epochs": 1, **settings}
    return list(task.get_dataset(lengths, **settings).as_numpy_iterator())


def texts(rows):
    """The rows of `text_causal_lm` as documents."""
    tokens = np.concatenate([row["targets"] for row in rows]).tolist()
    made, rest = [], tokens
    while rest:
        end = rest.index(1)
        made.append(BYTES.decode(rest[:end]))
        rest = rest[end + 1 :]
    return made


def test_blocks_lines_and_json_lines(tmp_path):
    plain = tmp_path / "a.txt"
    plain.write_bytes(b"\n\nOne\ntwo \n \t\nThree\r\n\r\n\n Four\n")
    register(str(plain))
    assert texts(read("text_causal_lm")) == ["One\ntwo", "Three", "Four"]
    register(str(plain), text_documents="lines")
    assert texts(read("text_causal_lm")) == ["One", "two", "Three", "Four"]
    lines = [json.dumps({"text": text, "url": 1}) for text in ("É\nb", " ", "c")]
    (tmp_path / "b.jsonl").write_text(lines[0] + "\n\n" + "\n".join(lines[1:]), encoding="utf-8")
    register([str(tmp_path / "*.jsonl")])
    assert texts(read("text_causal_lm")) == ["É\nb", "c"]


def test_several_files_are_read_in_order_of_name(tmp_path):
    for name in "cab":
        (tmp_path / f"{name}.txt").write_text(f"from {name}")
    register(str(tmp_path / "*.txt"))
    assert texts(read("text_causal_lm")) == ["from a", "from b", "from c"]


def test_a_malformed_line_is_named(tmp_path):
    path = tmp_path / "b.jsonl"
    for line, what in (("{", "is not JSON"), ('{"txt": "a"}', r"found \['txt'\]")):
        path.write_text('{"text": "a"}\n' + line)
        register(str(path))
        with pytest.raises(DataError, match=f"b.jsonl, line 2.*{what}"):
            cfg = DatasetConfig(
                "text_span_corruption", LENGTHS, "train", 1, shuffle=False, seed=0, in_memory=True
            )
            next(TrainIterator(cfg))


def test_files_that_are_not_there_or_not_text_are_named(tmp_path):
    (tmp_path / "corpus.txt").write_text("a")
    (tmp_path / "corpus.pdf").write_text("a")
    for files, message in (
        (str(tmp_path / "corpsu.txt"), r"no file matches .*Did you mean 'corpus.txt'"),
        (str(tmp_path / "none" / "a.txt"), "There is no such folder"),
        (str(tmp_path / "*.pdf"), r"corpus.pdf.*give files of one kind, .txt or .jsonl"),
        (str(tmp_path / "*"), r"corpus.pdf.*give files of one kind"),
    ):
        register(files)
        with pytest.raises(DataError, match=message):
            read("text_ul2r")
    pretraining.register(settings=Pretraining(), vocabulary=BYTES)
    with pytest.raises(ConfigError, match="tasks.Pretraining.text_files is empty"):
        read("text_ul2r")
    with pytest.raises(ConfigError, match="text_documents is 'line'.*Did you mean 'lines'"):
        Pretraining(text_documents="line")  # pyright: ignore


@pytest.mark.parametrize("objective", pretraining.OBJECTIVES)
def test_every_objective_gives_rows_that_fit(objective, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n".join(f"Line {i} of a text that is not long." for i in range(40)))
    register(str(path), text_documents="lines")
    name = f"text_{objective}"
    lengths = LENGTHS if pretraining.OBJECTIVES[objective].has_inputs else {"targets": 32}
    rows = read(name, lengths, seed=5)
    assert len(rows) > 30
    for row in rows:
        for feature, length in lengths.items():
            assert 0 < len(row[feature]) <= length
        if objective != "causal_lm":
            assert row["inputs"][-1] == row["targets"][-1] == 1
    description = pretraining.describe(name)
    assert description is not None
    assert description.facts["objective"] == pretraining.OBJECTIVES[objective].summary
    assert pretraining.describe("cot_ul2r") is None


@pytest.mark.parametrize(
    "objective", [pytest.param("ul2r", marks=pytest.mark.exhaustive), "span_corruption"]
)
def test_a_stream_goes_on_where_it_was_left(objective, tmp_path):
    for name in "abc":
        text = "\n".join(f"Row {i} of file {name}, with some words in it." for i in range(30))
        (tmp_path / f"{name}.txt").write_text(text)
    register(str(tmp_path / "*.txt"), text_documents="lines")
    cfg = DatasetConfig(
        f"text_{objective}",
        LENGTHS,
        "train",
        4,
        shuffle=True,
        seed=1,
        pack=True,
        packing_window=8,
        snapshot_period=5,
    )
    whole = TrainIterator(cfg)
    batches = [next(whole) for _ in range(17)]
    state = whole.state_at(12)
    # TensorFlow writes the position, so that nothing is read again.
    assert whole._streams[0].saveable is not False
    other = TrainIterator(cfg)
    other.restore(state)
    for batch in batches[12:]:
        again = next(other)
        for name, values in batch.items():
            np.testing.assert_array_equal(again[name], values)


def test_c4_that_is_not_prepared_says_what_to_do(tmp_path):
    settings = Pretraining(tfds_data_dir=str(tmp_path))
    pretraining.register(settings=settings, vocabulary=BYTES)
    task = seqio.TaskRegistry.get("c4_span_corruption")
    with pytest.raises(DataError, match="tfds build c4/en:3.0.1.*or train on text files"):
        task.num_input_examples("train")


def test_c4_rows_through_tfds(tmp_path, monkeypatch):
    """The real loading path, with rows that TFDS makes up of the builder's features."""
    import tensorflow_datasets as tfds

    # Mocked builders have rows, but do not know how many.
    monkeypatch.setattr(registration.PreparedSource, "num_input_examples", lambda self, split: None)
    # The version that this TFDS can make up.
    settings = Pretraining(c4="c4/en:3.1.0", tfds_data_dir=str(tmp_path))
    pretraining.register(settings=settings, vocabulary=BYTES)
    with tfds.testing.mock_data(num_examples=50):
        rows = read("c4_span_corruption", {"inputs": 64, "targets": 32}, seed=0)
    assert len(rows) > 5
    assert {len(row["inputs"]) for row in rows[:-1]} == {64}


def test_gin_sets_what_is_read(tmp_path):
    (tmp_path / "a.txt").write_text("some text")
    gin_utils.parse(
        [],
        [
            f"tasks.Pretraining.text_files = {{'train': '{tmp_path / 'a.txt'}'}}",
            "tasks.Pretraining.vocabulary = @seqio.ByteVocabulary()",
            "tasks.Pretraining.sentinels = 12",
        ],
        entry="tasks.Paths",
    )
    pretraining.register()
    (row,) = read("text_span_corruption")
    # 9 bytes, 1 hidden; without extra ids, sentinels are the last of 259.
    assert row["inputs"].tolist().count(258) == 1 and row["targets"][0] == 258
