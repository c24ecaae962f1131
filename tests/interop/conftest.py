"""Fixtures: the command line in this process, and the sample that T5X wrote."""

import re

import pytest

from flan_jax import cli


@pytest.fixture
def run(capsys):
    """`run('import', 'SOURCE', ...)` in this process; returns its output; 0 is the exit code."""

    def call(*argv) -> str:
        code = cli.main([str(each) for each in argv])
        out, err = capsys.readouterr()
        assert code == 0, err
        return out

    return call


@pytest.fixture
def fail(capsys):
    """`fail('import', 'SOURCE', ...)`: returns what goes to stderr; the command must not pass."""

    def call(*argv) -> str:
        code = cli.main([str(each) for each in argv])
        out, err = capsys.readouterr()
        assert code in (2, 3, 4), out
        assert re.match(r"flan-jax: \S.{20,}\n", err), err
        return err.removeprefix("flan-jax: ")

    return call


@pytest.fixture
def t5x_sample(shared_data):
    """The folder of the checkpoints that T5X wrote."""
    return shared_data / "t5x_checkpoint"
