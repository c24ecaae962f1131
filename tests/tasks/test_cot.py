import logging

import pytest
import seqio

from flan_jax.errors import DataError, NotFoundError
from tasks import answers, cot, cot_files
from tasks.paths import Paths
from tasks.settings import Cot

BYTES = seqio.ByteVocabulary()


def _row(i):
    return f"What is {i} plus\\n1?\t{i + 1}\tOne more than {i} is {i + 1}."


def _write(folder, name, lines):
    path = folder / f"{name}_train.tsv"
    path.write_bytes(
        b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    )
    return path


@pytest.fixture
def folder(tmp_path):
    _write(tmp_path, "gsm8k", [_row(i) for i in range(40)])
    _write(
        tmp_path, "strategyqa", [f"Is {i} odd?\t{'no yes'.split()[i % 2]}\tSo." for i in range(30)]
    )
    return tmp_path


def test_rows_are_read_with_real_newlines(folder):
    read = cot_files.read_file(folder / "gsm8k_train.tsv")
    assert len(read.rows) == 40 and read.skipped == ()
    assert read.rows[3] == cot_files.CotRow(
        "What is 3 plus\n1?", "4", "One more than 3 is 4.", line=4
    )


def test_malformed_rows_are_reported_and_the_others_stay(tmp_path, caplog):
    lines = [
        _row(0),
        "two\tcells",
        _row(2),
        "q\t \tr",
        b"\xff\t1\tr",
        "",
        _row(6) + "\r",
        "a\tb\tc\td",
    ]
    path = _write(tmp_path, "gsm8k", lines)
    with caplog.at_level(logging.WARNING):
        read = cot_files.read_file(path)
    assert [row.line for row in read.rows] == [1, 3, 7]
    assert read.rows[-1].rationale == "One more than 6 is 7."
    assert {row.line: row.problem.split(":")[0] for row in read.skipped} == {
        2: "2 columns, expected 3",
        4: "empty answer",
        5: "byte 1 is not UTF-8",
        6: "1 columns, expected 3",
        8: "4 columns, expected 3",
    }
    assert f"{path}: skipped 5 of 8 rows (line 2: 2 columns, expected 3" in caplog.text


def test_strict_stops_at_the_first_malformed_row(tmp_path):
    path = _write(tmp_path, "gsm8k", [_row(0), "two\tcells", _row(2)])
    with pytest.raises(DataError) as caught:
        cot_files.read_file(path, strict=True)
    assert f"{path}, line 2: 2 columns, expected 3" in str(caught.value)


def test_a_file_without_good_rows_is_an_error_even_when_not_strict(tmp_path):
    with pytest.raises(DataError, match="no usable row among 1. Line 1: 1 columns"):
        cot_files.read_file(_write(tmp_path, "gsm8k", ["x"]))
    with pytest.raises(DataError, match="no usable row among 0"):
        cot_files.read_file(_write(tmp_path, "gsm8k", []))


def test_validation_rows_do_not_depend_on_order_and_keep_near_duplicates_together():
    rows = [cot_files.CotRow(f"Q{i // 2}?\nOptions:\n- {i}", "a", "r", i + 1) for i in range(200)]
    train, validation = cot_files.split_rows(rows, validation_rows=20)
    assert (len(train), len(validation)) == (180, 20)
    keys = [{cot_files.question_key(row.question) for row in side} for side in (train, validation)]
    assert not keys[0] & keys[1]
    _, reversed_validation = cot_files.split_rows(rows[::-1], validation_rows=20)
    assert set(reversed_validation) == set(validation)
    # At most a tenth of a small file.
    assert len(cot_files.split_rows(rows, validation_rows=200)[1]) == 20
    assert cot_files.split_rows(rows, validation_rows=0)[1] == []


def test_a_claim_in_another_frame_is_a_near_duplicate():
    key = cot_files.question_key
    assert key('Claim: "Ice is cold."\nIs it so?') == key('Is this true?\n"ice is COLD"')
    assert key("???") == "???"


def test_tasks_render_reason_then_answer(folder):
    mixture = cot.register(Paths(cot_dir=str(folder)), Cot(), BYTES)
    assert sorted(task.name for task in mixture.tasks) == ["cot_gsm8k", "cot_strategyqa"]
    assert mixture.get_rate(seqio.TaskRegistry.get("cot_gsm8k")) == 36
    task = seqio.TaskRegistry.get("cot_gsm8k")
    assert task.splits == ("train", "validation")
    rows = list(task.get_dataset(None, "train", shuffle=False).as_numpy_iterator())
    assert len(rows) == 36 and len({row["template_id"] for row in rows}) > 5
    templates = cot.template_sets("gsm8k")["cot_gsm8k"]
    for row in rows:
        example = {key: row[key].decode() for key in ("question", "answer", "rationale")}
        expected = templates.render(example, int(row["index"]))
        assert row["inputs_pretokenized"].decode() == expected["inputs"]
        assert row["targets_pretokenized"].decode() == expected["targets"]
        assert example["question"] in expected["inputs"]
        assert expected["targets"].startswith(example["rationale"])
        assert BYTES.decode(row["targets"].tolist()[:-1]) == expected["targets"]
        assert row["targets"][-1] == BYTES.eos_id == row["inputs"][-1]


def test_direct_tasks_have_the_answer_alone(folder):
    cot.register(Paths(cot_dir=str(folder)), Cot(), BYTES)
    task = seqio.TaskRegistry.get("cot_strategyqa_direct")
    rows = list(task.get_dataset(None, "validation", shuffle=False).as_numpy_iterator())
    assert len(rows) == 3
    assert {row["targets_pretokenized"] for row in rows} <= {b"yes", b"no"}
    assert not any(b"So." in row["inputs_pretokenized"] for row in rows)


