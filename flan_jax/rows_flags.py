"""Flags of `flan-jax rows`. Standard library only."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes besides the gin configuration."""
    parser.add_argument(
        "folder",
        metavar="DIR",
        nargs="?",
        help="a run's MODEL_DIR, whose configuration is taken, or a folder of flan-jax prepare, "
        "mixed as it was prepared; not needed with gin files that set PREPARED_DIR",
    )
    parser.add_argument(
        "--step", type=int, help="the number of the step, from 0 on: its rows make update step + 1"
    )
    parser.add_argument(
        "--num_rows", type=int, default=4, help="rows shown; default: 4; the others are counted"
    )
    parser.add_argument(
        "--output", metavar="FILE", help="JSON lines: every example of the step, in all its rows"
    )
    parser.add_argument(
        "--plan", action="store_true", help="show shares, rows and fill of all steps beforehand"
    )
    parser.add_argument("--batch_size", type=int, help="rows of a step; default: 128")
    parser.add_argument("--seed", type=int, help="of the order; default: 0")
    parser.add_argument(
        "--decoder_only",
        action="store_true",
        help="inputs and targets share a row; default: as the gin files' MODEL wants them",
    )
