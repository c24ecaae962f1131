"""What to read: the gin configurable `utils.DatasetConfig`, checked before any data is touched."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import gin

from flan_jax.errors import ConfigError, suggest

TOKEN_FEATURES = ("inputs", "targets")
# What a task may add: a whole number for each target token, how much it counts in the loss.
LOSS_WEIGHTS = "targets_loss_weights"


@gin.configurable(module="utils")
@dataclasses.dataclass(frozen=True)
class DatasetConfig:
    """One use of a seqio Task or Mixture: which rows, in which order, in which shape.

    The first nine fields are T5X's and mean the same there.

    Attributes:
      mixture_or_task_name: name in seqio's registries.
      task_feature_lengths: tokens a row, `{'inputs': L, 'targets': T}`. Longer features are
        truncated, and counted. A decoder-only model has both in a row of L + T tokens; for its
        tasks without inputs (plain text) there is no 'inputs'.
      split: split name, e.g. 'train'. Every task of a mixture must have it.
      batch_size: rows of the global batch, over all devices and hosts.
      shuffle: whether to shuffle; needs a seed.
      seed: seed of everything random in the stream. Never None: T5X's use of the clock would make
        a run unrepeatable.
      use_cached: read seqio's offline cache of the tasks.
      pack: put several examples in a row.
      module: module(s) to import, which register the task. A module's `register()` is called when
        it has one.
      packing_window: examples held back to choose from when a row is packed. Larger fills rows
        better and costs more host time; an example waits at most this many rows.
      snapshot_period: batches between snapshots of the stream. A resumed run replays at most this
        many batches where the source can be snapshot, and all of them where it cannot.
      in_memory: tokenise the whole split once at the start and keep the tokens (8 bytes a token
        at most) on the host. Reading an example then costs about a hundredth, and resuming needs
        no snapshot. For splits of up to some 100,000 rows; preprocessing steps that draw at random
        keep their first draw, as with seqio's cache.
      max_examples: train on the first so many rows of each task's split, in the source's order;
        None for all. Needs `in_memory`.
      prepared_dir: folder of `flan-jax prepare`; its examples are read in place of the tasks'
        sources, in the order of docs/order.md, which gin's `order.Settings` sets. None reads the
        sources.
      strict: a truncated target or an example with no target tokens is an error instead of a count.

    Raises:
      ConfigError: a field has a value no run could use.
    """

    mixture_or_task_name: str
    task_feature_lengths: Mapping[str, int]
    split: str
    batch_size: int
    shuffle: bool
    seed: int | None
    use_cached: bool = False
    pack: bool = False
    module: str | Sequence[str] | None = None
    packing_window: int = 256
    snapshot_period: int = 200
    in_memory: bool = False
    max_examples: int | None = None
    prepared_dir: str | None = None
    strict: bool = False

    def __post_init__(self):
        if not isinstance(self.mixture_or_task_name, str) or not self.mixture_or_task_name:
            raise ConfigError(
                "DatasetConfig.mixture_or_task_name must be the name of a seqio Task or Mixture, "
                f"found {self.mixture_or_task_name!r}. Set --gin.MIXTURE_OR_TASK_NAME=\"'NAME'\"."
            )
        _check_lengths(self.task_feature_lengths)
        _check_positive("batch_size", self.batch_size, "the number of rows of the global batch")
        _check_positive("packing_window", self.packing_window, "a number of examples")
        _check_positive("snapshot_period", self.snapshot_period, "a number of batches")
        if self.max_examples is not None:
            _check_positive("max_examples", self.max_examples, "a number of rows, or None for all")
            if not self.in_memory:
                raise ConfigError(
                    f"DatasetConfig.max_examples is {self.max_examples}, which needs the rows in "
                    "memory: set in_memory = True beside it."
                )
        if self.prepared_dir is not None:
            self._check_prepared()
        if not isinstance(self.split, str) or not self.split:
            raise ConfigError(
                f"DatasetConfig.split must be a split name such as 'train', found {self.split!r}."
            )
        if self.seed is None:
            raise ConfigError(
                "DatasetConfig.seed is None, and a stream without a seed cannot be resumed or "
                "repeated. Set it to an integer, e.g. --gin.RANDOM_SEED=0."
            )
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ConfigError(
                f"DatasetConfig.seed must be an integer of 0 or more, found {self.seed!r}."
            )

    def _check_prepared(self) -> None:
        if not isinstance(self.prepared_dir, str) or not self.prepared_dir:
            raise ConfigError(
                f"DatasetConfig.prepared_dir must be a folder, found {self.prepared_dir!r}."
            )
        others = {
            "in_memory": self.in_memory,
            "max_examples": self.max_examples is not None,
            "use_cached": self.use_cached,
            "shuffle = False": not self.shuffle,
        }
        for name, is_set in others.items():
            if is_set:
                raise ConfigError(
                    f"DatasetConfig has prepared_dir and {name}, which is of rows read from their "
                    "sources; prepared examples have an order of their own. Take one of them away."
                )

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules to import before the name is looked up."""
        if self.module is None:
            return ()
        return (self.module,) if isinstance(self.module, str) else tuple(self.module)

    @property
    def input_length(self) -> int:
        """Most tokens of inputs (L); 0 for tasks without inputs."""
        return self.task_feature_lengths.get("inputs", 0)

    @property
    def target_length(self) -> int:
        """Most tokens of targets (T)."""
        return self.task_feature_lengths["targets"]

    @property
    def token_features(self) -> tuple[str, ...]:
        """The features of a task that are read: those with a length."""
        return tuple(name for name in TOKEN_FEATURES if name in self.task_feature_lengths)

    def stream_fields(self) -> dict[str, Any]:
        """The fields that decide which rows come in which order, as JSON-able values.

        `module` and `snapshot_period` are left out: they change neither.
        """
        # Only where it is used, so that runs saved before there was such a field go on.
        few = {} if self.max_examples is None else {"max_examples": self.max_examples}
        return {
            **few,
            "mixture_or_task_name": self.mixture_or_task_name,
            "inputs length": self.input_length,
            "targets length": self.target_length,
            "split": self.split,
            "batch_size": self.batch_size,
            "shuffle": bool(self.shuffle),
            "seed": self.seed,
            "use_cached": bool(self.use_cached),
            "pack": bool(self.pack),
            "in_memory": bool(self.in_memory),
            "packing_window": self.packing_window if self.pack else None,
        }


