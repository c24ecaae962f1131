"""Settings of saving and restoring."""

import dataclasses
from collections.abc import Callable

import gin
from etils import epath

from flan_jax.checkpoint_params import find_checkpoint
from flan_jax.errors import CheckpointError, ConfigError, NotFoundError, suggest
from flan_jax.interop import carry


@gin.configurable(module="utils")
@dataclasses.dataclass(frozen=True)
class SaveCheckpointConfig:
    """When to save and what to keep.

    Attributes:
      period: save every so many steps; None for no saving by steps.
      keep: how many of the newest checkpoints to keep, at least 2: with one, a damaged file or a
        kill during the next save would lose the run.
      keep_period: also keep every checkpoint whose step is a multiple of this, for good.
      time_period_s: also save when this many seconds have passed since the last save.
      checksums: whether the manifest has checksums besides sizes; costs one reading of each file
        after writing, in the background, and one before restoring.
      retries: how often a failed write is tried again, training going on meanwhile; each time with
        the state there is then. After that the run ends with exit code 9.
      retry_wait_s: seconds before the first of these tries, doubled for each next one.
      timeout_s: seconds that a write may take once the run has to wait for it.
    """

    period: int | None = 1000
    keep: int = 3
    keep_period: int | None = None
    time_period_s: float | None = None
    checksums: bool = True
    retries: int = 3
    retry_wait_s: float = 10.0
    timeout_s: float = 1800.0

    def __post_init__(self):
        if not isinstance(self.keep, int) or self.keep < 2:
            raise ConfigError(
                f"SaveCheckpointConfig.keep is {self.keep!r}: at least 2 checkpoints are kept, so "
                "that a damaged one does not end the run. Set keep = 2 or more."
            )
        if self.retries < 0 or self.retry_wait_s < 0:
            raise ConfigError(
                "SaveCheckpointConfig.retries and retry_wait_s are at least 0; they are "
                f"{self.retries!r} and {self.retry_wait_s!r}."
            )
        for name in ("period", "keep_period", "time_period_s", "timeout_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(
                    f"SaveCheckpointConfig.{name} must be above 0, or None for off: {value!r}."
                )
        if self.period and self.keep_period and self.keep_period % self.period:
            raise ConfigError(
                f"SaveCheckpointConfig.keep_period={self.keep_period} is not a multiple of "
                f"period={self.period}, so there would seldom be such a checkpoint. Nearest: "
                f"{max(1, round(self.keep_period / self.period)) * self.period}."
            )


@gin.configurable(module="utils")
@dataclasses.dataclass(frozen=True)
class RestoreCheckpointConfig:
    """Which checkpoint a run starts from.

    What lies at `path` is told by its files: a checkpoint of ours, of T5X (either format), or a
    Hugging Face directory. Only parameters are taken; each one that is not simply read gets a line.

    Attributes:
      path: a MODEL_DIR of ours or T5X's, one of its `checkpoint_<step>` directories, or a Hugging
        Face directory; None to start afresh.
      mode: 'latest' takes the newest whole checkpoint in `path`; 'specific' takes `path` itself.
      strict: whether the checkpoint must have exactly the model's parameters. If not, parameters
        it lacks keep their initial values and those it has besides are left; shapes must agree.
      base_path: where the base of a checkpoint that holds only trained parameters lies now, if it
        was moved: its directory or the one that is in.
      grow_vocabulary: what new tokens start from where the model has more than the checkpoint:
        'mean' of all tokens or 'init', their initial values. None refuses.
    """

    path: str | None = None
    mode: str = "latest"
    strict: bool = True
    base_path: str | None = None
    grow_vocabulary: str | None = None

    def __post_init__(self):
        carry.check_growth(self.grow_vocabulary)
        modes = ("latest", "specific")
        if self.mode not in modes:
            raise NotFoundError(
                f"RestoreCheckpointConfig.mode is {self.mode!r}; it is one of "
                f"{', '.join(map(repr, modes))}." + suggest(str(self.mode), modes)
            )

    def find(self, say: Callable[[str], None] = print) -> epath.Path | None:
        """Returns the checkpoint directory meant; raises CheckpointError as `find_checkpoint`."""
        if self.path is None:
            return None
        directory = find_checkpoint(self.path, say=say)
        if self.mode == "specific" and directory != epath.Path(self.path):
            raise CheckpointError(
                f"{self.path} is not one checkpoint but a directory of them. With "
                f"mode='specific' give one, such as {directory}; or set mode='latest'."
            )
        return directory


@gin.configurable(module="utils")
@dataclasses.dataclass(frozen=True)
class CheckpointConfig:
    """Saving and restoring; `None` turns either off.

    Attributes:
      save: when to save and what to keep.
      restore: where the run starts if MODEL_DIR has no checkpoint of its own.
    """

    save: SaveCheckpointConfig | None = dataclasses.field(default_factory=SaveCheckpointConfig)
    restore: RestoreCheckpointConfig | None = None
