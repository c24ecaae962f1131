"""The training state: a pytree of arrays that one jitted step maps to the next."""

from collections.abc import Callable
from typing import Any, Protocol

import flax.struct
import jax
import jax.numpy as jnp
import optax

from flan_jax.axes import PyTree
from flan_jax.optimizers import OptimizerDef


@flax.struct.dataclass
class TrainState:
    """What a checkpoint holds of the model.

    Attributes:
        step: int32 scalar, optimizer steps done so far.
        params: plain nested dict of float32 arrays: those that are trained.
        opt_state: the optimizer's state.
    """

    step: Any
    params: Any
    opt_state: Any


# Takes a part of a parameter tree, such as `trainable.Selection.trained`.
Keep = Callable[[PyTree], PyTree]


class Initializable(Protocol):
    """What this module needs of a model."""

    def init(self, rng: jax.Array) -> PyTree:
        """Fresh parameters."""
        ...


def init_state(
    model: Initializable,
    tx: optax.GradientTransformation,
    seed: int,
    shardings: TrainState | None = None,
    keep: Keep = lambda params: params,
) -> TrainState:
    """A fresh state at step 0, the same for the same seed on any mesh.

    Args:
        model: its `init` makes the parameters.
        tx: the optimizer.
        seed: of the initial parameters.
        shardings: a TrainState of shardings; every array is then created in place, so a model
            larger than one device can be initialised. None: the default device.
        keep: takes the trained part of the parameters. Others are never made: nothing reads them,
            so the compiler leaves them out.
    """

    def init() -> TrainState:
        return _init(model, tx, jax.random.key(seed), keep)

    return jax.jit(init, out_shardings=shardings)()


def abstract_state(
    model: Initializable,
    tx: optax.GradientTransformation,
    keep: Keep = lambda params: params,
) -> TrainState:
    """The state as ShapeDtypeStructs: no memory, no computation."""
    return jax.eval_shape(lambda: _init(model, tx, jax.random.key(0), keep))


def state_logical_axes(
    abstract: TrainState, logical_axes: PyTree, optimizer_def: OptimizerDef
) -> TrainState:
    """Logical axis names of every array of the state.

    Args:
        abstract: from `abstract_state`.
        logical_axes: axes tree of the trained parameters (see `flan_jax.axes`).
        optimizer_def: the definition that made the optimizer.
    """
    opt_axes = optimizer_def.state_logical_axes(abstract.params, logical_axes)
    return TrainState(step=(), params=logical_axes, opt_state=opt_axes)


def _init(
    model: Initializable, tx: optax.GradientTransformation, key: jax.Array, keep: Keep
) -> TrainState:
    params = keep(model.init(key))
    return TrainState(jnp.zeros((), jnp.int32), params, tx.init(params))
