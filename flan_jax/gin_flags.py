"""Flags of commands that take a gin configuration. Standard library only."""

import argparse

ALLOW_IMPORTS, OF_FILE = "--allow_gin_imports", "--gin_flags_of_file"
# Environment variable with modules that gin files may name, separated by commas.
VARIABLE = "FLAN_JAX_GIN_MODULES"


def add_arguments(parser: argparse.ArgumentParser, files: bool = True) -> None:
    """Adds the flags; without `files` those that name gin files are left out."""
    group = parser.add_argument_group("gin configuration")
    if files:
        group.add_argument(
            "--gin_file",
            metavar="FILE",
            action="append",
            default=[],
            help="repeatable; a later file overrides an earlier one",
        )
        group.add_argument(
            "--gin_search_paths",
            metavar="DIRS",
            type=lambda text: [path for path in text.split(",") if path],
            default=[],
            help="folders to look for gin files in, separated by commas",
        )
        group.add_argument(
            ALLOW_IMPORTS,
            action="store_true",
            help=f"import whatever modules the gin files name; {VARIABLE}=NAME,NAME in the "
            "environment allows some",
        )
        # For processes that a configuration starts, see `gin_trust.child_flags`.
        group.add_argument(OF_FILE, action="store_true", help=argparse.SUPPRESS)
    group.add_argument(
        "--gin_bindings",
        metavar="'NAME = VALUE'",
        action="append",
        default=[],
        help="repeatable; overrides files. The same as --gin.NAME=VALUE; text needs quotes: "
        "--gin.NAME=\"'text'\"",
    )
