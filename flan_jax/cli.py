"""`flan-jax COMMAND`: parses flags and calls one function. Standard library only until then."""

import argparse
import functools
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from flan_jax import (
    __version__,
    gin_flags,
    inspection_flags,
    last_words,
    multihost,
    plan_flags,
    prepare_flags,
    redaction,
    rows_flags,
    runtime_flags,
)
from flan_jax.errors import ConfigError, suggest
from flan_jax.eval.suites import flags as suites_flags
from flan_jax.rating import flags as rating_flags

_DESCRIPTION = "Instruction tuning in JAX: train, evaluate, use and inspect."
_GIN_FLAG = "--gin."
_EXIT_S = 60.0  # After an error, how long threads that hang may hold the process.


class _Parser(argparse.ArgumentParser):
    """Raises ConfigError where argparse would print usage and exit."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message[0].upper()}{message[1:]}. See: {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the process's exit code.

    A FlanJaxError is the user's to mend: its message goes to stderr without a traceback, its
    exit code is that of its kind. So has memory that is used up and storage that fails, with a
    traceback. Any other exception is ours and keeps its traceback.
    """
    # TensorFlow only feeds data here; what it says about missing GPUs is noise.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if argv is None:
        last_words.own_process()
        redaction.guard_output()
    try:
        args = parse_args(sys.argv[1:] if argv is None else argv)
        code = args.run(args) or 0
        last_words.end()
        return code
    except KeyboardInterrupt as error:
        print("flan-jax: interrupted", file=sys.stderr)
        return last_words.end(error)
    except Exception as error:
        found = last_words.known(error)
        if found is None:
            last_words.end(error)
            raise
        if found is not error:
            print(redaction.redact(traceback.format_exc()), file=sys.stderr)
        # gin adds through which configurables the error came; a user's mistake needs no trace.
        message = str(found).split("\n  In call to configurable", 1)[0]
        print(redaction.redact(f"flan-jax: {message}"), file=sys.stderr)
        last_words.end_within(_EXIT_S, error)
        return found.exit_code


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the command line.

    Raises:
      ConfigError: a flag is unknown (with the nearest ones) or lacks its value.
    """
    parser, commands = _build()
    if not argv:
        argv = ["--help"]
    if not argv[0].startswith("-") and argv[0] not in commands:
        raise ConfigError(
            f"There is no command {argv[0]!r}.{suggest(argv[0], commands)} "
            f"The commands are {', '.join(commands)}."
        )
    args, unknown = parser.parse_known_args(_rewrite_gin_flags(argv))
    args.unknown = unknown
    if unknown and not getattr(args, "passes_on_unknown", False):
        raise ConfigError(_unknown_flag(unknown[0], commands[args.command]))
    return args


def _rewrite_gin_flags(argv: Sequence[str]) -> list[str]:
    """Turns `--gin.NAME=VALUE` into `--gin_bindings=NAME = VALUE`."""
    rewritten = []
    for arg in argv:
        if arg.startswith(_GIN_FLAG):
            name, equals, value = arg[len(_GIN_FLAG) :].partition("=")
            if not name or not equals:
                raise ConfigError(
                    f"{arg} has no value. Write {arg}=VALUE, without blanks around '='."
                )
            arg = f"--gin_bindings={name} = {value}"
        rewritten.append(arg)
    return rewritten


def _unknown_flag(arg: str, parser: argparse.ArgumentParser) -> str:
    flag = arg.split("=", 1)[0]
    known = [option for option in parser._option_string_actions if option.startswith("--")]
    if not flag.startswith("-"):
        return f"{arg!r} is one argument too many. See: {parser.prog} --help"
    message = f"{parser.prog} has no flag {flag!r}.{suggest(flag, known)}"
    if flag.lstrip("-").isupper():
        message += f" A gin value is given as {_GIN_FLAG}{flag.lstrip('-')}=VALUE."
    return f"{message} See: {parser.prog} --help"


# ------------------------------------------------------------------------- the parsers


def _build() -> tuple[_Parser, dict[str, _Parser]]:
    parser = _Parser(prog="flan-jax", description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"flan-jax {__version__}")
    sub = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands: dict[str, _Parser] = {}

    def command(name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> _Parser:
        made = sub.add_parser(name, help=text, description=text, allow_abbrev=False)
        made.set_defaults(run=run)
        commands[name] = made
        return made

    made = command("quickstart", _quickstart, "Train MiniFLAN here in minutes, evaluate, report.")
    made.add_argument("--model_dir", metavar="DIR", help="where to write; a new folder by default")
    gin_flags.add_arguments(made, files=False)

    made = command("train", _train, "Train a model, or go on where MODEL_DIR left off.")
    made.add_argument("--model_dir", metavar="DIR", help="same as --gin.MODEL_DIR")
    made.add_argument(
        "--allow_config_change",
        action="store_true",
        help="resume although the configuration differs from the stored one",
    )
    runtime_flags.add_arguments(made)
    gin_flags.add_arguments(made)

    made = command("eval", _eval, "Evaluate a checkpoint on the tasks of its run, or on others.")
    _model_dir_argument(made)
    made.add_argument("--checkpoint", metavar="DIR", help="same as --gin.CHECKPOINT_PATH")
    suites_flags.add_eval_arguments(made)
    multihost.add_arguments(made)
    gin_flags.add_arguments(made)

    made = command("infer", _infer, "Write what a checkpoint answers to prompts.")
    _model_dir_argument(made)
    made.add_argument("--checkpoint", metavar="DIR", help="same as --gin.CHECKPOINT_PATH")
    made.add_argument("--prompts", metavar="FILE", help="one prompt a line, or JSONL; - is stdin")
    made.add_argument("--output", metavar="FILE", help="JSONL with scores; stdout by default")
    made.add_argument("--interactive", action="store_true", help="ask for prompts, one by one")
    multihost.add_arguments(made)
    gin_flags.add_arguments(made)

    made = command("logits", _logits, "Write a model's float32 logits for given token arrays.")
    made.add_argument("--checkpoint", metavar="DIR", required=True)
    made.add_argument(
        "--batch", metavar="NPZ", required=True, help="int32 arrays under T5X feature names"
    )
    made.add_argument("--output", metavar="NPZ", required=True)
    gin_flags.add_arguments(made)

    made = command("import", _import, "Make a checkpoint of one of T5X or Hugging Face.")
    made.add_argument(
        "source",
        metavar="SOURCE",
        help="a T5X checkpoint or MODEL_DIR, a Hugging Face directory; local or gs://",
    )
    made.add_argument("--model_dir", metavar="DIR", required=True, help="new; gets all files")
    made.add_argument("--dtype", default="float32", help="of parameters; default: float32")
    made.add_argument(
        "--grow_vocabulary",
        metavar="mean|init",
        help="what new tokens start from where the gin files' model has more than SOURCE",
    )
    _comparison_argument(made)
    gin_flags.add_arguments(made)

    made = command("export", _export, "Write a checkpoint for T5X, Hugging Face or serving.")
    made.add_argument("checkpoint", metavar="CHECKPOINT", help="a MODEL_DIR or checkpoint_<step>")
    made.add_argument("--format", required=True, help="hf, t5x or jax")
    made.add_argument("--output", metavar="DIR", required=True, help="new; gets all files")
    made.add_argument(
        "--dtype", help="of parameters; default: that of the imported weights, else float32"
    )
    made.add_argument(
        "--tokenizer", metavar="DIR", help="with hf: where the tokenizer's files lie, if not known"
    )
    _comparison_argument(made)
    gin_flags.add_arguments(made)

    made = command(
        "scaling", _scaling, "Train once per number of tasks or named run, plot the scores."
    )
    made.add_argument("--model_dir", metavar="DIR", help="same as --gin.MODEL_DIR")
    gin_flags.add_arguments(made)

    made = command("inspect", _inspect, "Show tasks: sizes, rates, lengths, templates, leaks.")
    inspection_flags.add_arguments(made)
    gin_flags.add_arguments(made)

    made = command("prepare", _prepare, "Write a mixture's examples to files, to train from.")
    prepare_flags.add_arguments(made)
    gin_flags.add_arguments(made)

    made = command("rows", _rows, "Show what a step of prepared data holds, for any step.")
    rows_flags.add_arguments(made)
    gin_flags.add_arguments(made)

    made = command("plan", _plan, "Compile a recipe for a TPU slice: memory, time, placement.")
    plan_flags.add_arguments(made)
    gin_flags.add_arguments(made)

    made = command("report", _report, "Write one HTML page about a run.")
    _model_dir_argument(made)
    made.add_argument("--output", metavar="FILE", help="MODEL_DIR/report.html by default")

    made = command("compare", _compare, "Write one HTML page about several reports of suites.")
    suites_flags.add_compare_arguments(made)

    made = command("rate", _rate, "Have people rate outputs on a local page; report ratings.")
    rating_flags.add_arguments(made)

    made = command("choose", _choose, "Name the best checkpoint of a run by a stated rule.")
    _model_dir_argument(made)
    made.add_argument("--metric", default="loss", help="of its evaluations; default: loss")
    made.add_argument("--highest", action="store_true", help="more of the metric is better")
    made.add_argument("--scorer", metavar="MODULE:FUNCTION", help="path -> number, instead")

    made = command("doctor", _doctor, "Check this machine: versions, devices, memory, disk.")
    made.add_argument("--model_dir", metavar="DIR", help="check that it can be written")
    made.add_argument("--vocabulary", metavar="FILE", help="check this SentencePiece model")
    made.add_argument("--data", metavar="DIR", help="read all of what flan-jax prepare wrote")
    made.add_argument(
        "--module",
        metavar="MODULE",
        action="append",
        help="with --data: compare vocabularies with those of the tasks that it registers; "
        "repeatable. The same with --gin_file, which names the recipe to be trained",
    )
    gin_flags.add_arguments(made)
    return parser, commands


def _comparison_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no_comparison", action="store_true", help="do not compare logits before finishing"
    )


def _model_dir_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model_dir_positional", metavar="MODEL_DIR", nargs="?")
    parser.add_argument("--model_dir", metavar="DIR", help="the same, as a flag")


# ------------------------------------------------------------------------ the commands


def _train(args: argparse.Namespace) -> None:
    from flan_jax import gin_utils, goodput

    goodput.command_began()
    args.gin_bindings += runtime_flags.bindings(args)
    _parse(args, "train_script.train", _files(args), MODEL_DIR=args.model_dir)
    with multihost.session(args, gin_utils.effective_config_str()):
        from flan_jax import train

        train.train(allow_config_change=args.allow_config_change)


def _parse(args: argparse.Namespace, entry: str, files: Sequence[str], **macros: Any) -> None:
    """Checks and applies the gin configuration; plain flags that stand for a macro come last."""
    from flan_jax import gin_trust, gin_utils

    bindings = _bindings(args, **macros)
    trust = gin_trust.of_flags(args)
    gin_utils.parse(files, bindings, args.gin_search_paths, entry, trust=trust)


def _files(args: argparse.Namespace) -> list[str]:
    if not args.gin_file:
        raise ConfigError(
            f"flan-jax {args.command} needs a gin file, e.g. "
            f"flan-jax {args.command} --gin_file=runs/miniflan.gin"
        )
    return args.gin_file


def _bindings(args: argparse.Namespace, **macros: Any) -> list[str]:
    given = [f"{name} = {value!r}" for name, value in macros.items() if value is not None]
    return [*args.gin_bindings, *given]


def _model_dir(args: argparse.Namespace) -> str | None:
    positional, flag = args.model_dir_positional, args.model_dir
    if positional and flag and positional != flag:
        raise ConfigError(f"Two MODEL_DIRs are given, {positional!r} and {flag!r}. Give one.")
    return positional or flag


def _quickstart(args: argparse.Namespace) -> None:
    from flan_jax import quickstart

    quickstart.quickstart(args.model_dir, args.gin_bindings)


def _eval(args: argparse.Namespace) -> None:
    with multihost.session(args, multihost.common(args)):
        if args.suites or args.list_suites:
            from flan_jax.eval.suites import command as suites

            suites.command(_model_dir(args), args)
            return
        from flan_jax import evaluate

        evaluate.command(_model_dir(args), args)


def _infer(args: argparse.Namespace) -> None:
    with multihost.session(args, multihost.common(args)):
        from flan_jax import infer

        infer.command(_model_dir(args), args)


def _logits(args: argparse.Namespace) -> None:
    from flan_jax import logits

    logits.logits_command(args)


def _import(args: argparse.Namespace) -> None:
    from flan_jax.interop import importing

    importing.command(args)


def _export(args: argparse.Namespace) -> None:
    from flan_jax.interop import exporting

    exporting.command(args)


def _scaling(args: argparse.Namespace) -> None:
    _parse(args, "scaling_script.scaling", _files(args), MODEL_DIR=args.model_dir)
    from flan_jax import scaling

    scaling.scaling()


def _inspect(args: argparse.Namespace) -> None:
    from flan_jax import inspection

    inspection.command(args)


def _prepare(args: argparse.Namespace) -> None:
    from flan_jax.data.prepared import command

    command.command(args)


def _rows(args: argparse.Namespace) -> None:
    from flan_jax import rows

    rows.command(args)


def _plan(args: argparse.Namespace) -> int:
    from flan_jax.plan import command, topology

    topology.prepare_environment()
    # Nothing is written to it: a plan needs no MODEL_DIR.
    _parse(args, "train_script.train", _files(args), MODEL_DIR="planned")
    return command.command(args)


def _report(args: argparse.Namespace) -> None:
    from flan_jax import report

    folder = _model_dir(args)
    if folder is None:
        raise ConfigError("flan-jax report needs a MODEL_DIR: flan-jax report MODEL_DIR")
    print(report.write_report(folder, args.output))


def _compare(args: argparse.Namespace) -> None:
    from flan_jax.eval.suites import compare

    compare.command(args)


def _rate(args: argparse.Namespace) -> None:
    from flan_jax.rating import command

    command.command(args)


def _choose(args: argparse.Namespace) -> None:
    from flan_jax.checkpoint_choice import choose_checkpoint

    model_dir = _model_dir(args)
    if model_dir is None:
        raise ConfigError("flan-jax choose needs a MODEL_DIR.")
    choice = choose_checkpoint(model_dir, args.metric, highest=args.highest, scorer=args.scorer)
    print(choice.text())


def _doctor(args: argparse.Namespace) -> int:
    from flan_jax import doctor

    compared = args.gin_file or args.module or args.gin_bindings
    if compared and args.data is None:
        raise ConfigError("--gin_file and --module say what --data must fit: add --data DIR.")
    to_train = functools.partial(_to_train, args) if compared else None
    return doctor.run(args.model_dir, args.vocabulary, args.data, to_train)


def _to_train(args: argparse.Namespace, folder: str) -> Any:
    from flan_jax.data.order import fitting

    return fitting.of_flags(args, folder)


if __name__ == "__main__":
    sys.exit(main())
