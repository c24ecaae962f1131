"""A data set's own files: formats, slices, what goes wrong, and the real files where they lie."""

import dataclasses
import json
import shutil

import pytest

from flan_jax.errors import ConfigError, DataError
from tasks.flan2021 import datasets, sources
from tasks.flan2021.dataset import Files

RTE = datasets.DATASETS["rte"]


def write_rte(folder, count=250, name="train.jsonl"):
    folder.mkdir(exist_ok=True)
    lines = [
        {
            "premise": f"There are {i} birds on the roof.",
            "hypothesis": f"{i} birds sit on a roof.",
            "label": "entailment" if i % 2 else "not_entailment",
            "idx": i,
        }
        for i in range(count)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def rows_of(source, split):
    return list(source.get_dataset(split=split, shuffle=False).as_numpy_iterator())


def test_slices_are_those_of_the_entry(tmp_path):
    source = sources.make_source(RTE, str(write_rte(tmp_path)))
    assert tuple(source.splits) == ("train", "validation")
    assert source.num_input_examples("train") == 50
    rows = rows_of(source, "validation")
    assert [row["idx"] for row in rows] == list(range(50, 250))
    assert rows[0] == {
        "premise": b"There are 50 birds on the roof.",
        "hypothesis": b"50 birds sit on a roof.",
        "label": 1,
        "idx": 50,
    }


def test_shuffled_rows_are_the_same_rows(tmp_path):
    source = sources.make_source(RTE, str(write_rte(tmp_path)))
    shuffled = list(source.get_dataset("train", shuffle=True, seed=1).as_numpy_iterator())
    assert sorted(row["idx"] for row in shuffled) == list(range(50))
    assert [row["idx"] for row in shuffled] != list(range(50))


@pytest.mark.parametrize(
    ("format_", "content", "options"),
    [
        ("jsonl", '{"a": "x", "b": "1"}\n\n{"a": "y\u2028z", "b": "2"}\n', {}),
        ("csv", 'a,b\nx,1\n"y\u2028z",2\n', {}),
        ("tsv", "x\t1\ny\u2028z\t2\n", {"columns": ("a", "b"), "quoted": False}),
        ("json", '[{"a": "x", "b": "1"}, {"a": "y\u2028z", "b": "2"}]', {}),
    ],
)
def test_formats(tmp_path, format_, content, options):
    path = tmp_path / "file"
    path.write_text("\ufeff" + content, encoding="utf-8")
    files = Files(format_, {}, lambda record: [record], url="", **options)
    records = list(sources.read_records(path, files))
    if format_ == "json":
        (records,) = records
    assert records == [{"a": "x", "b": "1"}, {"a": "y\u2028z", "b": "2"}]


def test_lines_end_with_newlines_only(tmp_path):
    path = tmp_path / "file"
    path.write_bytes("a\x0bb\u2028c\r\nd\n".encode())
    files = Files("lines", {}, lambda line: [line], url="")
    assert list(sources.read_records(path, files)) == ["a\x0bb\u2028c", "d"]


def test_parallel_files_and_nested_lists(tmp_path):
    (tmp_path / "train.en").write_text("one\ntwo\n")
    (tmp_path / "train.de").write_text("eins\nzwei\n")
    files = Files(
        "lines",
        {"train": ("train.en", "train.de")},
        lambda pair: [
            {"translation": {"en": pair[0]}, "words": [pair[1], "x"][: len(pair[0]) - 2]}
        ],
        url="",
    )
    dataset = dataclasses.replace(RTE, files=files, splits={"train": "train[:30000]"})
    one, two = rows_of(sources.make_source(dataset, str(tmp_path)), "train")
    assert one["translation"] == {"en": b"one"}
    assert one["words"].tolist() == [b"eins"]
    assert two["words"].tolist() == [b"zwei"]


def test_errors_name_file_line_and_fix(tmp_path):
    folder = write_rte(tmp_path)
    with (folder / "train.jsonl").open("a") as file:
        file.write('{"premise"\n')
    source = sources.make_source(RTE, str(folder))
    with pytest.raises(DataError, match=r"train\.jsonl, line 251, is not JSON"):
        source.num_input_examples("train")
    (folder / "train.jsonl").write_text('{"premise": "a"}\n')
    source = sources.make_source(RTE, str(folder))
    with pytest.raises(DataError, match=r"record 1 is not as expected: KeyError"):
        source.num_input_examples("train")
    with pytest.raises(DataError, match="is not a folder"):
        sources.make_source(RTE, str(folder / "nothing"))
    (folder / "train.jsonl").rename(folder / "train.json")
    with pytest.raises(DataError, match=r"holds none of the files .* mean 'train.json'"):
        sources.make_source(RTE, str(folder))
    with pytest.raises(ConfigError, match="imdb_reviews"):
        sources.make_source(datasets.DATASETS["imdb_reviews"], str(folder))


def test_table_lines_of_another_width(tmp_path):
    path = tmp_path / "file.tsv"
    path.write_text("a\tb\n1\n")
    files = Files("tsv", {}, lambda record: [record], url="")
    with pytest.raises(DataError, match=r"file.tsv, line 2, has 1 columns; 2 are expected: a, b"):
        list(sources.read_records(path, files))
    broken = dataclasses.replace(files, broken_lines=True)
    assert list(sources.read_records(path, broken)) == [{"a": "1", "b": None}]


def test_tfds_without_the_data_says_what_to_do(tmp_path):
    source = sources.make_source(RTE, tfds_data_dir=str(tmp_path))
    with pytest.raises(DataError, match=r"tfds build super_glue/rte:1\.0\.2"):
        source.num_input_examples("train")


# Task -> (folder under supervised/, {file there: its name in the original distribution}, rows).
REAL = {
    "ag_news_subset": ("ag_news", {"test.csv": "test.csv"}, 7600),
    "anli_r1": ("anli", {"R1_dev_derived.jsonl": "dev.jsonl"}, 200),
    "anli_r2": ("anli", {"R2_dev_derived.jsonl": "dev.jsonl"}, 200),
    "anli_r3": ("anli", {"R3_dev_derived.jsonl": "dev.jsonl"}, 200),
    "arc_challenge": ("arc", {"ARC-Challenge-Test.jsonl": "ARC-Challenge-Test.jsonl"}, 1172),
    "arc_easy": ("arc", {"ARC-Easy-Test.jsonl": "ARC-Easy-Test.jsonl"}, 2376),
    "dart": ("dart", {"dart-v1.1.1-full-dev.json": "dart-v1.1.1-full-dev.json"}, 2768),
    "e2e_nlg": ("e2e_nlg", {"devset.csv": "devel-fixed.no-ol.csv"}, 4672),
    "bool_q": ("superglue/BoolQ", {"val.jsonl": "val.jsonl"}, 3270),
    "cb": ("superglue/CB", {"val.jsonl": "val.jsonl"}, 56),
    "copa": ("superglue/COPA", {"val.jsonl": "val.jsonl"}, 100),
    "multirc": ("superglue/MultiRC", {"val.jsonl": "val.jsonl"}, 4848),
    "rte": ("superglue/RTE", {"val.jsonl": "val.jsonl"}, 277),
    "wic": ("superglue/WiC", {"val.jsonl": "val.jsonl"}, 638),
    "wsc": ("superglue/WSC", {"val.jsonl": "val.jsonl"}, 104),
    "record": ("superglue/ReCoRD", {"fewglue_train32.jsonl": "val.jsonl"}, 32),
    "trec": (
        "trec",
        {"train_5500.label": "train_5500.label", "TREC_10.label": "TREC_10.label"},
        500,
    ),
    "wmt16_translate_deen": (
        "flores200",
        {"devtest/eng_Latn.devtest": "test.en", "devtest/deu_Latn.devtest": "test.de"},
        1012,
    ),
    "winogrande": ("mosaic_icl", {"winogrande.jsonl": "dev.jsonl"}, 1267),
    "wsc273": ("mosaic_icl", {"winograd_wsc.jsonl": "winograd_wsc.jsonl"}, 273),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(name, shared_data, tmp_path):
    where, files, count = REAL[name]
    for there, here in files.items():
        shutil.copyfile(shared_data / "supervised" / where / there, tmp_path / here)
    dataset = datasets.DATASETS[name]
    source = sources.make_source(dataset, str(tmp_path))
    split = source.splits[-1]
    assert source.num_input_examples(split) == count
    rows = source.get_dataset(split=split, shuffle=False)
    if dataset.keep is not None:
        rows = rows.filter(dataset.keep)
    found = list(rows.map(dataset.process).take(200).as_numpy_iterator())
    assert len(found) >= min(count, 100)
    for row in found:
        assert all(row[field] for field in dataset.fields if field != "query"), row
        if dataset.has_options:
            assert row["answer"] in row["options"].tolist()
