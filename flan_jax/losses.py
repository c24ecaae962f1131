"""Token losses in float32, as sums.

Nothing here divides: a loss is a sum and a weight, and `loss_normalizer` gives the one divisor of
a whole batch, so microbatches, devices and packed rows add up to the same figure.

Per token, with logits l, target t and log-normaliser logZ = logsumexp(l):

    cross_entropy = logZ - sum_v q_v l_v - H(q)       q is the smoothed one-hot target
    z_loss        = coefficient * logZ^2              keeps logits near normalised (PaLM, section 5)

H(q), the entropy of q, is 0 without label smoothing; subtracting it makes 0 the best value with it
(T5X's convention).
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from flan_jax import errors

Batch = Mapping[str, jax.Array]
LossFactor = float | int | str | None

NUM_REAL_TARGET_TOKENS = "NUM_REAL_TARGET_TOKENS"
NUM_TOTAL_TARGET_TOKENS = "NUM_TOTAL_TARGET_TOKENS"
AVERAGE_PER_SEQUENCE = "AVERAGE_PER_SEQUENCE"
NAMED_FACTORS = (NUM_REAL_TARGET_TOKENS, NUM_TOTAL_TARGET_TOKENS, AVERAGE_PER_SEQUENCE)


@flax.struct.dataclass
class TokenLosses:
    """Per-token values before weighting, float32 BxT each.

    Attributes:
        cross_entropy: nats, label smoothing included, z-loss not.
        z_loss: the z-loss term, already multiplied by its coefficient.
        correct: 1 where the arg-max logit (lowest index among ties) is the target.
    """

    cross_entropy: jax.Array
    z_loss: jax.Array
    correct: jax.Array


@flax.struct.dataclass
class LossSums:
    """Weighted sums over tokens, float32. Add two with `+`; divide only to show a figure.

    Attributes:
        loss: the optimised sum, cross_entropy + z_loss; scalar.
        cross_entropy: nats, label smoothing included; scalar.
        z_loss: scalar.
        correct: weight of the tokens predicted right; scalar.
        weight: sum of the loss weights; scalar.
        task_loss_K: cross_entropy of each of the K tasks; without z-loss, so that tasks compare.
        task_weight_K: weight of each task.
    """

    loss: jax.Array
    cross_entropy: jax.Array
    z_loss: jax.Array
    correct: jax.Array
    weight: jax.Array
    task_loss_K: jax.Array
    task_weight_K: jax.Array

    def __add__(self, other: "LossSums") -> "LossSums":
        return jax.tree.map(jnp.add, self, other)

    @classmethod
    def zeros(cls, num_tasks: int) -> "LossSums":
        """The neutral element of `+`."""
        scalar = jnp.zeros((), jnp.float32)
        tasks_K = jnp.zeros((num_tasks,), jnp.float32)
        return cls(scalar, scalar, scalar, scalar, scalar, tasks_K, tasks_K)


def token_losses(
    logits_BxTxV: jax.Array,
    targets_BxT: jax.Array,
    *,
    z_loss: float = 0.0,
    label_smoothing: float = 0.0,
) -> TokenLosses:
    """Cross-entropy, z-loss and correctness of each target token.

    Args:
        logits_BxTxV: any float dtype; the arithmetic is float32.
        targets_BxT: int32, in [0, V).
        z_loss: coefficient of logZ^2.
        label_smoothing: probability mass moved from the target to the V - 1 other tokens.
    """
    losses: Any = _token_losses(float(z_loss), float(label_smoothing), logits_BxTxV, targets_BxT)
    return TokenLosses(*losses)


def chunked_token_losses(
    hidden_BxTxD: jax.Array,
    targets_BxT: jax.Array,
    project: Callable[[jax.Array], jax.Array],
    *,
    chunk_size: int,
    z_loss: float = 0.0,
    label_smoothing: float = 0.0,
) -> TokenLosses:
    """`token_losses(project(hidden))` without ever holding the logits of more than one chunk.

    The backward pass recomputes each chunk's logits, which costs one more projection.

    Args:
        hidden_BxTxD: the decoder's last hidden states.
        targets_BxT: int32.
        project: maps hidden_BxCxD to logits_BxCxV for any C; it may close over parameters, whose
            gradients are summed over the chunks.
        chunk_size: target positions per chunk, C. With C >= T there is one chunk and no loop. A
            last chunk that is not full is padded and the padding dropped.
        z_loss: coefficient of logZ^2.
        label_smoothing: see `token_losses`.
    """
    length = targets_BxT.shape[1]

    def whole(hidden_BxCxD: jax.Array, targets_BxC: jax.Array) -> TokenLosses:
        return token_losses(
            project(hidden_BxCxD), targets_BxC, z_loss=z_loss, label_smoothing=label_smoothing
        )

    if chunk_size >= length:
        return whole(hidden_BxTxD, targets_BxT)
    chunks = math.ceil(length / chunk_size)

    def split(x_BxT: jax.Array) -> jax.Array:
        padding = [(0, 0), (0, chunks * chunk_size - length)] + [(0, 0)] * (x_BxT.ndim - 2)
        x_BxNxC = jnp.pad(x_BxT, padding).reshape(
            x_BxT.shape[0], chunks, chunk_size, *x_BxT.shape[2:]
        )
        return jnp.moveaxis(x_BxNxC, 1, 0)

    # Not `jax.lax.map` with a batch size: chunks must run one after another to save memory.
    step = jax.checkpoint(whole, prevent_cse=False)
    _, losses = jax.lax.scan(
        lambda carry, chunk: (carry, step(*chunk)), None, (split(hidden_BxTxD), split(targets_BxT))
    )
    return jax.tree.map(
        lambda x_NxBxC: jnp.moveaxis(x_NxBxC, 0, 1).reshape(targets_BxT.shape[0], -1)[:, :length],
        losses,
    )


def sum_losses(
    losses: TokenLosses,
    weights_BxT: jax.Array,
    task_ids_BxT: jax.Array | None = None,
    num_tasks: int = 1,
) -> LossSums:
    """Weighted sums of per-token losses.

    Args:
        losses: from `token_losses` or `chunked_token_losses`.
        weights_BxT: float32; 0 leaves a token out.
        task_ids_BxT: int32 in [0, num_tasks); None counts everything as task 0. Padding may carry
            any id because its weight is 0.
        num_tasks: K.
    """
    # Selecting first keeps an infinite loss at a padded position from becoming 0 * inf = nan.
    counted_BxT = weights_BxT != 0
    cross_entropy_BxT, z_loss_BxT, correct_BxT = (
        jnp.where(counted_BxT, x_BxT, 0.0) * weights_BxT
        for x_BxT in (losses.cross_entropy, losses.z_loss, losses.correct)
    )
    cross_entropy, z_loss = jnp.sum(cross_entropy_BxT), jnp.sum(z_loss_BxT)
    if task_ids_BxT is None:
        task_ids_BxT = jnp.zeros(weights_BxT.shape, jnp.int32)

    def by_task(x_BxT: jax.Array) -> jax.Array:
        return jax.ops.segment_sum(x_BxT.ravel(), task_ids_BxT.ravel(), num_segments=num_tasks)

    return LossSums(
        loss=cross_entropy + z_loss,
        cross_entropy=cross_entropy,
        z_loss=z_loss,
        correct=jnp.sum(correct_BxT),
        weight=jnp.sum(weights_BxT),
        task_loss_K=by_task(cross_entropy_BxT),
        task_weight_K=by_task(weights_BxT),
    )


def target_weights(batch: Batch) -> jax.Array:
    """`decoder_loss_weights` as float32 BxT, or 1 on every target that is not padding."""
    weights_BxT = batch.get("decoder_loss_weights")
    if weights_BxT is None:
        weights_BxT = batch["decoder_target_tokens"] > 0
    return jnp.asarray(weights_BxT, jnp.float32)


def loss_weights(batch: Batch, factor: LossFactor) -> jax.Array:
    """Weights of the training loss, float32 BxT.

    With AVERAGE_PER_SEQUENCE each sequence (each segment of a packed row) is scaled to a total
    weight of 1, so long and short targets count the same. With every other factor these are
    `target_weights`.
    """
    weights_BxT = target_weights(batch)
    if factor != AVERAGE_PER_SEQUENCE:
        return weights_BxT
    segment_ids_BxT = batch.get("decoder_segment_ids")
    if segment_ids_BxT is None:
        totals_BxT = jnp.broadcast_to(
            jnp.sum(weights_BxT, axis=-1, keepdims=True), weights_BxT.shape
        )
    else:
        # A row of T tokens holds at most T segments, numbered from 1; 0 is padding.
        segments = weights_BxT.shape[-1] + 1

        def row_totals(weights_T: jax.Array, ids_T: jax.Array) -> jax.Array:
            return jax.ops.segment_sum(weights_T, ids_T, num_segments=segments)[ids_T]

        totals_BxT = jax.vmap(row_totals)(weights_BxT, segment_ids_BxT)
    return jnp.where(totals_BxT > 0, weights_BxT / jnp.where(totals_BxT > 0, totals_BxT, 1.0), 0.0)


def loss_normalizer(sums: LossSums, batch: Batch, factor: LossFactor) -> jax.Array:
    """The scalar float32 by which the loss sum of a whole batch is divided.

    Args:
        sums: sums over the whole batch, made with `loss_weights(batch, factor)`.
        batch: the whole batch; only shapes are read.
        factor: a number, None (plain sum), or one of NAMED_FACTORS. For NUM_REAL_TARGET_TOKENS and
            AVERAGE_PER_SEQUENCE the divisor is the summed weight; a batch of nothing but padding
            gives 1, hence a loss of 0 rather than nan.

    Raises:
        ConfigError: `factor` is not one of these.
    """
    check_factor(factor)
    if factor is None:
        return jnp.ones((), jnp.float32)
    if factor == NUM_TOTAL_TARGET_TOKENS:
        return jnp.asarray(math.prod(batch["decoder_target_tokens"].shape), jnp.float32)
    if isinstance(factor, str):
        return jnp.where(sums.weight > 0, sums.weight, 1.0)
    return jnp.asarray(factor, jnp.float32)


def check_factor(factor: LossFactor) -> None:
    """Raises ConfigError unless `factor` is None, a positive number or one of NAMED_FACTORS."""
    if isinstance(factor, str):
        if factor not in NAMED_FACTORS:
            raise errors.ConfigError(
                f"LOSS_NORMALIZING_FACTOR is {factor!r}; expected a positive number, None or one "
                f"of {', '.join(NAMED_FACTORS)}.{errors.suggest(factor, NAMED_FACTORS)}"
            )
    elif factor is not None and not factor > 0:
        raise errors.ConfigError(
            f"LOSS_NORMALIZING_FACTOR is {factor!r}; a number must be above 0. Use None for a "
            "plain sum."
        )


def _smoothing_constants(label_smoothing: float, vocab_size: int) -> tuple[float, float, float]:
    """(probability of the target, of each other token, entropy of that distribution)."""
    on = 1.0 - label_smoothing
    off = label_smoothing / max(vocab_size - 1, 1)
    entropy = -sum(n * p * math.log(p) for n, p in ((1, on), (vocab_size - 1, off)) if p > 0)
    return on, off, entropy


def _is_target(logits_BxTxV: jax.Array, targets_BxT: jax.Array) -> jax.Array:
    # Comparing with an iota instead of gathering: elementwise work fuses into the reductions and
    # stays local when the vocabulary is sharded, and its gradient needs no scatter.
    vocab_BxTxV = jax.lax.broadcasted_iota(targets_BxT.dtype, logits_BxTxV.shape, 2)
    return vocab_BxTxV == targets_BxT[..., None]


# A hand-written gradient saves only the logits and logZ; automatic differentiation of the same
# forward pass would keep another float32 array of the size of the logits.
@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _token_losses(
    z_coefficient: float, label_smoothing: float, logits_BxTxV: jax.Array, targets_BxT: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    return _token_losses_fwd(z_coefficient, label_smoothing, logits_BxTxV, targets_BxT)[0]


def _token_losses_fwd(z_coefficient, label_smoothing, logits_BxTxV, targets_BxT):
    x_BxTxV = logits_BxTxV.astype(jnp.float32)
    vocab_size = x_BxTxV.shape[-1]
    on, off, entropy = _smoothing_constants(label_smoothing, vocab_size)
    is_target_BxTxV = _is_target(x_BxTxV, targets_BxT)
    log_z_BxT = jax.nn.logsumexp(x_BxTxV, axis=-1)
    target_BxT = jnp.sum(jnp.where(is_target_BxTxV, x_BxTxV, 0.0), axis=-1)
    expected_BxT = target_BxT
    if label_smoothing:
        expected_BxT = (on - off) * target_BxT + off * jnp.sum(x_BxTxV, axis=-1)
    # Arg-max without an index-carrying reduction, which is slow on every backend: the target wins
    # when no logit is larger and no equal one stands before it.
    vocab_BxTxV = jax.lax.broadcasted_iota(targets_BxT.dtype, x_BxTxV.shape, 2)
    beats_BxTxV = (x_BxTxV > target_BxT[..., None]) | (
        (x_BxTxV == target_BxT[..., None]) & (vocab_BxTxV < targets_BxT[..., None])
    )
    correct_BxT = 1.0 - jnp.any(beats_BxTxV, axis=-1).astype(jnp.float32)
    outputs = (
        log_z_BxT - expected_BxT - entropy,
        z_coefficient * jnp.square(log_z_BxT),
        correct_BxT,
    )
    return outputs, (logits_BxTxV, targets_BxT, log_z_BxT)


def _token_losses_bwd(z_coefficient, label_smoothing, residuals, cotangents):
    logits_BxTxV, targets_BxT, log_z_BxT = residuals
    ce_bar_BxT, z_bar_BxT, _ = cotangents
    x_BxTxV = logits_BxTxV.astype(jnp.float32)
    on, off, _ = _smoothing_constants(label_smoothing, x_BxTxV.shape[-1])
    # d logZ / d l = softmax, so both terms share one exponential.
    scale_BxT = ce_bar_BxT + z_bar_BxT * (2.0 * z_coefficient) * log_z_BxT
    softmax_BxTxV = jnp.exp(x_BxTxV - log_z_BxT[..., None])
    q_BxTxV = jnp.where(_is_target(x_BxTxV, targets_BxT), on, off)
    bar_BxTxV = scale_BxT[..., None] * softmax_BxTxV - ce_bar_BxT[..., None] * q_BxTxV
    return bar_BxTxV.astype(logits_BxTxV.dtype), None


_token_losses.defvjp(_token_losses_fwd, _token_losses_bwd)
