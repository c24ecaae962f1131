"""`flan-jax inspect`: tasks by name on the terminal, as a page, as JSON, and checked for leaks."""

import argparse
import dataclasses
import json
import pathlib
import sys
import time
from typing import Any

import gin

from flan_jax import gin_trust, gin_utils
from flan_jax.data import report, report_text, selection
from flan_jax.data.config import DatasetConfig, with_lengths
from flan_jax.data.layout import ENCODER_DECODER, RowLayout
from flan_jax.errors import ConfigError, DataError

# Macros of a recipe that stand in for flags, with what holds without either.
MACROS = {
    "MIXTURE_OR_TASK_NAME": None,
    "MIXTURE_OR_TASK_MODULE": None,
    "TASK_FEATURE_LENGTHS": {"inputs": 512, "targets": 128},
    "BATCH_SIZE": 128,
}
_SUFFIXES = (".html", ".json")
_PROGRESS_PERIOD_S = 5.0


def command(args: argparse.Namespace) -> None:
    """Prints and writes what the flags ask for.

    Raises:
      ConfigError: a flag's value is of no use.
      NotFoundError: a name is not known.
      DataError: tasks cannot be read, or the evaluation leaks into training; raised after
        everything else is printed and written.
    """
    outputs = [_output(text) for text in args.output]
    if args.leaks_only:
        _check_leaks_only(args, outputs)
    module = [] if args.module is None else [f"MIXTURE_OR_TASK_MODULE = {args.module!r}"]
    gin_utils.parse(
        args.gin_file,
        [*args.gin_bindings, *module],
        args.gin_search_paths,
        # Nothing of a run is called, so what a recipe leaves to its command line may be missing.
        entry="%MIXTURE_OR_TASK_NAME" if args.gin_file else "utils.DatasetConfig",
        consulted=[f"%{name}" for name in MACROS],
        trust=gin_trust.of_flags(args),
    )
    cfg = _config(args)
    settings = None
    if args.leaks is not None:
        from flan_jax.data import overlap

        settings = overlap.Settings(
            args.leaks_split, args.max_overlap, args.ngram, max_rows=args.leak_rows
        )
        # A mistyped name is not to cost the time of the inspection.
        selection.find(dataclasses.replace(cfg, mixture_or_task_name=args.leaks))
    progress = _Progress()
    found: dict[str, Any] = {}
    if not args.leaks_only:
        found = report.inspect_mixture(
            cfg,
            args.num_samples,
            num_examples=args.num_examples,
            shots=args.shots,
            layout=_layout(cfg, args),
            progress=progress,
        )
        print(report_text.format_inspection(found) + "\n")
    found["leaks"] = None
    if settings is not None:
        found["leaks"] = overlap.check_leaks(cfg, str(args.leaks), settings, progress)
        print(report_text.format_leaks(found["leaks"]))
    for path in outputs:
        _write(path, found)
    _raise_for(found)


def _check_leaks_only(args: argparse.Namespace, outputs: list[pathlib.Path]) -> None:
    if args.leaks is None:
        raise ConfigError("--leaks_only needs --leaks NAME, the name to compare with.")
    pages = [path for path in outputs if path.suffix == ".html"]
    if pages:
        raise ConfigError(
            f"--output {pages[0]}: a page shows the inspection too, which --leaks_only leaves out. "
            "Take that flag away, or write a .json file."
        )


def _config(args: argparse.Namespace) -> DatasetConfig:
    for flag in ("num_samples", "num_examples"):
        least = 0 if flag == "num_samples" else 1
        if getattr(args, flag) < least:
            raise ConfigError(f"--{flag} is {getattr(args, flag)}; at least {least}.")
    macros = {name: gin_utils.macro_or(name, default) for name, default in MACROS.items()}
    name = args.name or macros["MIXTURE_OR_TASK_NAME"]
    if name is None:
        raise ConfigError(
            "flan-jax inspect needs a name: flan-jax inspect NAME --module MODULE, or a gin file "
            "that sets MIXTURE_OR_TASK_NAME."
        )
    return DatasetConfig(
        mixture_or_task_name=name,
        task_feature_lengths=with_lengths(
            macros["TASK_FEATURE_LENGTHS"], args.input_length, args.target_length
        ),
        split=args.split,
        batch_size=macros["BATCH_SIZE"] if args.batch_size is None else args.batch_size,
        shuffle=False,
        seed=0,
        pack=True,
        module=macros["MIXTURE_OR_TASK_MODULE"],
    )


def _layout(cfg: DatasetConfig, args: argparse.Namespace) -> RowLayout:
    """The rows of the recipe's model, of which the kind alone matters here."""
    alone = args.decoder_only or "inputs" not in cfg.token_features
    if not alone and gin_utils.has_macro("MODEL"):
        # The model is not built: what else it needs may be left to the command line of a run.
        model = gin.query_parameter("MODEL/gin.macro.value")
        alone = getattr(model, "selector", "").endswith("DecoderOnlyModel")
    return RowLayout("decoder_only") if alone else ENCODER_DECODER


def _output(text: str) -> pathlib.Path:
    path = pathlib.Path(text)
    if path.suffix not in _SUFFIXES:
        raise ConfigError(
            f"--output {text} ends with {path.suffix or 'no suffix'!r}; give a name that ends with "
            ".html for a page or .json for the figures."
        )
    if not path.parent.is_dir():
        raise ConfigError(f"--output {text}: there is no folder {path.parent}.")
    return path


def _write(path: pathlib.Path, found: dict[str, Any]) -> None:
    if path.suffix == ".json":
        text = json.dumps(found, indent=1, ensure_ascii=False)
    else:
        from flan_jax.data import report_page

        text = report_page.inspection_page(found)
    path.write_text(text, encoding="utf-8")
    print(f"wrote {path}", file=sys.stderr)


def _raise_for(found: dict[str, Any]) -> None:
    leaks = found["leaks"]
    if leaks is not None and leaks["failures"]:
        count = len(leaks["failures"])
        raise DataError(
            f"{leaks['train']} is not clean of {leaks['evaluation']}: "
            + (leaks["failures"][0] if count == 1 else f"{count} reasons, listed above.")
        )
    if found.get("unreadable"):
        shares = " The shares shown are those without them." if found["kind"] == "mixture" else ""
        raise DataError(
            f"{found['unreadable']} of the {len(found['tasks'])} tasks of {found['name']!r} cannot "
            f"be read, so training on them would not start; the reasons are above.{shares}"
        )


class _Progress:
    """Writes a line to stderr every few seconds."""

    def __init__(self):
        self._last = time.monotonic()

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if now - self._last >= _PROGRESS_PERIOD_S:
            self._last = now
            print(text, file=sys.stderr, flush=True)
