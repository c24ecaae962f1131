"""What FLAN 2021 needs to know of a data set: where it lies, its fields, wordings and metric.

Everything of a data set that varies stands in its entry (`Dataset`); everything that does not (the
variants with exemplars, without options, one template at a time) is made from it in `variants`.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from flan_jax.prompts import Template, parse_pattern

Row = Mapping[str, Any]
Format = Literal["jsonl", "json", "csv", "tsv", "lines"]

# The place of the rendered options block in an input pattern.
OPTIONS_FIELD = "options_"


@dataclasses.dataclass(frozen=True)
class Files:
    """A data set's own distribution, for those who have it instead of TFDS's copy.

    Attributes:
      format: of every file. 'jsonl': one JSON value a line. 'json': one JSON value. 'csv' and
        'tsv': a header line unless `columns` is given. 'lines': a text a line.
      splits: split of the TFDS builder -> file name under the data set's folder; or several names,
        whose records are taken in step (record i is a tuple of the i-th record of each).
      rows: a record of the file (a JSON value, or a dict of column -> text, or a line) -> rows with
        the features of the TFDS builder, as plain Python values. Often there is one.
      columns: names of the columns of a file without a header line.
      quoted: whether fields of 'csv' and 'tsv' may stand in double quotes.
      broken_lines: whether a line of 'csv' and 'tsv' may lack columns, which are then None.
      encoding: of the text.
      url: where the files come from.
    """

    format: Format
    splits: Mapping[str, str | tuple[str, ...]]
    rows: Callable[[Any], Iterable[Row]]
    url: str
    columns: tuple[str, ...] | None = None
    quoted: bool = True
    broken_lines: bool = False
    encoding: str = "utf-8"


@dataclasses.dataclass(frozen=True)
class Dataset:
    """One data set of FLAN 2021; see `docs/add_a_task.md` for a worked example.

    Attributes:
      name: the task's name in the public repository.
      paper_name: as in figure 3 of arXiv 2109.01652; None where the paper does not have it.
      tfds: 'builder/config:version'.
      splits: 'train', 'validation' and 'test' -> split or slice of the builder, as in appendix G of
        the paper and its code: at most 30,000 rows to train on and 200 to validate.
      fields: the scalar features that wordings may use. The rendered options are not among them.
      process: a raw row, as tensors, -> `fields`, and, where there are options, 'options' (strings,
        one dimension) and 'answer' (one of them); and 'answers' (strings, one dimension) where
        evaluation knows more than one right text.
      row_by_row: whether `process` and `keep` take one row only. Otherwise they also take B rows at
        once (every tensor with a leading dimension B) and do the same to each, which is far faster;
        what is the same for every row may then come without that dimension.
      wordings: target pattern -> the input patterns that ask for it. The first target is the data
        set's own task; others turn it round.
      metric_fns: seqio metric functions.
      postprocess_fn: seqio's; see `tasks.postprocess`.
      keep: a raw row -> whether it is used at all.
      options: the answers of a classification that are the same for every row; None otherwise.
      row_options: whether 'options' differ from row to row.
      plain_fields: the fields that say all of the input, for prompts without an instruction; None
        takes those that are not the answer.
      kept: further features of `process` that evaluation needs.
      licence: of the data, as their publishers state it; 'not stated' where they do not.
      citation: key of the paper to cite, author-year-word as in Google Scholar's BibTeX.
      files: how to read the original distribution.
      note: what a user should know that the fields above do not say.
    """

    name: str
    paper_name: str | None
    tfds: str
    splits: Mapping[str, str]
    fields: tuple[str, ...]
    process: Callable[[Row], dict[str, Any]]
    wordings: Mapping[str, tuple[str, ...]]
    metric_fns: tuple[Callable[..., Any], ...]
    postprocess_fn: Callable[..., Any] | None = None
    row_by_row: bool = False
    keep: Callable[[Row], Any] | None = None
    options: tuple[str, ...] | None = None
    row_options: bool = False
    plain_fields: tuple[str, ...] | None = None
    kept: tuple[str, ...] = ()
    licence: str = "not stated"
    citation: str = ""
    files: Files | None = None
    note: str = ""

    @property
    def has_options(self) -> bool:
        """Whether answers are chosen from options."""
        return self.options is not None or self.row_options

    @property
    def target(self) -> str:
        """The target pattern of the data set's own task."""
        return next(iter(self.wordings))

    @property
    def target_fields(self) -> tuple[str, ...]:
        """The fields that are the answer of the data set's own task."""
        return parse_pattern(self.target).fields

    def templates(self) -> tuple[Template, ...]:
        """The templates, those of the data set's own task first.

        Named `<name>_<i>`. A template that turns the task round says so in `inverts`.
        """
        templates = []
        for target, inputs in self.wordings.items():
            inverts = () if target == self.target else self.target_fields
            templates += [
                Template(pattern, target, f"{self.name}_{len(templates) + i}", inverts)
                for i, pattern in enumerate(inputs)
            ]
        return tuple(templates)
