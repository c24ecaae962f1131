"""AdamW and SGD definitions beside Adafactor: same two methods, float32 moments.

A definition is a small frozen object with

    make(learning_rate_fn, logical_axes) -> ScheduledTransformation
    state_logical_axes(abstract_params, logical_axes) -> axes tree like the optimizer state
"""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, Protocol

import flax.struct
import gin
import jax
import jax.numpy as jnp
import optax

from flan_jax import errors
from flan_jax.adafactor import LearningRateFn, ScheduledTransformation, clip_by_global_norm
from flan_jax.axes import PyTree, map_axes

# Axis names under which independent arrays are stacked; they do not make a vector a matrix.
_STACK_AXES = ("layers", "stack")


class OptimizerDef(Protocol):
    """What the trainer needs of an optimizer definition."""

    def make(
        self, learning_rate_fn: LearningRateFn, logical_axes: PyTree | None = None
    ) -> ScheduledTransformation:
        """Builds the transformation; see `Adafactor.make`."""
        ...

    def state_logical_axes(self, abstract_params: PyTree, logical_axes: PyTree) -> Any:
        """Axes tree of the state `make(...).init` returns."""
        ...


@flax.struct.dataclass
class AdamWState:
    """`step` (int32) and the first and second moments, float32, in the parameters' shapes."""

    step: Any
    mu: Any
    nu: Any


@flax.struct.dataclass
class SGDState:
    """`step` (int32) and the momentum, float32; None without momentum."""

    step: Any
    momentum: Any


@gin.configurable(module="optimizers")
@dataclasses.dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter, arXiv:1711.05101).

    param -= learning_rate * (mu_hat / (sqrt(nu_hat) + eps) + weight_decay * param)

    Attributes:
        b1: decay of the first moment.
        b2: decay of the second moment.
        eps: added to the root of the second moment.
        weight_decay: share of learning_rate * param removed each step.
        no_decay: regular expressions searched in '/'-joined parameter names; matching parameters
            are not decayed. None leaves out vectors (norm scales, biases), whatever their name.
        global_norm_clip_threshold: largest global gradient norm; None for no clipping.
    """

    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    no_decay: Sequence[str] | None = None
    global_norm_clip_threshold: float | None = None

    def make(
        self, learning_rate_fn: LearningRateFn, logical_axes: PyTree | None = None
    ) -> ScheduledTransformation:
        """Builds the transformation; `logical_axes` only serve to recognise stacked vectors.

        Raises:
            ConfigError: at init, a pattern of `no_decay` matches no parameter.
        """
        adam = optax.scale_by_adam(self.b1, self.b2, self.eps, mu_dtype=jnp.float32)

        def init(params: PyTree) -> AdamWState:
            self.decay_mask(params, logical_axes)
            inner: Any = adam.init(_float32(params))
            return AdamWState(inner.count, inner.mu, inner.nu)

        def update(grads: PyTree, state: AdamWState, params: PyTree) -> tuple[PyTree, AdamWState]:
            grads = clip_by_global_norm(_float32(grads), self.global_norm_clip_threshold)
            inner: Any = optax.ScaleByAdamState(state.step, state.mu, state.nu)
            directions, inner = adam.update(grads, inner)
            learning_rate = jnp.asarray(learning_rate_fn(state.step), jnp.float32)

            def change(direction: jax.Array, param: jax.Array, decay: bool) -> jax.Array:
                if decay and self.weight_decay:
                    direction = direction + self.weight_decay * param
                return (-learning_rate * direction).astype(param.dtype)

            mask = self.decay_mask(params, logical_axes)
            updates = jax.tree.map(change, directions, params, mask)
            return updates, AdamWState(inner.count, inner.mu, inner.nu)

        return ScheduledTransformation(init, update, learning_rate_fn)

    def state_logical_axes(self, abstract_params: PyTree, logical_axes: PyTree) -> AdamWState:
        """Both moments are laid out like the parameters."""
        del abstract_params
        return AdamWState((), logical_axes, logical_axes)

    def decay_mask(self, params: PyTree, logical_axes: PyTree | None) -> PyTree:
        """Tree of bools like `params`: True where weight decay applies.

        Raises:
            ConfigError: a pattern of `no_decay` matches no parameter or does not compile.
        """
        if self.no_decay is not None:
            return self._mask_by_name(params)
        if logical_axes is None:
            return jax.tree.map(lambda p: len(p.shape) > 1, params)
        return map_axes(
            lambda axes, _: sum(name not in _STACK_AXES for name in axes) > 1, logical_axes, params
        )

    def _mask_by_name(self, params: PyTree) -> PyTree:
        flat, treedef = jax.tree_util.tree_flatten_with_path(params)
        names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in flat]
        for pattern in self.no_decay or ():
            try:
                matches = any(re.search(pattern, name) for name in names)
            except re.error as error:
                raise errors.ConfigError(
                    f"optimizers.AdamW.no_decay holds {pattern!r}, which is not a regular "
                    f"expression: {error}."
                ) from error
            if not matches:
                raise errors.ConfigError(
                    f"optimizers.AdamW.no_decay holds {pattern!r}, which matches no parameter."
                    f"{errors.suggest(pattern, names)}"
                )
        return treedef.unflatten(
            [not any(re.search(p, name) for p in self.no_decay or ()) for name in names]
        )


@gin.configurable(module="optimizers")
@dataclasses.dataclass(frozen=True)
class SGD:
    """Gradient descent, with optional (Nesterov) momentum: v = momentum * v + g; param -= lr * v.

    Attributes:
        momentum: None keeps no momentum state.
        nesterov: step along momentum * v + g instead of v.
        global_norm_clip_threshold: largest global gradient norm; None for no clipping.
    """

    momentum: float | None = None
    nesterov: bool = False
    global_norm_clip_threshold: float | None = None

    def make(
        self, learning_rate_fn: LearningRateFn, logical_axes: PyTree | None = None
    ) -> ScheduledTransformation:
        """Builds the transformation; `logical_axes` is not needed."""
        del logical_axes

        def init(params: PyTree) -> SGDState:
            momentum = None
            if self.momentum is not None:
                momentum = jax.tree.map(lambda p: jnp.zeros(p.shape, jnp.float32), params)
            return SGDState(jnp.zeros((), jnp.int32), momentum)

        def update(grads: PyTree, state: SGDState, params: PyTree) -> tuple[PyTree, SGDState]:
            grads = clip_by_global_norm(_float32(grads), self.global_norm_clip_threshold)
            learning_rate = jnp.asarray(learning_rate_fn(state.step), jnp.float32)
            momentum, directions = state.momentum, grads
            if self.momentum is not None:
                momentum = jax.tree.map(lambda v, g: self.momentum * v + g, momentum, grads)
                directions = momentum
                if self.nesterov:
                    directions = jax.tree.map(lambda v, g: self.momentum * v + g, momentum, grads)
            updates = jax.tree.map(
                lambda d, p: (-learning_rate * d).astype(p.dtype), directions, params
            )
            return updates, SGDState(state.step + 1, momentum)

        return ScheduledTransformation(init, update, learning_rate_fn)

    def state_logical_axes(self, abstract_params: PyTree, logical_axes: PyTree) -> SGDState:
        """The momentum is laid out like the parameters."""
        del abstract_params
        return SGDState((), None if self.momentum is None else logical_axes)


def _float32(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda x: x.astype(jnp.float32), tree)
