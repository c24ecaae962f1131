"""Units of work on an Apache Beam runner, or one after the other in this process.

A pipeline is a list of units, spread over workers, each of which writes its files: any runner whose
workers see the folder will do. Beam's own parts are its local runner (`local`) and its options.
"""

import argparse
import contextlib
import functools
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from flan_jax.data.prepared import work
from flan_jax.errors import ConfigError, DataError, suggest

LOCAL, NONE = "local", "none"
# Beam's local runner in Python. Its `DirectRunner` may choose another one, which is downloaded.
_BEAM_NAMES = {
    LOCAL: "FnApiRunner",
    # Beam knows it by its whole name alone.
    "DaskRunner": "apache_beam.runners.dask.dask_runner.DaskRunner",
}


def beam() -> Any:
    """Returns Beam.

    Raises:
      ConfigError: it is not installed.
    """
    try:
        import apache_beam  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ConfigError(
            "Preparing data in several processes needs Apache Beam, which is not installed. Run: "
            "pip install 'flan-jax[beam]'; or give --runner=none, which works in one process."
        ) from error
    return apache_beam


def check_options(runner: str, options: Sequence[str], own: Sequence[str]) -> None:
    """Checks the options that are passed on to Beam.

    Args:
      runner: --runner.
      options: as on the command line.
      own: the command's own flags, for suggestions.

    Raises:
      ConfigError: Beam knows no such option, or none is wanted; Beam is not installed.
    """
    if runner == NONE:
        if options:
            raise ConfigError(
                f"flan-jax prepare has no flag {options[0].partition('=')[0]!r}, and --runner=none "
                f"passes none on to Beam.{suggest(options[0], own)}"
            )
        return
    beam()
    known = _known_options(runner)
    for option in options:
        name = option.partition("=")[0]
        if name.startswith("-") and name not in known:
            raise ConfigError(
                f"Neither flan-jax prepare nor Apache Beam has a flag {name!r}."
                f"{suggest(name, [*own, *known])}"
            )


def _known_options(runner: str) -> list[str]:
    from apache_beam.options import (  # pyright: ignore[reportMissingImports]
        pipeline_options,
    )
    from apache_beam.runners.runner import (  # pyright: ignore[reportMissingImports]
        create_runner,
    )

    try:  # A runner's module has its options.
        create_runner(_BEAM_NAMES.get(runner, runner))
    except Exception as error:  # An unknown name, or a package of its own that is missing.
        raise ConfigError(
            f"--runner={runner} is none of 'local', 'none' and Apache Beam's runners that can be "
            f"used here: {type(error).__name__}: {error}"
        ) from error
    # As Beam's own parser, but that several runners' options of one name do not stop it.
    parser: Any = argparse.ArgumentParser(conflict_handler="resolve", add_help=False)
    waiting = list(pipeline_options.PipelineOptions.__subclasses__())
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if "_add_argparse_args" in vars(kind):
            kind._add_argparse_args(parser)
    return [name for name in parser._option_string_actions if name.startswith("--")]


def run(
    setup: work.Setup,
    units: Sequence[work.Unit],
    runner: str = LOCAL,
    workers: int = 2,
    options: Sequence[str] = (),
) -> None:
    """Does all units, on `runner`; which of them failed, `work.failures` tells.

    Args:
      setup: of the run.
      units: the largest first.
      runner: 'local', 'none' or the name of one of Beam's.
      workers: processes of 'local'.
      options: Beam's, as on its command line.

    Raises:
      DataError: the pipeline broke off. What is done stays done.
    """
    if runner == NONE:
        for unit in units:
            work.write_unit(setup, unit)
        return
    made = beam()
    from apache_beam.options.pipeline_options import (  # pyright: ignore[reportMissingImports]
        PipelineOptions,
    )

    given = [f"--runner={_BEAM_NAMES.get(runner, runner)}"]
    if runner == LOCAL:
        given.append("--direct_running_mode=multi_processing")
        given.append(f"--direct_num_workers={workers}")
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    # What workers on this machine say, they say on the terminal themselves.
    logging.getLogger("apache_beam.runners.portability").setLevel(logging.ERROR)
    pipeline = made.Pipeline(options=PipelineOptions([*given, *options]))
    records = pipeline | "Units" >> made.Create(list(units), reshuffle=False)
    # Units of one task stand side by side; spreading them evens out the work.
    records = records | "Spread" >> made.Reshuffle()
    _ = records | "Write" >> made.Map(functools.partial(work.write_unit, setup))
    try:
        with _quiet_workers():
            pipeline.run().wait_until_finish()
    except Exception as error:
        # Runners raise errors of many kinds, with the worker's traceback as text.
        last = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise DataError(
            f"Apache Beam's runner {runner!r} broke off: {type(error).__name__}: {last[0]}\nWhat "
            "was finished is kept: the same command goes on from there."
        ) from error


@contextlib.contextmanager
def _quiet_workers() -> Iterator[None]:
    """Has local workers leave out what Beam tells of each of their connections."""
    name = "PIPELINE_OPTIONS_FILE"
    if name in os.environ:
        yield
        return
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"options": {"default_sdk_harness_log_level": "WARNING"}}, file)
        file.flush()
        os.environ[name] = file.name
        try:
            yield
        finally:
            del os.environ[name]
