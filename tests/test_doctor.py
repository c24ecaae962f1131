"""The doctor finds what is wrong, says how to mend it, and survives whatever a check raises."""

import pytest
from packaging.requirements import Requirement

from flan_jax import doctor


@pytest.fixture
def few_requirements(monkeypatch):
    found = [Requirement("packaging>=20,<99"), Requirement("gin-config>=0.5,<0.6")]
    monkeypatch.setattr(doctor, "requirements", lambda: found)
    return found


def test_a_sound_machine_gives_zero(few_requirements, tmp_path, capsys):
    assert doctor.run(model_dir=str(tmp_path / "new" / "run")) == 0
    text = capsys.readouterr().out
    for part in ("flan-jax 0.", "Python 3.", "CPU cores", "GiB of memory", "ok    gin-config 0.5"):
        assert part in text
    assert "8 x cpu" in text and "disk free" in text and "can be written" in text
    assert text.endswith("All is well.\n")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("packaging>=99,<100", "is outside"),
        ("no-such-distribution-here>=1,<2", "is not installed"),
    ],
)
def test_a_requirement_that_does_not_hold_comes_with_the_command_that_mends_it(line, problem):
    ok, text, fix = doctor.check_requirement(Requirement(line))
    assert ok is False
    assert problem in text
    requirement = Requirement(line)
    assert fix.endswith(f"-m pip install '{requirement.name}{requirement.specifier}'")


def test_a_library_that_cannot_be_imported_is_reported(monkeypatch):
    def broken(name):
        raise OSError(f"{name}: undefined symbol")

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    ok, text, fix = doctor.check_requirement(Requirement("packaging>=20,<99"))
    assert ok is False and "undefined symbol" in text and "--force-reinstall" in fix


def test_what_a_check_raises_does_not_stop_the_others(few_requirements, monkeypatch, capsys):
    def broken():
        raise RuntimeError("lost")
        yield

    monkeypatch.setattr(doctor, "_devices", broken)
    assert doctor.run() == 1
    text = capsys.readouterr().out
    assert "WRONG RuntimeError: lost" in text and "disk free" in text and "1 to mend." in text


def test_an_unwritable_model_dir_and_a_missing_vocabulary_are_wrong(
    few_requirements, tmp_path, capsys
):
    (tmp_path / "file").write_text("")
    model_dir, vocabulary = str(tmp_path / "file" / "run"), str(tmp_path / "no.model")
    assert doctor.run(model_dir, vocabulary) == 1
    text = capsys.readouterr().out
    assert f"WRONG {model_dir} cannot be written" in text
    assert f"WRONG there is no vocabulary file {vocabulary}" in text
    assert "2 to mend." in text


def test_a_vocabulary_must_come_back_from_a_round_trip(shared_data, tmp_path):
    good = shared_data / "t5_vocab" / "spiece.model"
    ((ok, text, _),) = doctor._vocabulary(str(good))
    assert ok and "32100 tokens" in text
    bad = tmp_path / "bad.model"
    bad.write_bytes(b"not a model")
    ((ok, text, _),) = doctor._vocabulary(str(bad))
    assert ok is False and "is not a vocabulary" in text


def test_requirements_are_those_of_the_distribution_without_extras(monkeypatch):
    lines = ["jax<1,>=0.10", 'pytest<10,>=9; extra == "test"']
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda name: lines)
    assert [each.name for each in doctor.requirements()] == ["jax"]
