"""How toxic texts are, by a scorer of yours: a classifier or an API, asked once for each text.

A scorer takes texts and returns for each the probability, in 0..1, that it is toxic. It is named in
gin, as a configurable or as 'module:function':

```
toxicity.Toxicity.scorer = @toxicity.HuggingFaceClassifier()
toxicity.HuggingFaceClassifier.model = 'unitary/toxic-bert'
```

Published figures are those of one scorer at one time: the API that most papers asked, Perspective,
has changed since (Pozzobon et al. 2023, arXiv 2304.12397), so only figures of the same scorer
compare.
"""

import dataclasses
import functools
import hashlib
import importlib
import importlib.util
import json
import math
import os
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import gin
import jax

from flan_jax import gin_trust
from flan_jax.errors import ConfigError, DataError, NotFoundError, suggest

Scorer = Callable[[Sequence[str]], Sequence[float]]

_SENTENCE = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s|\Z)|\n")
_CACHE = "toxicity.jsonl"


@gin.configurable(module="toxicity")
@dataclasses.dataclass(frozen=True)
class Toxicity:
    """A scorer with a memory on disk, so that a restart asks for no text again.

    The memory holds hashes of texts, not texts.

    Attributes:
      scorer: texts -> probabilities; a gin reference, or 'module:function'. There is no default.
      name: tells the scorer's probabilities from others' in the memory; change it when the scorer
        changes. Default the scorer's attribute `name`, else its module and name.
      cache: file of the memory; '' is toxicity.jsonl in $XDG_CACHE_HOME/flan_jax or
        ~/.cache/flan_jax.
      batch_size: texts given to the scorer at once; they are kept as soon as it returns.
    """

    scorer: Scorer | str | None = None
    name: str = ""
    cache: str = ""
    batch_size: int = 100

    def __post_init__(self):
        if isinstance(self.batch_size, bool) or self.batch_size < 1:
            raise ConfigError(f"Toxicity.batch_size must be at least 1, not {self.batch_size!r}.")

    def check(self) -> Scorer:
        """Returns the scorer.

        Raises:
          ConfigError: none is given, or it is no function.
        """
        if not self.scorer:
            raise ConfigError(
                "Toxicity is judged by a scorer, and none is given. Bind a function of texts that "
                "returns probabilities, --gin.toxicity.Toxicity.scorer=\"'module:function'\", or a "
                "classifier, --gin.toxicity.Toxicity.scorer=@toxicity.HuggingFaceClassifier() "
                "--gin.toxicity.HuggingFaceClassifier.model=\"'NAME_OR_FOLDER'\"."
            )
        return _imported(self.scorer) if isinstance(self.scorer, str) else self.scorer

    def probabilities(self, texts: Sequence[str]) -> list[float]:
        """Returns the probability of each text that it is toxic, in 0..1.

        Texts of blanks alone are not toxic, and not asked for. With several processes the first
        asks, whose report is the one that is written; the others get NaN.

        Raises:
          ConfigError: no scorer; see `check`.
          DataError: the scorer returned anything but a probability for each text.
        """
        scorer = self.check()
        if jax.process_index() > 0:
            return [math.nan] * len(texts)
        name = self.name or _name_of(self.scorer)
        memory = _Memory(pathlib.Path(self.cache).expanduser() if self.cache else _default_cache())
        keys = [_key(name, text) for text in texts]
        unknown = {
            key: text
            for key, text in zip(keys, texts, strict=True)
            if text.strip() and key not in memory.known
        }
        asked = list(unknown.items())
        for start in range(0, len(asked), self.batch_size):
            batch = asked[start : start + self.batch_size]
            values = _checked(scorer([text for _, text in batch]), len(batch), name)
            memory.add({key: value for (key, _), value in zip(batch, values, strict=True)})
        return [memory.known.get(key, 0.0) for key in keys]


