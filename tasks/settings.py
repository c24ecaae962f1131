"""gin values of the real-data tasks.

Light on purpose, like `tasks.paths`: the names must be known before a configuration is read, while
the task modules, which import seqio, are loaded after it.
"""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import gin

from flan_jax.errors import ConfigError, suggest


@gin.configurable(module="tasks")
@dataclasses.dataclass(frozen=True)
class Cot:
    """Chain-of-thought tasks (`tasks/cot.py`).

    Attributes:
      sets: names out of `tasks.cot.COT_SETS`, each of which must be present; None takes every set
        whose file is present.
      validation_rows: rows held out of each file, at most a tenth of it.
      strict: stop at the first malformed row instead of reporting and skipping it.
      template_seed: seed of the choice of template per row.
      cap: largest weight of one set in the mixture `cot`, in rows; None weighs by rows.
    """

    sets: tuple[str, ...] | list[str] | None = None
    validation_rows: int = 200
    strict: bool = False
    template_seed: int = 0
    cap: int | None = None

    def __post_init__(self):
        _at_least(self, "validation_rows", 0)
        if self.cap is not None:
            _at_least(self, "cap", 1)


@gin.configurable(module="tasks")
@dataclasses.dataclass(frozen=True)
class SuperNI:
    """Super-NaturalInstructions tasks (`tasks/super_ni.py`).

    Attributes:
      split: folder under splits/ whose task lists are used; None trains on every file.
      encoding: name out of `tasks.super_ni_encoding.ENCODINGS`, or 'mixed'.
      allow_missing: go on, with a report, when the task lists name files that are not present.
      strict: stop at a malformed file instead of reporting it and leaving it out where files are
        combined.
      seed: seed of the choice of instances, of the reference, and of the 'mixed' encoding.
      train_cap: training instances kept per task (Tk-Instruct: 100).
      validation_rows: instances held out of each training task, at most a tenth of it.
      eval_cap: first instances of each test task that are evaluated (Tk-Instruct: 100).
    """

    split: str | None = "default"
    encoding: str = "def_pos_2"
    allow_missing: bool = False
    strict: bool = False
    seed: int = 0
    train_cap: int = 100
    validation_rows: int = 10
    eval_cap: int = 100

    def __post_init__(self):
        _at_least(self, "train_cap", 1)
        _at_least(self, "validation_rows", 0)
        _at_least(self, "eval_cap", 1)


@gin.configurable(module="tasks")
@dataclasses.dataclass(frozen=True)
class CotSuperNI:
    """The mixture of both (`tasks/real_data.py`): shares of examples, in any unit."""

    cot_rate: float = 1.0
    super_ni_rate: float = 1.0

    def __post_init__(self):
        for name in ("cot_rate", "super_ni_rate"):
            if not getattr(self, name) > 0:
                raise ConfigError(
                    f"tasks.CotSuperNI.{name} is {getattr(self, name)}; a rate must be above 0. "
                    "To leave one side out, train on the mixture 'cot' or 'super_ni_all_train'."
                )


@gin.configurable(module="tasks")
@dataclasses.dataclass(frozen=True)
class Flan2021:
    """FLAN 2021 (`tasks/flan2021`).

    Attributes:
      files: data set -> folder of its own files, read in place of TFDS's copy.
      only: the data sets that mixtures are made of; None takes all, and one that is not there is an
        error.
      tfds_data_dir: TFDS's folder; None takes TFDS's default.
      seed: of the choice of template and of exemplars per row.
      template_choice: 'hash' draws each row's template by (seed, the row's content); 'rotate' takes
        them in turn by position, as the public code does.
      prompt_format: 'plain' shows the instruction as it is and labels exemplars; 'flan2021' marks
        the turns of a dialog, as the public code does.
      exemplar_wording: see `flan_jax.prompts.FewShot`.
      prompt_tokens: most tokens of a prompt with exemplars (the public code: 960); None takes the
        length of 'inputs'.
      pool_rows: training rows that exemplars are drawn from.
      cap: most weight of a task in a training mixture, in rows (paper: 3,000).
    """

    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    only: tuple[str, ...] | list[str] | None = None
    tfds_data_dir: str | None = None
    seed: int = 0
    template_choice: Literal["hash", "rotate"] = "hash"
    prompt_format: Literal["plain", "flan2021"] = "plain"
    exemplar_wording: Literal["same", "mixed", "mixed_directions"] = "mixed"
    prompt_tokens: int | None = None
    pool_rows: int = 1000
    cap: int = 3000

    def __post_init__(self):
        _at_least(self, "pool_rows", 1)
        _at_least(self, "cap", 1)
        for field in dataclasses.fields(self):
            allowed = typing.get_args(field.type)
            if typing.get_origin(field.type) is Literal:
                _one_of(self, field.name, allowed)


