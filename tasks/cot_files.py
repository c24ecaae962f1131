"""FLAN-format chain-of-thought files: rows, malformed rows, and the validation split.

A file `<name>_train.tsv` has no header and three columns: question, answer, rationale. A newline
inside a cell is written as backslash-n. Source: github.com/google-research/FLAN, flan/v2/cot_data.
"""

import dataclasses
import hashlib
import logging
import math
import pathlib
import re
from collections.abc import Sequence

from flan_jax.errors import DataError, suggest

logger = logging.getLogger(__name__)

COLUMNS = ("question", "answer", "rationale")
SUFFIX = "_train.tsv"
_REPORTED_ROWS = 5
_QUOTED = re.compile(r'"(.+)"', re.DOTALL)


@dataclasses.dataclass(frozen=True)
class CotRow:
    """One row; newlines are real ones. `line` counts from 1."""

    question: str
    answer: str
    rationale: str
    line: int


@dataclasses.dataclass(frozen=True)
class BadRow:
    """A row that was skipped, and why."""

    line: int
    problem: str


@dataclasses.dataclass(frozen=True)
class CotFile:
    """The good rows of a file in order, and what was skipped."""

    path: pathlib.Path
    rows: tuple[CotRow, ...]
    skipped: tuple[BadRow, ...]


def present_sets(folder: pathlib.Path, names: Sequence[str]) -> list[str]:
    """Returns those of `names` whose file lies in `folder`; DataError when none does."""
    found = [name for name in names if (folder / f"{name}{SUFFIX}").is_file()]
    if not found:
        held = sorted(entry.name for entry in folder.iterdir())[:5]
        raise DataError(
            f"{folder} holds none of the chain-of-thought files "
            f"({', '.join(name + SUFFIX for name in names)}); it holds {held or 'nothing'}."
        )
    return found


def find_file(folder: pathlib.Path, name: str) -> pathlib.Path:
    """Returns the path of a set's file; DataError naming it, and the nearest, when missing."""
    path = folder / f"{name}{SUFFIX}"
    if not path.is_file():
        held = sorted(entry.name for entry in folder.glob("*.tsv"))
        raise DataError(
            f"The chain-of-thought set {name!r} needs the file {path}, which does not exist."
            + (suggest(path.name, held) or f" The folder holds {held[:5] or 'no .tsv files'}.")
        )
    return path


def read_file(path: pathlib.Path, strict: bool = False) -> CotFile:
    """Reads a file, skipping and reporting malformed rows.

    A row is malformed when it has not exactly three columns, an empty cell, or bytes that are not
    UTF-8. The other rows are unaffected.

    Raises:
      DataError: with `strict`, the first malformed row (file and line); always, a file without a
        single good row.
    """
    rows, skipped = [], []
    lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, start=1):
        row = _parse_row(line, number)
        if isinstance(row, CotRow):
            rows.append(row)
            continue
        if strict:
            raise DataError(
                f"{path}, line {number}: {row.problem}. Expected three cells separated by tabs: "
                f"{', '.join(COLUMNS)}. Mend the line, or set tasks.Cot.strict = False to skip it."
            )
        skipped.append(row)
    if not rows:
        raise DataError(
            f"{path} has no usable row among {len(lines)}."
            + (f" Line {skipped[0].line}: {skipped[0].problem}." if skipped else "")
        )
    _report(path, skipped, len(lines))
    return CotFile(path, tuple(rows), tuple(skipped))


def split_rows(rows: Sequence[CotRow], validation_rows: int) -> tuple[list[CotRow], list[CotRow]]:
    """Splits rows into (train, validation), the same way whatever their order.

    Questions are grouped by `question_key`, and the groups with the smallest hashes of their key
    are held out, so that near duplicates stay on one side. Groups are taken while they fit into the
    wanted number: `validation_rows`, or a tenth of the rows where that is less.
    """
    wanted = min(validation_rows, math.floor(len(rows) / 10))
    groups: dict[str, int] = {}
    for row in rows:
        key = question_key(row.question)
        groups[key] = groups.get(key, 0) + 1
    held_out, count = set(), 0
    for key in sorted(groups, key=lambda key: hashlib.sha256(key.encode("utf-8")).digest()):
        if count + groups[key] <= wanted:
            held_out.add(key)
            count += groups[key]
        if count == wanted:
            break
    sides: tuple[list[CotRow], list[CotRow]] = ([], [])
    for row in rows:
        sides[question_key(row.question) in held_out].append(row)
    return sides


def question_key(question: str) -> str:
    r"""Returns what near duplicates of a question share.

    A quoted claim stands for the question, since FLAN's CREAK file puts claims into seven frames;
    otherwise the options go. Case, punctuation and blanks go in both cases.

    >>> question_key('Is the following true?\n"Ice is cold."\nOptions:\n- yes\n- no')
    'ice is cold'
    """
    quoted = _QUOTED.search(question)
    text = quoted.group(1) if quoted else question.partition("\nOptions:")[0]
    return " ".join(re.findall(r"\w+", text.casefold())) or question


def _parse_row(line: bytes, number: int) -> CotRow | BadRow:
    try:
        text = line.decode("utf-8").removesuffix("\r")
    except UnicodeDecodeError as error:
        return BadRow(number, f"byte {error.start + 1} is not UTF-8")
    cells = text.split("\t")
    if len(cells) != len(COLUMNS):
        return BadRow(number, f"{len(cells)} columns, expected {len(COLUMNS)}: {text[:60]!r}")
    empty = [name for name, cell in zip(COLUMNS, cells, strict=True) if not cell.strip()]
    if empty:
        return BadRow(number, f"empty {' and '.join(empty)}: {text[:60]!r}")
    question, answer, rationale = (cell.replace("\\n", "\n").strip() for cell in cells)
    return CotRow(question, answer, rationale, number)


def _report(path: pathlib.Path, skipped: Sequence[BadRow], lines: int) -> None:
    if not skipped:
        return
    shown = "; ".join(f"line {row.line}: {row.problem}" for row in skipped[:_REPORTED_ROWS])
    more = len(skipped) - _REPORTED_ROWS
    logger.warning(
        "%s: skipped %d of %d rows (%s%s)",
        path,
        len(skipped),
        lines,
        shown,
        f"; and {more} more" if more > 0 else "",
    )
