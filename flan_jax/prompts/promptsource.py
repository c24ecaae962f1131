"""PromptSource's templates: read from `templates.yaml` and applied to rows.

The format and the rules are those of bigscience-workshop/promptsource, v0.1.0 to v0.2.3, which T0
(arXiv 2110.08207) and P3 are made with: a file per data set, or per subset, holds templates; the
Jinja text of a template renders to input and target with `|||` between them. Templates come from
anywhere, so they run in Jinja's sandbox, with nothing of Python but the values of the row.
"""

import dataclasses
import datetime
import functools
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
import yaml

from flan_jax.errors import DataError, NotFoundError, suggest
from flan_jax.prompts import promptsource_jinja as jinja
from flan_jax.prompts.promptsource_jinja import TRUNCATE

try:
    # libyaml's: ten times as fast.
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader

FILE_NAME = "templates.yaml"
SEPARATOR = "|||"
# Stands for a separator in a text of the row while the row is rendered. Some templates (multi_news)
# look for it, so it must be PromptSource's.
_SENTINEL = "3ed2dface8203c4c9dfb1a5dc58e41e0"

# What rows are made of, besides texts, lists and maps. The sandbox keeps templates from Python's
# insides, not from methods: an array, for one, can write itself to a file.
_PLAIN = (bool, int, float, bytes, type(None), datetime.date, datetime.time, datetime.timedelta)

_NOT_IN_NAMES = re.compile(r"[^\w.]+")


def task_name(dataset: str, subset: str, template: str) -> str:
    """Returns the name of a data set and template as P3 and T0 write it.

    >>> task_name("cos_e", "v1.11", "i think")
    'cos_e_v1.11_i_think'
    """
    return _NOT_IN_NAMES.sub("_", "_".join(part for part in (dataset, subset, template) if part))


@dataclasses.dataclass(frozen=True)
class Rendered:
    """What a template makes of a row.

    Attributes:
      inputs: the prompt, without blanks around it.
      targets: the answer, likewise; '' where the template gives none, as for rows without a label.
      choices: the answers to choose from; None where the template has none.
    """

    inputs: str
    targets: str
    choices: tuple[str, ...] | None