@gin.configurable(module="tasks")
@dataclasses.dataclass(frozen=True)
class Pretraining:
    """Pretraining tasks (`tasks/pretraining.py`).

    Attributes:
      text_files: split -> path or pattern of text files, or several, for the tasks `text_*`.
      text_documents: what a document of a .txt file is: 'blocks' between blank lines, or 'lines'.
      c4: TFDS's name of C4; 'c4/en:3.0.1' is what T5X trains on, later versions have other rows.
      tfds_data_dir: TFDS's folder; None takes TFDS's default.
      vocabulary: one of gin's seqio.*Vocabulary; None takes T5's (`tasks.Paths`).
      sentinels: so many of the vocabulary's last ids serve as sentinels, even where they are also
        ordinary tokens; None takes the ids that the vocabulary has for it.
    """

    text_files: Mapping[str, str | Sequence[str]] = dataclasses.field(default_factory=dict)
    text_documents: Literal["blocks", "lines"] = "blocks"
    c4: str = "c4/en:3.0.1"
    tfds_data_dir: str | None = None
    vocabulary: Any = None
    sentinels: int | None = None

    def __post_init__(self):
        _one_of(self, "text_documents", ("blocks", "lines"))
        if self.sentinels is not None:
            _at_least(self, "sentinels", 1)


@gin.configurable(module="tasks")
@dataclasses.dataclass(frozen=True)
class Sft:
    """Supervised fine-tuning on demonstrations (`tasks/sft.py`).

    Attributes:
      files: JSON lines files, see `tasks/sft_files.py`.
      vocabulary: one of gin's seqio.*Vocabulary; None takes T5's (`tasks.Paths`).
      seed: of the split.
      validation_share: share of the users held out for validation.
      test_share: share of the users held out for test.
      dedup_prefix_share: prompts are duplicates when this share of the longer one is common to both
        from its start; above 1 leaves equal prompts too.
      dedup_prefix_characters: fewest characters of such a prefix.
      user_cap: most prompts of a user.
      drop_personal_data: leave rows with personal data out of the training split.
      prompt_tokens: longer prompts are dropped.
      reply_tokens: replies are cut to so many tokens, end tokens included.
    """

    files: str | Sequence[str] = ()
    vocabulary: Any = None
    seed: int = 0
    validation_share: float = 0.1
    test_share: float = 0.1
    dedup_prefix_share: float = 0.9
    dedup_prefix_characters: int = 50
    user_cap: int = 200
    drop_personal_data: bool = True
    prompt_tokens: int = 1024
    reply_tokens: int = 1024

    def __post_init__(self):
        for name in ("dedup_prefix_characters", "user_cap", "prompt_tokens", "reply_tokens"):
            _at_least(self, name, 1)
        for name in ("validation_share", "test_share", "dedup_prefix_share"):
            _at_least(self, name, 0)
        held_out = self.validation_share + self.test_share
        if not held_out < 1:
            raise ConfigError(
                f"tasks.Sft holds out {self.validation_share} + {self.test_share} = {held_out:g} "
                "of the users (validation_share + test_share); below 1 leaves some to train on."
            )


def _one_of(settings, name: str, allowed: Sequence[str]) -> None:
    value = getattr(settings, name)
    if value not in allowed:
        raise ConfigError(
            f"tasks.{type(settings).__name__}.{name} is {value!r}; it is one of {list(allowed)}."
            + suggest(str(value), allowed)
        )


def _at_least(settings, name: str, least: int) -> None:
    value = getattr(settings, name)
    if value < least:
        raise ConfigError(f"tasks.{type(settings).__name__}.{name} is {value}; at least {least}.")
