import doctest

import pytest

from flan_jax import profiling, runtime
from flan_jax.errors import ConfigError


def test_docstring_examples():
    assert doctest.testmod(profiling).failed == 0


@pytest.mark.parametrize("text", ["", "a:b", "0:3", "5:4", "1.5"])
def test_wrong_steps_are_refused(text):
    with pytest.raises(ConfigError, match="--profile_steps=100:104"):
        profiling.parse_steps(text)


def test_settings_are_checked_when_made():
    with pytest.raises(ConfigError, match="steps to profile"):
        runtime.Runtime(profile_steps=(4, 3))


def test_the_steps_asked_for_are_traced(tmp_path, monkeypatch):
    import jax

    calls = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: calls.append(folder))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: calls.append("stop"))
    profiler = profiling.Profiler((3, 4), str(tmp_path))
    written = []
    for step in range(1, 7):
        profiler.before(step)
        if profiler.after(step):
            written.append(step)
    profiler.close()
    assert calls == [str(tmp_path / "profile"), "stop"] and written == [4]
    # A run that ends in between leaves what it has.
    profiler = profiling.Profiler((3, 9), str(tmp_path))
    profiler.before(3)
    profiler.close()
    assert calls[2:] == [str(tmp_path / "profile"), "stop"]
