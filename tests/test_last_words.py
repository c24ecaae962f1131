import errno
import json
import subprocess
import sys
import textwrap

import jax
import pytest

from flan_jax import cli, errors, last_words, preemption


@pytest.fixture
def ours(monkeypatch):
    """This process ends with its command, as that of `flan-jax` does."""
    monkeypatch.setattr(last_words, "_current", None)
    monkeypatch.setattr(last_words, "_process_is_ours", True)


def words_in(model_dir, process=0):
    return json.loads((model_dir / "last_words" / f"process_{process}.json").read_text())


def runtime_error(text):
    return jax.errors.JaxRuntimeError(text)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (None, "finished", 0),
        (ZeroDivisionError("x"), "bug", 1),
        (errors.NotFoundError("x"), "user", 2),
        (errors.TopologyError("x"), "user", 2),
        (errors.DataError("x"), "data", 3),
        (errors.CheckpointError("x"), "checkpoint", 4),
        (errors.NanError("x"), "nan", 5),
        (errors.PreemptedError("x"), "preempted", 6),
        (errors.HostsMissingError("x"), "hosts_missing", 7),
        (errors.PeerLostError("x"), "lost_peer", 8),
        (errors.StorageError("x"), "storage", 9),
        (OSError(errno.ENOSPC, "No space left on device", "/m/metrics.jsonl"), "storage", 9),
        (PermissionError(errno.EACCES, "Permission denied"), "storage", 9),
        (FileNotFoundError(errno.ENOENT, "No such file"), "bug", 1),
        (MemoryError(), "out_of_memory", 10),
        (
            runtime_error("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes"),
            "out_of_memory",
            10,
        ),
        (runtime_error("UNAVAILABLE: The coordination service is gone"), "lost_peer", 8),
        (runtime_error("Gloo AllGather failed: Connection closed by peer"), "lost_peer", 8),
        (runtime_error("INTERNAL: something else"), "bug", 1),
        (KeyboardInterrupt(), "interrupted", 130),
        (preemption.StoppedAtOnce(15), "interrupted", 143),
    ],
)
def test_kinds_and_codes(error, kind, code):
    assert last_words.classify(error) == (kind, code)


def test_a_real_allocation_beyond_the_device_is_told_as_out_of_memory():
    with pytest.raises(jax.errors.JaxRuntimeError) as caught:
        jax.numpy.zeros((1 << 50,), "int8").block_until_ready()
    assert last_words.classify(caught.value) == ("out_of_memory", 10)
    assert "num_microbatches" in str(last_words.known(caught.value))


def test_each_kind_has_a_code_of_its_own():
    kinds = {}
    for error in errors.FlanJaxError.__subclasses__() + [errors.StorageError]:
        kinds.setdefault(error.exit_code, set()).add(error.kind)
    assert all(len(names) == 1 for names in kinds.values()), kinds


def test_the_file_tells_how_it_ended(ours, tmp_path):
    words = last_words.begin(str(tmp_path), process_index=3, num_processes=4)
    assert words.describe_previous() is None
    assert words_in(tmp_path, 3)["kind"] == "running"
    words.step = 17
    words.describe_batch = lambda: {"tasks": {"toy": 2}}
    try:
        raise errors.DataError("row 4 is empty")
    except errors.DataError as error:
        assert last_words.end(error) == 3
    found = words_in(tmp_path, 3)
    assert (found["kind"], found["code"], found["step"]) == ("data", 3, 17)
    assert (found["process"], found["processes"]) == (3, 4)
    assert found["message"] == "row 4 is empty" and "DataError" in found["traceback"]
    assert found["batch"] == {"tasks": {"toy": 2}}
    assert found["versions"]["jax"] == jax.__version__
    again = last_words.LastWords(str(tmp_path), 3).describe_previous()
    assert "at step 17 as 'data' (exit code 3): row 4 is empty" in again


def test_a_batch_that_cannot_be_read_does_not_hide_the_reason(ours, tmp_path):
    words = last_words.begin(str(tmp_path))
    words.describe_batch = lambda: 1 // 0
    last_words.end(errors.NanError("x"))
    assert words_in(tmp_path)["batch"].startswith("not readable: integer division")


def test_a_killed_attempt_is_told_from_one_that_ended(ours, tmp_path):
    last_words.begin(str(tmp_path))
    assert "left no last words" in last_words.LastWords(str(tmp_path)).describe_previous()
    last_words.begin(str(tmp_path))
    last_words.end()
    assert last_words.LastWords(str(tmp_path)).describe_previous() is None


def test_words_that_cannot_be_written_go_elsewhere(ours, tmp_path, monkeypatch, capsys):
    (tmp_path / "last_words").write_text("a file where the folder should be")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    last_words.begin(str(tmp_path))
    assert last_words.end(errors.StorageError("disk full")) == 9
    assert "last words are in" in capsys.readouterr().err
    (aside,) = tmp_path.glob("flan_jax_last_words_*.json")
    assert json.loads(aside.read_text())["message"] == "disk full"


def test_a_notebook_leaves_none(tmp_path):
    last_words.begin(str(tmp_path))
    last_words.end(errors.NanError("x"))
    assert not list(tmp_path.iterdir())


def test_the_command_reports_memory_with_code_and_traceback(monkeypatch, capsys):
    def fail(args):
        raise MemoryError("Unable to allocate 3 GiB")

    monkeypatch.setattr(cli, "_report", fail)
    assert cli.main(["report", "x"]) == 10
    text = capsys.readouterr().err
    assert "Traceback" in text and "flan-jax: The memory of this host was used up" in text


def test_an_ending_process_ends_although_a_thread_hangs(tmp_path):
    code = """
        import sys, threading, time
        from flan_jax import errors, last_words
        last_words.own_process()
        last_words.begin(sys.argv[1])
        threading.Thread(target=time.sleep, args=(600,)).start()
        last_words.end_within(0.2, errors.StorageError("gone"))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], timeout=60, check=False
    )
    assert done.returncode == 9
    assert words_in(tmp_path)["kind"] == "storage"
