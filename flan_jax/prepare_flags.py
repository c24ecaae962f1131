"""Flags of `flan-jax prepare`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes besides the gin configuration."""
    parser.set_defaults(passes_on_unknown=True)
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        help="a seqio task or mixture; default: the gin files' MIXTURE_OR_TASK_NAME, as their "
        "values stand for module, lengths and seed",
    )
    parser.add_argument("--output", metavar="DIR", required=True, help="local or gs://")
    parser.add_argument(
        "--module",
        metavar="MODULE",
        action="append",
        help="imported first, to register the names; repeatable",
    )
    parser.add_argument("--split", default="train", help="default: train")
    parser.add_argument(
        "--input_length", type=int, help="tokens; 0 for tasks without inputs; default: 512"
    )
    parser.add_argument("--target_length", type=int, help="tokens; default: 128")
    parser.add_argument("--seed", type=int, help="of what pipelines draw; default: 0")
    parser.add_argument(
        "--renderings",
        type=int,
        default=1,
        help="examples of each row, with other templates and exemplars; those that come out the "
        "same are left out; default: 1",
    )
    parser.add_argument(
        "--shard_rows", type=int, default=4096, help="source rows of a shard; default: 4096"
    )
    parser.add_argument(
        "--runner",
        default="local",
        help="local (processes on this machine), none (this process alone), or one of Apache "
        "Beam's, whose own options are passed on: --name=value; default: local",
    )
    parser.add_argument(
        "--workers", type=int, help="processes of --runner=local; default: one for each core"
    )
    parser.add_argument(
        "--dry_run", action="store_true", help="say what there is to do, and do nothing"
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="DIR may hold another mixture, whose other tasks are removed",
    )
