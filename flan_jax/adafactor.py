"""Adafactor (Shazeer & Stern, arXiv:1804.04235) with T5X's semantics, as an optax transformation.

Order of operations for each parameter array at optimizer step s (counted from 0):

 1. all gradients are scaled to a global norm of at most `global_norm_clip_threshold`
 2. decay = 1 - (s - step_offset + 1) ** -decay_rate, so the first step forgets everything
 3. g2 = g * g + epsilon1; second moment: row and column means of g2 (factored) or g2 itself
 4. y = g / sqrt(second moment)
 5. y is divided by max(1, RMS(y) / clipping_threshold)
 6. step = learning rate * max(RMS(param), epsilon2) * y
 7. m = beta1 * m + (1 - beta1) * step replaces the step: momentum of the scaled step
 8. param = (1 - decay_rate_of_weights) * param - step, decay not scaled by RMS(param)

Which dimensions are averaged comes from the logical axis names of the parameter:

* Arrays of at most two dimensions without a BATCH axis ignore their names. The two dimensions are
  factored when both have at least `min_dim_size_to_factor` entries.
* All other arrays follow `logical_factor_rules` whatever their size: ROW and COLUMN axes are the
  two sides of the factored matrix (several axes may form one side, as heads and kv do), and BATCH
  axes, such as the `layers` of a scanned stack, hold independent arrays: every mean, clip and scale
  of steps 3 to 6 is taken inside each. Without both a ROW and a COLUMN axis nothing is factored.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.struct
import gin
import jax
import jax.numpy as jnp
import numpy as np
import optax

from flan_jax import errors
from flan_jax.axes import Axes, PyTree

ROW, COLUMN, BATCH, NONE = "ROW", "COLUMN", "BATCH", "NONE"
_RULE_NAMES = {
    "row": ROW,
    "col": COLUMN,
    "column": COLUMN,
    "batch": BATCH,
    "none": NONE,
    "unfactorized": NONE,
}

LearningRateFn = Callable[[jax.Array], jax.Array]


class ScheduledTransformation(optax.GradientTransformation):
    """An optax transformation that includes its learning rate and can tell it.

    Attributes:
        learning_rate_fn: int32 step -> float32 learning rate of the update made at that step.
    """

    learning_rate_fn: LearningRateFn

    def __new__(
        cls, init: Callable[..., Any], update: Callable[..., Any], learning_rate_fn: LearningRateFn
    ) -> "ScheduledTransformation":
        """Wraps optax's pair of functions."""
        self = super().__new__(cls, init, update)
        self.learning_rate_fn = learning_rate_fn
        return self


@flax.struct.dataclass
class AdafactorSlots:
    """State of one parameter, float32. A slot that is not used is `zeros((1,))`.

    Attributes:
        v_row: mean of squared gradients over the column dimensions; the row dimensions remain.
        v_col: mean over the row dimensions; the column dimensions remain.
        v: squared-gradient average of an array that is not factored, in the parameter's shape.
        m: momentum in the parameter's shape, in `dtype_momentum`.
    """

    v_row: Any
    v_col: Any
    v: Any
    m: Any


@flax.struct.dataclass
class AdafactorState:
    """`step` (int32, updates done so far) and the parameter tree with `AdafactorSlots` leaves."""

    step: Any
    param_states: Any


class FactorPlan(NamedTuple):
    """How one array is treated: which dimensions are averaged, and the two factored sides."""

    averaged: tuple[int, ...]
    row: tuple[int, ...]
    column: tuple[int, ...]

    @property
    def factored(self) -> bool:
        """Whether row and column means replace the full second moment."""
        return bool(self.row)


@gin.configurable(module="adafactor")
def standard_logical_factor_rules() -> dict[str, str]:
    """Logical axis name -> ROW, COLUMN, BATCH or NONE, as T5X maps them."""
    return {
        "vocab": COLUMN,
        "embed": ROW,
        "mlp": COLUMN,
        "mlp_activations": COLUMN,
        "heads": COLUMN,
        "multiquery_heads": COLUMN,
        "kv": COLUMN,
        "joined_kv": COLUMN,
        "joined_kv_heads": COLUMN,
        "q_wi_fused": COLUMN,
        "o_wo_fused": COLUMN,
        "kv_fused": COLUMN,
        "relpos_buckets": NONE,
        "abspos_buckets": COLUMN,
        "layer_norm_scale": NONE,
        "prompt": NONE,
        "layers": BATCH,
        "stack": BATCH,
    }


