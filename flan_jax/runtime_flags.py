"""Flags of `flan-jax train` on how a run is carried out. Standard library only."""

import argparse

from flan_jax import multihost, profiling


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `runtime.Runtime` and of runs of several processes."""
    group = parser.add_argument_group("how the run is carried out")
    group.add_argument(
        "--compile_only", action="store_true", help="compile all programs into the cache and stop"
    )
    group.add_argument(
        "--compile_cache",
        metavar="DIR",
        help="where compiled programs are kept: auto, off or a directory; default: auto, which is "
        "MODEL_DIR/xla_cache, and off on CPU",
    )
    group.add_argument(
        "--profile_steps", metavar="FIRST:LAST", help="trace these steps into MODEL_DIR/profile"
    )
    multihost.add_arguments(parser)


def bindings(args: argparse.Namespace) -> list[str]:
    """Returns the gin bindings that the flags stand for; ConfigError for steps that are none."""
    given = {
        "compile_only": args.compile_only or None,
        "compile_cache": args.compile_cache,
        "profile_steps": args.profile_steps and profiling.parse_steps(args.profile_steps),
    }
    return [f"runtime.Runtime.{name} = {value!r}" for name, value in given.items() if value]
