"""Flags of `flan-jax plan`; parsing only."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds them; those of the gin configuration come from the caller."""
    parser.add_argument(
        "--topology",
        metavar="NAME",
        required=True,
        help="a slice: v4:4x4x4, v5e:16x16,slices=2, or as it is booked: v4-128",
    )
    parser.add_argument(
        "--programs",
        metavar="NAMES",
        default="train,eval,decode",
        help="which to compile, separated by commas; default: train,eval,decode",
    )
    parser.add_argument(
        "--search",
        action="store_true",
        help="try meshes, remat, microbatches, scanning of the training step; rank what fits",
    )
    parser.add_argument(
        "--search_limit", metavar="N", type=int, default=12, help="most compilations; default: 12"
    )
    parser.add_argument(
        "--placement", action="store_true", help="also print where every parameter lies, and why"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        action="append",
        default=[],
        help="also write FILE.json or FILE.html; repeatable",
    )
