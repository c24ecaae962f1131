"""`flan-jax plan`: compiles a recipe for a TPU slice and reports what it needs."""

import argparse
import json
import pathlib
import sys
import time
from typing import Any

from flan_jax.chips import parse_slice
from flan_jax.errors import ConfigError, NotFoundError, suggest
from flan_jax.plan import topology

_SUFFIXES = (".json", ".html")


def command(args: argparse.Namespace) -> int:
    """Prints the plan of the applied gin configuration and writes the outputs asked for.

    Returns:
      0 if every program fits, else 1.

    Raises:
      ConfigError, NotFoundError, TopologyError: before anything is compiled.
    """
    slice_shape = parse_slice(args.topology)
    outputs = [_output(name) for name in args.output]
    if args.search_limit < 1:
        raise ConfigError(f"--search_limit is {args.search_limit}: give at least 1.")
    names = [name for name in args.programs.split(",") if name]
    from flan_jax.plan import analysis, page, programs, report, search

    for name in names:
        if name not in programs.PROGRAMS:
            raise NotFoundError(
                f"There is no program {name!r}; --programs takes {', '.join(programs.PROGRAMS)}."
                + suggest(name, programs.PROGRAMS)
            )
    devices = topology.devices(slice_shape)
    title = " + ".join(_stem(file) for file in args.gin_file)
    if args.search:
        ranked = search.search(title, slice_shape, devices, args.search_limit, say=_say)
        print(search.text(ranked))
        found: dict[str, Any] = {"search": [each.as_dict() for each in ranked]}
        best = next((each.report for each in ranked if each.report is not None), None)
    else:
        recipe = programs.read_recipe(devices)
        made = []
        for name in names:
            _say(f"compiling {name} for {slice_shape.name} ...")
            made.append(analysis.analyze_program(recipe, name, slice_shape))
        best = report.make(recipe, title, slice_shape, made)
        print(report.text(best, placement=args.placement))
        found = best.as_dict()
    for path in outputs:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".json":
            path.write_text(json.dumps(found, indent=1, default=str) + "\n", encoding="utf-8")
        elif best is not None:
            path.write_text(page.page(best), encoding="utf-8")
        _say(f"wrote {path}")
    return 0 if best is not None and best.fits else 1


def _say(text: str) -> None:
    """Progress goes beside the report, so that this can be redirected."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _stem(file: str) -> str:
    return pathlib.PurePath(file).stem


def _output(name: str) -> pathlib.Path:
    path = pathlib.Path(name)
    if path.suffix not in _SUFFIXES:
        raise ConfigError(f"--output {name!r} must end in {' or '.join(_SUFFIXES)}.")
    return path