@gin.configurable(module="adafactor")
@dataclasses.dataclass(frozen=True)
class Adafactor:
    """Definition of the optimizer; field names and defaults are T5X's.

    Attributes:
        factored: keep row and column means instead of full second moments where possible.
        multiply_by_parameter_scale: make the learning rate relative to RMS(param).
        beta1: momentum; None keeps no momentum and no memory for it.
        decay_rate: exponent of the second-moment decay schedule.
        step_offset: first step of a fine-tuning phase, to restart the decay schedule there.
        clipping_threshold: largest RMS of an update before scaling; None for no clipping.
        weight_decay_rate: share of a parameter removed each step; see also the exponent.
        min_dim_size_to_factor: smaller matrices keep the full second moment.
        epsilon1: added to squared gradients.
        epsilon2: smallest parameter scale.
        dtype_momentum: storage dtype of the momentum.
        logical_factor_rules: axis name -> rule; None takes `standard_logical_factor_rules`.
        weight_decay_rate_lr_exponent: if set, the weight decay is
            (weight_decay_rate or 1) * learning_rate ** exponent.
        global_norm_clip_threshold: largest global gradient norm; None for no clipping.
        max_parameter_scale: largest parameter scale; None for no limit.
    """

    factored: bool = True
    multiply_by_parameter_scale: bool = True
    beta1: float | None = None
    decay_rate: float = 0.8
    step_offset: int = 0
    clipping_threshold: float | None = 1.0
    weight_decay_rate: float | None = None
    min_dim_size_to_factor: int = 128
    epsilon1: float = 1e-30
    epsilon2: float = 1e-3
    dtype_momentum: Any = "float32"
    logical_factor_rules: Mapping[str, str | None] | None = None
    weight_decay_rate_lr_exponent: float | None = None
    global_norm_clip_threshold: float | None = None
    max_parameter_scale: float | None = None

    def make(
        self, learning_rate_fn: LearningRateFn, logical_axes: PyTree | None = None
    ) -> ScheduledTransformation:
        """Builds the transformation.

        Args:
            learning_rate_fn: int32 step -> float32 learning rate.
            logical_axes: axes tree of the parameters (see `flan_jax.axes`). None uses no names, so
                parameters of more than two dimensions are refused.

        Raises:
            ConfigError: an axis name has no rule, or an array of more than two dimensions no names.
        """

        def init(params: PyTree) -> AdafactorState:
            plans, treedef = self._plans(params, logical_axes)
            flat = jax.tree.leaves(params)
            slots = [self._init_slots(p, plan) for p, plan in zip(flat, plans, strict=True)]
            return AdafactorState(jnp.zeros((), jnp.int32), treedef.unflatten(slots))

        def update(
            grads: PyTree, state: AdafactorState, params: PyTree
        ) -> tuple[PyTree, AdafactorState]:
            plans, treedef = self._plans(params, logical_axes)
            grads = clip_by_global_norm(grads, self.global_norm_clip_threshold)
            learning_rate = jnp.asarray(learning_rate_fn(state.step), jnp.float32)
            updates, slots = [], []
            for plan, param, grad, slot in zip(
                plans,
                jax.tree.leaves(params),
                treedef.flatten_up_to(grads),
                treedef.flatten_up_to(state.param_states),
                strict=True,
            ):
                change, new_slot = self._update_one(
                    plan, param, grad, slot, state.step, learning_rate
                )
                updates.append(change)
                slots.append(new_slot)
            new_state = AdafactorState(state.step + 1, treedef.unflatten(slots))
            return treedef.unflatten(updates), new_state

        return ScheduledTransformation(init, update, learning_rate_fn)

    def state_logical_axes(self, abstract_params: PyTree, logical_axes: PyTree) -> AdafactorState:
        """The axes tree of the optimizer state: each slot keeps the names of its dimensions.

        Args:
            abstract_params: tree of arrays or ShapeDtypeStructs.
            logical_axes: axes tree of the same structure.
        """
        plans, treedef = self._plans(abstract_params, logical_axes)

        def keep(axes: Axes, dropped: tuple[int, ...]) -> Axes:
            return tuple(name for i, name in enumerate(axes) if i not in dropped)

        unused: Axes = (None,)
        slots = [
            AdafactorSlots(
                v_row=keep(axes, plan.column) if plan.factored else unused,
                v_col=keep(axes, plan.row) if plan.factored else unused,
                v=unused if plan.factored else axes,
                m=axes if self.beta1 is not None else unused,
            )
            for plan, axes in zip(plans, treedef.flatten_up_to(logical_axes), strict=True)
        ]
        return AdafactorState((), treedef.unflatten(slots))

    def factor_plan(self, path: str, shape: tuple[int, ...], axes: Axes | None) -> FactorPlan:
        """Which dimensions of one parameter are averaged and factored.

        Args:
            path: '/'-joined name, for messages.
            shape: the parameter's shape.
            axes: its logical axis names, or None.

        Raises:
            ConfigError: see `make`.
        """
        everything = tuple(range(len(shape)))
        kinds = () if axes is None else self._kinds(path, shape, axes)
        if not self.factored:
            # T5X reads no rules here and so clips and scales a whole stack at once; we keep layers
            # apart, so that a stacked model makes the same updates as an unstacked one.
            return FactorPlan(
                tuple(i for i in everything if axes is None or kinds[i] != BATCH), (), ()
            )
        if len(shape) <= 2 and BATCH not in kinds:
            # np.argsort is stable on two entries: equal sizes make dimension 0 the row.
            order = [int(i) for i in np.argsort(shape)]
            if len(shape) < 2 or shape[order[0]] < self.min_dim_size_to_factor:
                return FactorPlan(everything, (), ())
            return FactorPlan(everything, (order[0],), (order[1],))
        if axes is None:
            raise errors.ConfigError(
                f"Parameter {path} has shape {shape}: with more than two dimensions Adafactor "
                "needs logical axis names to know what to factor. Create it with "
                "nn.with_logical_partitioning, or set adafactor.Adafactor.factored = False."
            )
        row, column, batch = (
            tuple(i for i, kind in enumerate(kinds) if kind == wanted)
            for wanted in (ROW, COLUMN, BATCH)
        )
        averaged = tuple(i for i in everything if i not in batch)
        if not row or not column:
            return FactorPlan(averaged, (), ())
        if NONE in kinds:
            raise errors.ConfigError(
                f"Parameter {path} with axes {axes} has rules {kinds}: a factored array needs "
                "every axis to be ROW, COLUMN or BATCH. Change "
                "adafactor.Adafactor.logical_factor_rules."
            )
        return FactorPlan(averaged, row, column)

    def _kinds(self, path: str, shape: tuple[int, ...], axes: Axes) -> tuple[str, ...]:
        rules = self.logical_factor_rules
        if rules is None:
            rules = standard_logical_factor_rules()
        assert len(axes) == len(shape), f"{path}: shape {shape} but axes {axes}"
        kinds = []
        for name in axes:
            if name is None:
                kinds.append(NONE)
                continue
            if name not in rules:
                raise errors.ConfigError(
                    f"Axis {name!r} of parameter {path} has no Adafactor rule. Add it to "
                    "adafactor.Adafactor.logical_factor_rules as ROW, COLUMN, BATCH or NONE."
                    f"{errors.suggest(name, rules)}"
                )
            kinds.append(_rule(name, rules[name]))
        return tuple(kinds)

    def _plans(self, params: PyTree, logical_axes: PyTree | None) -> tuple[list[FactorPlan], Any]:
        flat, treedef = jax.tree_util.tree_flatten_with_path(params)
        flat_axes = (
            [None] * len(flat) if logical_axes is None else treedef.flatten_up_to(logical_axes)
        )
        plans = [
            self.factor_plan(jax.tree_util.keystr(p, simple=True, separator="/"), x.shape, axes)
            for (p, x), axes in zip(flat, flat_axes, strict=True)
        ]
        return plans, treedef

    def _init_slots(self, param: jax.Array, plan: FactorPlan) -> AdafactorSlots:
        def zeros(used: bool, dropped: tuple[int, ...] = (), dtype: Any = jnp.float32) -> jax.Array:
            shape = tuple(n for i, n in enumerate(param.shape) if i not in dropped)
            return jnp.zeros(shape, dtype) if used else jnp.zeros((1,), jnp.float32)

        return AdafactorSlots(
            v_row=zeros(plan.factored, plan.column),
            v_col=zeros(plan.factored, plan.row),
            v=zeros(not plan.factored),
            m=zeros(self.beta1 is not None, dtype=self.dtype_momentum),
        )

    def _update_one(
        self,
        plan: FactorPlan,
        param: jax.Array,
        grad: jax.Array,
        slots: AdafactorSlots,
        step: jax.Array,
        learning_rate: jax.Array,
    ) -> tuple[jax.Array, AdafactorSlots]:
        """Steps 2 to 8 of the module's list; returns the change to add to the parameter."""

        def rms(x: jax.Array) -> jax.Array:
            return jnp.sqrt(jnp.mean(jnp.square(x), axis=plan.averaged, keepdims=True))

        grad = grad.astype(jnp.float32)
        # A restarted run may count from 0 with the offset of a pretrained one; the schedule then
        # starts at its beginning instead of being a power of a negative number.
        since = jnp.maximum(step - self.step_offset, 0).astype(jnp.float32)
        keep = 1.0 - (since + 1.0) ** -self.decay_rate
        mix = 1.0 - keep
        squared = jnp.square(grad) + self.epsilon1
        if plan.factored:
            v_row = keep * slots.v_row + mix * jnp.mean(squared, axis=plan.column)
            v_col = keep * slots.v_col + mix * jnp.mean(squared, axis=plan.row)
            slots = dataclasses.replace(slots, v_row=v_row, v_col=v_col)
            row = jnp.expand_dims(v_row, plan.column)
            row_factor = (row / jnp.mean(row, axis=plan.row, keepdims=True)) ** -0.5
            y = grad * row_factor * jnp.expand_dims(v_col**-0.5, plan.row)
        else:
            v = keep * slots.v + mix * squared
            slots = dataclasses.replace(slots, v=v)
            y = grad * v**-0.5
        if self.clipping_threshold is not None:
            y = y / jnp.maximum(1.0, rms(y) / self.clipping_threshold)
        if self.multiply_by_parameter_scale:
            scale = jnp.maximum(rms(param.astype(jnp.float32)), self.epsilon2)
            if self.max_parameter_scale is not None:
                scale = jnp.minimum(scale, self.max_parameter_scale)
            change = learning_rate * scale * y
        else:
            change = learning_rate * y
        if self.beta1 is not None:
            change = self.beta1 * slots.m + (1.0 - self.beta1) * change
            slots = dataclasses.replace(slots, m=change.astype(self.dtype_momentum))
        weight_decay = self.weight_decay_rate
        if self.weight_decay_rate_lr_exponent:
            weight_decay = (weight_decay or 1.0) * learning_rate**self.weight_decay_rate_lr_exponent
        if weight_decay is not None:
            change = weight_decay * param + change
        return (-change).astype(param.dtype), slots


def clip_by_global_norm(grads: PyTree, threshold: float | None) -> PyTree:
    """Scales `grads` so that the norm over the whole tree is at most `threshold`; None: no change.

    T5X's form, which multiplies by min(1, threshold / norm) and so never divides by a zero norm.
    """
    if threshold is None:
        return grads
    scale = threshold * jnp.minimum(1.0 / threshold, 1.0 / optax.tree.norm(grads))
    return jax.tree.map(lambda g: g * scale, grads)


def _rule(axis: str, rule: str | None) -> str:
    found = _RULE_NAMES.get(str(rule).casefold())
    if found is None:
        raise errors.ConfigError(
            f"adafactor.Adafactor.logical_factor_rules maps {axis!r} to {rule!r}; expected ROW, "
            f"COLUMN, BATCH or NONE.{errors.suggest(str(rule), _RULE_NAMES)}"
        )
    return found
