import doctest
import json

import pytest

from flan_jax import goodput
from flan_jax.goodput import Attempt


def test_docstring_examples():
    assert doctest.testmod(goodput).failed == 0


class Clock:
    """Stands for both of the module's clocks."""

    def __init__(self, monkeypatch):
        self.now_s = 1000.0
        monkeypatch.setattr(goodput.time, "time", lambda: self.now_s)
        monkeypatch.setattr(goodput.time, "perf_counter", lambda: self.now_s)

    def spend(self, seconds):
        self.now_s += seconds


def test_every_moment_of_two_attempts_has_one_bucket(tmp_path, monkeypatch):
    clock = Clock(monkeypatch)
    goodput.command_began()
    clock.spend(5)
    good = goodput.Goodput(tmp_path)
    clock.spend(2)  # 7 s of init.
    with good.bucket("compile"):
        clock.spend(10)
    good.resumed(0)
    good.enter("step")
    clock.spend(20)
    with good.bucket("data_wait"):
        clock.spend(4)
    good.done(10)  # 24 s of training.
    with good.bucket("checkpoint"):
        clock.spend(3)
    with good.bucket("eval"):
        clock.spend(6)
        good.move_to("compile", 2.0)
    clock.spend(12)
    good.done(15)  # Killed here: the steps 11 to 15 are lost.
    first = good.totals()
    assert first == pytest.approx(
        {
            **{"step": 32, "data_wait": 4, "compile": 12, "init": 7, "checkpoint": 3, "eval": 4},
            **{"redone": 0, "down": 0},
        }
    )
    clock.spend(100)

    good = goodput.Goodput(tmp_path)
    clock.spend(1)
    good.resumed(10)
    good.enter("step")
    clock.spend(30)
    good.done(20)
    found = good.totals()
    assert found["down"] == pytest.approx(100)
    assert found["redone"] == pytest.approx(12)
    assert found["step"] + found["data_wait"] == pytest.approx(24 + 30)
    assert sum(found.values()) == pytest.approx(clock.now_s - 1000)
    assert goodput.read_totals(tmp_path) == pytest.approx(found)
    assert goodput.share(found) == pytest.approx(found["step"] / (clock.now_s - 1000))


def test_steps_are_redone_by_whichever_later_attempt_began_earliest():
    first = Attempt(0, 100, 0, 10, {"step": 100.0}, [(5, 40.0), (10, 100.0)])
    second = Attempt(100, 110, 8, 9, {"step": 10.0}, [(9, 10.0)])
    third = Attempt(110, 120, 5, 6, {"step": 10.0}, [])
    found = goodput.totals([first, second, third])
    # Of the first 60 s after step 5, of the second all.
    assert found["redone"] == pytest.approx(60 + 10)
    assert found["step"] == pytest.approx(40 + 10)


def test_a_damaged_account_is_begun_anew(tmp_path):
    (tmp_path / goodput.FILE).write_text('{"attempts": [{"began')
    assert goodput.read_totals(tmp_path) == {}
    goodput.Goodput(tmp_path).resumed(0)
    assert len(json.loads((tmp_path / goodput.FILE).read_text())["attempts"]) == 1


def test_marks_stay_few(tmp_path):
    good = goodput.Goodput(None)
    for step in range(1, 2000):
        good.done(step)
    marks = good._attempt.marks
    assert len(marks) <= 200 and marks[-1][0] == 1999
    assert [step for step, _ in marks] == sorted({step for step, _ in marks})
