"""Settings of how a run is carried out, which change nothing of what it computes.

They may differ when a run is resumed.
"""

import dataclasses

import gin

from flan_jax.profiling import check_steps


@gin.configurable(module="runtime")
@dataclasses.dataclass(frozen=True)
class Runtime:
    """How a run is carried out.

    Attributes:
      compile_cache: where compiled programs are kept: 'auto', 'off' or a directory; see
        `compiling.use_cache`.
      compile_ahead: compile what evaluations need in a thread while training goes on. None does so
        on TPU and GPU; on CPU it would slow the steps down.
      compile_only: compile all programs, which fills the cache, and stop.
      nan_replay_steps: when the loss is not finite, how many steps since the last checkpoint may be
        done again to name the layer; 0 for none.
      profile_steps: (first, last) step traced into MODEL_DIR/profile, from 1; None traces none.
    """

    compile_cache: str = "auto"
    compile_ahead: bool | None = None
    compile_only: bool = False
    profile_steps: tuple[int, int] | None = None
    nan_replay_steps: int = 1000

    def __post_init__(self):
        if self.profile_steps is not None:
            check_steps(self.profile_steps)