class _Memory:
    """Probabilities by key, one JSON array a line."""

    def __init__(self, path: pathlib.Path):
        self._path = path
        self.known: dict[str, float] = {}
        if path.exists():
            for line in path.read_bytes().split(b"\n"):
                # A line that a kill cut off is asked for again.
                try:
                    key, value = json.loads(line)
                    self.known[key] = float(value)
                except (ValueError, TypeError):
                    continue

    def add(self, values: dict[str, float]) -> None:
        """Keeps probabilities; they are on the disk when this returns."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps([key, value]) + "\n" for key, value in values.items())
        with open(self._path, "ab") as file:
            file.write(b"\n" + lines.encode())
            file.flush()
            os.fsync(file.fileno())
        self.known |= values


def _default_cache() -> pathlib.Path:
    from tasks.super_ni.index import cache_folder

    return cache_folder() / _CACHE


def _key(name: str, text: str) -> str:
    return hashlib.sha256(json.dumps([name, text]).encode()).hexdigest()[:32]


def _name_of(scorer: Any) -> str:
    if isinstance(scorer, str):
        return scorer
    name = getattr(scorer, "name", "") or getattr(scorer, "__qualname__", "")
    if not name:
        raise ConfigError(
            f"The scorer {scorer!r} has no name, by which its probabilities are kept: give it an "
            "attribute 'name', or bind toxicity.Toxicity.name."
        )
    return f"{getattr(scorer, '__module__', '')}:{name}"


def _imported(name: str) -> Scorer:
    gin_trust.check(name)
    module, _, function = name.partition(":")
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise NotFoundError(f"toxicity.Toxicity.scorer is {name!r}: {error}.") from error
    found: Any = getattr(loaded, function, None)
    if found is None or not callable(found):
        raise ConfigError(
            f"toxicity.Toxicity.scorer is {name!r}, which is no function; write "
            f"'module:function'.{suggest(function, dir(loaded))}"
        )
    return cast(Scorer, found)


def _checked(values: Any, count: int, name: str) -> list[float]:
    try:
        found = [float(value) for value in values]
    except (TypeError, ValueError) as error:
        raise DataError(
            f"The scorer {name!r} returned {values!r:.80} for {count} texts, not a number for each."
        ) from error
    wrong = [value for value in found if not 0 <= value <= 1]
    if len(found) != count or wrong:
        what = f"{wrong[0]}, no probability" if wrong else f"{len(found)} values"
        raise DataError(f"The scorer {name!r} returned {what} for {count} texts.")
    return found


def first_sentence(text: str) -> str:
    """Returns a text up to the end of its first sentence, or line; the whole where it has no end.

    A sentence ends with a full stop, an exclamation or a question mark before a blank.

    >>> first_sentence('He said "no!" Then he left.')
    'He said "no!"'
    """
    found = _SENTENCE.search(text.strip())
    return text.strip()[: found.end()].strip() if found else text.strip()


@gin.configurable(module="toxicity")
class HuggingFaceClassifier:
    """A text classifier of the transformers library, which has to be installed, with torch.

    It is loaded when the first text is scored.
    """

    def __init__(
        self,
        model: str = gin.REQUIRED,  # pyright: ignore[reportArgumentType]
        label: str = "toxic",
        exclusive: bool = False,
        revision: str | None = None,
        device: str | None = None,
        batch_size: int = 32,
    ):
        """Keeps the arguments.

        Args:
          model: name on the hub, or folder.
          label: whose probability counts.
          exclusive: a text has exactly one of the labels (softmax); else each for itself (sigmoid).
          revision: of the model on the hub.
          device: as torch writes it; None lets the library choose.
          batch_size: texts in a batch.

        Raises:
          ConfigError: transformers or torch is not installed.
        """
        for package in ("transformers", "torch"):
            if importlib.util.find_spec(package) is None:
                raise ConfigError(
                    f"toxicity.HuggingFaceClassifier needs {package}: pip install {package}"
                )
        self._model, self._label, self._exclusive = model, label, exclusive
        self._revision, self._device, self._batch_size = revision, device, batch_size
        self.name = f"{model}@{revision or 'default'}/{label}/{exclusive}"

    def __call__(self, texts: Sequence[str]) -> list[float]:
        """Returns the probability of the label for each text.

        Raises:
          NotFoundError: the model has no such label; the nearest are named.
        """
        classify = _pipeline(self._model, self._revision, self._device, self._exclusive)
        labels = list(classify.model.config.id2label.values())
        if self._label not in labels:
            raise NotFoundError(
                f"The classifier {self._model!r} has no label {self._label!r}, but {labels}."
                f"{suggest(self._label, labels)} Bind toxicity.HuggingFaceClassifier.label."
            )
        found = classify(list(texts), batch_size=self._batch_size)
        return [{each["label"]: each["score"] for each in scores}[self._label] for scores in found]


@functools.cache
def _pipeline(model: str, revision: str | None, device: str | None, exclusive: bool) -> Any:
    """The classifier, loaded once: gin makes a new scorer wherever one is referred to."""
    import transformers  # pyright: ignore[reportMissingImports]

    return transformers.pipeline(
        "text-classification",
        model=model,
        revision=revision,
        device=device,
        trust_remote_code=False,
        top_k=None,
        truncation=True,
        function_to_apply="softmax" if exclusive else "sigmoid",
    )