def test_metrics_run_on_postprocessed_rows(folder):
    cot.register(Paths(cot_dir=str(folder)), Cot(), BYTES)
    task = seqio.TaskRegistry.get("cot_gsm8k")
    rows = list(task.get_dataset(None, "validation", shuffle=False).as_numpy_iterator())
    targets = [
        task.postprocess_fn(row["targets_pretokenized"], example=row, is_target=True)
        for row in rows
    ]
    outputs = [row["targets_pretokenized"].decode() for row in rows]
    outputs[0] = "I do not know what to say about this."
    predictions = [task.postprocess_fn(o, example=r) for o, r in zip(outputs, rows, strict=True)]
    values = {}
    for metric in task.predict_metric_fns:
        values |= metric(targets, predictions)
    assert values == {"exact_match": 75.0, "extraction_failure_rate": 25.0}


def test_shuffling_is_seeded_and_complete(folder):
    source = cot.make_source("gsm8k", folder / "gsm8k_train.tsv")

    def order(seed):
        dataset = source.get_dataset("train", shuffle=True, seed=seed)
        return [int(row["answer"]) for row in dataset.as_numpy_iterator()]

    assert order(1) == order(1) != order(2)
    assert sorted(order(1)) == sorted(order(2)) and len(order(1)) == 36


def test_position_of_a_dataset_can_be_saved_and_restored(folder, tmp_path):
    import tensorflow as tf

    cot.register(Paths(cot_dir=str(folder)), Cot(), BYTES)
    task = seqio.TaskRegistry.get("cot_gsm8k")
    dataset = task.get_dataset(
        {"inputs": 64, "targets": 64}, "train", seed=3, num_epochs=None, try_in_mem_cache=False
    )
    iterator = iter(dataset)
    for _ in range(50):
        next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "position"))
    expected = [next(iterator)["answer"].numpy() for _ in range(50)]
    fresh = iter(dataset)
    tf.train.Checkpoint(iterator=fresh).read(path).assert_consumed()
    assert [next(fresh)["answer"].numpy() for _ in range(50)] == expected


def test_sets_that_are_not_there_are_named(folder):
    with pytest.raises(DataError, match="set 'aqua' needs the file .*aqua_train.tsv"):
        cot.register(Paths(cot_dir=str(folder)), Cot(sets=["aqua"]), BYTES)
    with pytest.raises(NotFoundError, match="names 'gsm8'.*Did you mean 'gsm8k'"):
        cot.register(Paths(cot_dir=str(folder)), Cot(sets=["gsm8"]), BYTES)


def test_a_folder_without_any_set_lists_what_it_holds(tmp_path):
    (tmp_path / "other.txt").write_text("x")
    with pytest.raises(DataError, match="holds none of .*it holds \\['other.txt'\\]"):
        cot.register(Paths(cot_dir=str(tmp_path)), Cot(), BYTES)


def test_an_empty_validation_split_is_an_error(folder):
    cot.register(Paths(cot_dir=str(folder)), Cot(validation_rows=0), BYTES)
    with pytest.raises(DataError, match="split 'validation' of cot_gsm8k .* is empty"):
        seqio.TaskRegistry.get("cot_gsm8k").get_dataset(None, "validation")


@pytest.mark.parametrize("name", cot.COT_SETS)
def test_every_set_has_ten_templates_of_each_kind(name):
    for templates in cot.template_sets(name).values():
        assert len(templates) == 10
        assert all("{question}" in template.inputs for template in templates.templates)


def test_real_files_have_their_row_counts_and_every_target_is_read_back(shared_data):
    folder = shared_data / "flan_cot"
    present = cot_files.present_sets(folder, list(cot.COT_SETS))
    assert present
    for name in present:
        info = cot.COT_SETS[name]
        read = cot_files.read_file(folder / f"{name}_train.tsv", strict=True)
        assert len(read.rows) == info.flan_rows
        train, validation = cot_files.split_rows(read.rows, 200)
        assert len(validation) == min(200, info.flan_rows // 10)
        assert len(train) + len(validation) == info.flan_rows
        for templates in cot.template_sets(name).values():
            bare = templates.name.endswith("_direct")
            for number, row in enumerate(read.rows[::5]):
                example = {k: getattr(row, k) for k in ("question", "answer", "rationale")}
                target = templates.templates[number % 10].render(example)["targets"]
                found = answers.extract(target, info.answers, bare)
                assert found == answers.canonical(row.answer, info.answers), (name, row.line)


def test_real_targets_survive_the_t5_vocabulary(shared_data):
    paths = Paths(
        cot_dir=str(shared_data / "flan_cot"),
        sentencepiece_model=str(shared_data / "t5_vocab" / "spiece.model"),
    )
    mixture = cot.register(paths, Cot())
    for task in mixture.tasks:
        dataset = task.get_dataset({"inputs": 512, "targets": 512}, "validation", shuffle=False)
        rows = list(dataset.take(12).as_numpy_iterator())
        vocabulary = task.output_features["targets"].vocabulary
        predictions = [
            task.postprocess_fn(vocabulary.decode(row["targets"].tolist()), example=row)
            for row in rows
        ]
        targets = [task.postprocess_fn("", example=row, is_target=True) for row in rows]
        assert predictions == targets, task.name
        assert vocabulary.vocab_size == 32100