@dataclasses.dataclass(frozen=True)
class PromptTemplate:
    """One template.

    Attributes:
      name: unique in its file.
      jinja: the text; what it renders to has one `|||` between input and target.
      answer_choices: a Jinja text of choices with `|||` between them, or None.
      id: UUID.
      reference: where the wording comes from, in the author's words.
      original_task: whether it asks for the task that the data set was made for; None: not said.
      choices_in_prompt: whether the choices are shown; None: not said.
      metrics: tags such as 'Accuracy'.
      languages: ISO 639-1 codes of the prompt's language; only the newest files have them.
      where: file and name, for messages.
    """

    name: str
    jinja: str
    answer_choices: str | None = None
    id: str = ""
    reference: str = ""
    original_task: bool | None = None
    choices_in_prompt: bool | None = None
    metrics: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    where: str = "template"

    def __post_init__(self):
        for text in (self.jinja, self.answer_choices or ""):
            try:
                jinja.ENVIRONMENT.parse(text)
            except jinja2.TemplateSyntaxError as error:
                raise DataError(
                    f"{self.where}: not valid Jinja at line {error.lineno} of its text: "
                    f"{error.message}"
                ) from error

    @functools.cached_property
    def fixed_choices(self) -> tuple[str, ...] | None:
        """The choices where they are the same for every row, else None."""
        if self.answer_choices is None or jinja.variables(self.answer_choices):
            return None
        try:
            text = jinja.compiled(self.answer_choices, None).render()
        except (jinja2.TemplateError, *jinja.ERRORS) as error:
            raise DataError(
                f"{self.where}: the answer choices cannot be rendered ({type(error).__name__}: "
                f"{error})."
            ) from error
        return tuple(choice.strip() for choice in text.split(SEPARATOR))

    @property
    def variables(self) -> frozenset[str]:
        """Columns of the data set that the template may look at."""
        names = jinja.variables(self.jinja) | jinja.variables(self.answer_choices or "")
        return frozenset(names - {"answer_choices"})

    def parts(
        self, row: Mapping[str, Any], *, index: int = 0, seed: int = 0, truncate: int | None
    ) -> tuple[list[str], tuple[str, ...] | None]:
        """Returns the texts between the separators, stripped, and the choices.

        Args:
          row: column -> value; dashes in names of columns become underscores.
          index: identifies the row, for what a template draws at random.
          seed: of the same.
          truncate: see `render`.

        Raises:
          DataError: the row has a column named answer_choices, or the template fails on it.
        """
        fields = {name.replace("-", "_"): _protect(value) for name, value in row.items()}
        if "answer_choices" in fields:
            raise DataError(
                f"{self.where}: the row has a column 'answer_choices', which templates keep for "
                "their own choices. Rename the column."
            )
        draws = jinja.Draws(seed, index)
        try:
            choices = None
            if self.answer_choices is not None:
                text = jinja.compiled(self.answer_choices, None).render(
                    jinja.context(fields, draws)
                )
                choices = [choice.strip() for choice in text.split(SEPARATOR)]
            fields["answer_choices"] = choices
            text = jinja.compiled(self.jinja, truncate).render(jinja.context(fields, draws))
        except (jinja2.TemplateError, *jinja.ERRORS) as error:
            raise DataError(
                f"{self.where}: cannot be rendered ({type(error).__name__}: {error}). The template "
                f"looks at {sorted(self.variables)}; the row has {sorted(row)}."
            ) from error
        texts = [part.replace(_SENTINEL, SEPARATOR).strip() for part in text.split(SEPARATOR)]
        if choices is None:
            return texts, None
        return texts, tuple(choice.replace(_SENTINEL, SEPARATOR) for choice in choices)

    def render(
        self,
        row: Mapping[str, Any],
        *,
        index: int = 0,
        seed: int = 0,
        truncate: int | None = TRUNCATE,
    ) -> Rendered | None:
        """Applies the template; None where it gives no input and target for this row.

        In {'question': 'Is ice cold?', 'label': 1} with the text '{{question}} ||| {{["no",
        "yes"][label]}}', out Rendered('Is ice cold?', 'yes', None). A template that is for some of
        the rows only renders to nothing for the others.

        Args:
          row: column -> value, as Hugging Face `datasets` gives them.
          index: identifies the row, for what a template draws at random.
          seed: of the same.
          truncate: most characters of an expression's value, cut at a blank and ended by '...';
            None cuts nothing. PromptSource, and so T0 and P3, take 2,048. The rule is put behind
            the text of every expression, and binds as Jinja's filters do: of `{{a + b}}` it takes
            `b`, and in `{{a if b}}` the condition.

        Raises:
          DataError: the row has a column named answer_choices, or the template fails on it.
        """
        texts, choices = self.parts(row, index=index, seed=seed, truncate=truncate)
        if len(texts) != 2 or not texts[0]:
            return None
        return Rendered(texts[0], texts[1], choices)


@dataclasses.dataclass(frozen=True)
class TemplateFile:
    """The templates of a data set, or of one of its subsets ('' for none), in the file's order."""

    dataset: str
    subset: str
    templates: tuple[PromptTemplate, ...]
    path: pathlib.Path

    @functools.cached_property
    def by_task(self) -> dict[str, PromptTemplate]:
        """Task name -> template."""
        return {task_name(self.dataset, self.subset, t.name): t for t in self.templates}

    def template(self, task: str) -> PromptTemplate:
        """Returns the template of a task; NotFoundError names the nearest ones."""
        if task not in self.by_task:
            raise NotFoundError(
                f"{self.path} has no template for the task {task!r}; it has {len(self.by_task)}."
                + suggest(task, self.by_task)
            )
        return self.by_task[task]


class _Loader(SafeLoader):  # pyright: ignore[reportGeneralTypeIssues]
    """PyYAML's safe loader with the tags of PromptSource."""


@dataclasses.dataclass(frozen=True)
class _Tagged:
    """A map behind one of PromptSource's tags."""

    tag: str
    fields: dict[Any, Any]


def _tagged(loader: Any, node: Any) -> _Tagged:
    return _Tagged(node.tag, loader.construct_mapping(node, deep=True))


for _tag in ("!Template", "!TemplateMetadata"):
    _Loader.add_constructor(_tag, _tagged)