def with_lengths(
    lengths: Mapping[str, int], inputs: int | None, targets: int | None
) -> dict[str, int]:
    """Returns `lengths` with those given in their place; 0 inputs for tasks that have none."""
    given = {"inputs": inputs, "targets": targets}
    found = dict(lengths) | {name: length for name, length in given.items() if length is not None}
    if found.get("inputs") == 0:
        del found["inputs"]
    return found


def derive_seed(seed: int, *names: str | int) -> int:
    """Returns a seed in [0, 2**31) that depends on `seed` and the names, and on nothing else.

    Independent of the order in which tasks are listed, so that a task's rows do not change when
    another one joins the mixture.
    """
    text = json.dumps([seed, *names])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) >> 1


def _check_positive(field: str, value: Any, meaning: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ConfigError(f"DatasetConfig.{field} must be {meaning}, at least 1, found {value!r}.")


def _check_lengths(lengths: Any) -> None:
    example = "--gin.TASK_FEATURE_LENGTHS=\"{'inputs': 512, 'targets': 128}\""
    if not isinstance(lengths, Mapping):
        raise ConfigError(
            "DatasetConfig.task_feature_lengths must map 'inputs' and 'targets' to token counts, "
            f"found {lengths!r}. Set {example}."
        )
    if "targets" not in lengths:
        raise ConfigError(
            "DatasetConfig.task_feature_lengths has no length for targets, only for "
            f"{sorted(lengths) or 'nothing'}. Set {example}."
        )
    # Inputs may be left out, but not by a slip of the pen.
    others = sorted(set(lengths) - set(TOKEN_FEATURES))
    if others and "inputs" not in lengths:
        raise ConfigError(
            "DatasetConfig.task_feature_lengths has no length for inputs, but one for "
            f"{others[0]!r}.{suggest(others[0], TOKEN_FEATURES)} Set {example}, or for tasks "
            "without inputs 'targets' alone."
        )
    for name, length in lengths.items():
        if isinstance(length, bool) or not isinstance(length, int) or length <= 0:
            raise ConfigError(
                f"DatasetConfig.task_feature_lengths[{name!r}] must be a number of tokens, at "
                f"least 1, found {length!r}. Set {example}."
            )