# Field -> types it may have.
_FILE_FIELDS = {"dataset": (str,), "templates": (dict,)}
_FIELDS = {
    "name": (str,),
    "jinja": (str,),
    "answer_choices": (str, type(None)),
    "id": (str,),
    "reference": (str, type(None)),
    "metadata": (_Tagged,),
}
_METADATA_FIELDS = {
    "original_task": (bool, type(None)),
    "choices_in_prompt": (bool, type(None)),
    "metrics": (list, type(None)),
}


def template_path(folder: pathlib.Path, dataset: str, subset: str = "") -> pathlib.Path:
    """Returns where the templates of a data set lie under PromptSource's folder of templates.

    Raises:
      DataError: there is no such file.
    """
    path = folder / dataset / subset / FILE_NAME
    if not path.is_file():
        parent = path.parent.parent
        names = sorted(p.name for p in parent.iterdir()) if parent.is_dir() else []
        raise DataError(
            f"{folder} has no templates of {'/'.join(filter(None, (dataset, subset)))!r}: {path} "
            "is not there." + suggest(path.parent.name, names) + " The folder is "
            "promptsource/templates of github.com/bigscience-workshop/promptsource."
        )
    return path


@functools.lru_cache(maxsize=256)
def read_templates(path: pathlib.Path) -> TemplateFile:
    """Reads one `templates.yaml`; a second time it is taken from memory.

    Raises:
      DataError: the file is not as the format says; the message names file and template.
    """
    try:
        with path.open(encoding="utf-8") as file:
            found = yaml.load(file, _Loader)  # noqa: S506 - a safe loader
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise DataError(f"{path} is not YAML of PromptSource's kind: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} holds {type(found).__name__}; expected dataset and templates.")
    _check(found, _FILE_FIELDS, str(path))
    subset = found.get("subset")
    templates = tuple(_template(one, f"{path}") for one in found["templates"].values())
    made = TemplateFile(found["dataset"], "" if subset is None else str(subset), templates, path)
    if len(made.by_task) != len(templates):
        names = [task_name("", "", template.name) for template in templates]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: two templates become the task {twice!r}. Rename one of them.")
    return made


def _template(found: Any, path: str) -> PromptTemplate:
    if not isinstance(found, _Tagged) or found.tag != "!Template":
        raise DataError(f"{path}: an entry of 'templates' is not tagged !Template: {found!r:.80}")
    fields = found.fields
    where = f"{path}, template {fields.get('name', fields.get('id'))!r}"
    _check(fields, _FIELDS, where)
    if fields["metadata"].tag != "!TemplateMetadata":
        raise DataError(f"{where}: metadata is not tagged !TemplateMetadata.")
    metadata = fields["metadata"].fields
    _check(metadata, _METADATA_FIELDS, f"{where}, metadata")
    return PromptTemplate(
        name=fields["name"],
        jinja=fields["jinja"],
        answer_choices=fields["answer_choices"],
        id=fields["id"],
        reference=fields["reference"] or "",
        original_task=metadata["original_task"],
        choices_in_prompt=metadata["choices_in_prompt"],
        metrics=tuple(str(tag) for tag in metadata["metrics"] or ()),
        languages=tuple(str(code) for code in metadata.get("languages") or ()),
        where=where,
    )


def _check(found: Mapping[str, Any], expected: Mapping[str, Sequence[type]], where: str) -> None:
    for field, types in expected.items():
        if field not in found:
            raise DataError(f"{where} has no {field!r}; it has {sorted(map(str, found))}.")
        if not isinstance(found[field], tuple(types)):
            raise DataError(
                f"{where}: {field!r} is {found[field]!r:.60}; expected "
                f"{' or '.join(kind.__name__.removeprefix('_') for kind in types)}."
            )


def _protect(value: Any) -> Any:
    """A copy in which texts hold no separator; templates may change lists and maps they are given.

    PromptSource does so to texts of the row's own columns only, and loses rows with a separator in
    a list.
    """
    if isinstance(value, str):
        return value.replace(SEPARATOR, _SENTINEL)
    if isinstance(value, Mapping):
        return {key: _protect(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_protect(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _protect(value.tolist())
    if not isinstance(value, _PLAIN):
        raise DataError(
            f"A row holds a {type(value).__name__}; templates are given texts, numbers, dates, "
            "lists and maps. Turn it into one of these before."
        )
    return value
