"""Layers of all models: dense projection, norms, embedding, feed-forward block.

Letters of the array-name suffixes used in this package (also in docs/glossary.md):
B batch, L encoder length, T decoder length, Q query length, S key (source) length, D model width,
H heads, G key-value heads, K head width, J = H*K joined heads, F feed-forward width, V vocabulary,
N layers, M longest decoded length, P prefix length, R relative buckets.

Parameters are float32 and carry logical axis names; each module computes in its `dtype`. The axis
names only take effect under a mesh with logical-axis rules, without them they do nothing.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import PartitionSpec
from jax.typing import DTypeLike

from flan_jax.models import lora as lora_lib

Initializer = Callable[..., jax.Array]

# Names by which a remat policy knows the products with weights: those that read the residual
# stream, those that write to it, and an encoder's output as the decoder's layers see it.
PROJECTION = "projection"
OUT_PROJECTION = "out_projection"
SOURCE_PROJECTION = "source_projection"

# Axes of the residual stream BxLxD between blocks. Its length has a name of its own, so that rules
# can split it where the devices of a tensor-parallel group would all hold the same numbers.
STREAM_AXES = ("batch", "stream_length", "embed")

# Collection of transposed kernels, OxI, by the name of the `Dense` that takes them in place of its
# own; made by decoding, for products with few rows.
STEP_KERNELS = "step_kernels"

# Element-wise functions allowed in `mlp_activations`; `gelu` is the tanh approximation, as in T5.
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "gelu": nn.gelu,
    "gelu_exact": functools.partial(nn.gelu, approximate=False),
    "silu": nn.silu,
    "swish": nn.silu,
    "sigmoid": nn.sigmoid,
    "tanh": jnp.tanh,
    "linear": lambda x: x,
}

mlp_kernel_init = nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")


def constrain(x: jax.Array, *axes: str | None) -> jax.Array:
    """Asks the compiler to lay `x` out by logical axis names; no effect without rules and mesh.

    A dimension that the devices of its rule do not divide stays whole: a decoded position, say,
    where rows are split along their length.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or not nn.get_logical_axis_rules():
        return x
    wanted: Any = nn.logical_to_mesh_axes(axes)
    spec = []
    for size, entry in zip(x.shape, wanted, strict=True):
        names = () if entry is None else (entry,) if isinstance(entry, str) else tuple(entry)
        parts = math.prod(mesh.shape[name] for name in names)
        spec.append(names if names and size % parts == 0 else None)
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*spec))


@jax.custom_vjp
def scatter_gradient(x_BxLxD: jax.Array) -> jax.Array:
    """Returns `x`; its gradient is split along the length like the residual stream.

    For an array that every device holds whole because many layers read it: each layer's gradient is
    a sum over devices, of which a device then keeps its part instead of all of it.
    """
    return x_BxLxD


scatter_gradient.defvjp(
    lambda x_BxLxD: (x_BxLxD, None),
    lambda _, dy_BxLxD: (constrain(dy_BxLxD, *STREAM_AXES),),
)


def drop(x: jax.Array, keep: jax.Array | None, rate: float) -> jax.Array:
    """Dropout by a given mask: where `keep` is True `x / (1 - rate)`, else 0; None keeps all.

    Most masks have length 1 along the positions: every position of an example loses the same
    channels. T5 was trained so (Mesh-TensorFlow shared masks along the length), and it costs L
    times fewer random bits.
    """
    if keep is None:
        return x
    return jnp.where(keep, x / (1.0 - rate), 0)


@jax.custom_vjp
def project(x: jax.Array, kernel_IxO: jax.Array) -> jax.Array:
    """`...xI` times a float32 kernel IxO in the dtype of `x`; the kernel's gradient is float32.

    The gradient rule is written out for speed. JAX's own takes the product of the output gradient
    and `x` and transposes it, which takes twice the time of the product below on CPU, and it rounds
    a bfloat16 model's kernel gradients to bfloat16.
    """
    return jnp.dot(x, kernel_IxO.astype(x.dtype))


def _project_fwd(x: jax.Array, kernel_IxO: jax.Array) -> tuple[jax.Array, Any]:
    return project(x, kernel_IxO), (x, kernel_IxO)


def _project_bwd(saved: Any, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel_IxO = saved
    dx = jax.lax.dot_general(dy, kernel_IxO.astype(x.dtype), (((dy.ndim - 1,), (1,)), ((), ())))
    rows = tuple(range(x.ndim - 1))
    dkernel_IxO = jax.lax.dot_general(
        x, dy, ((rows, rows), ((), ())), preferred_element_type=kernel_IxO.dtype
    )
    return dx, dkernel_IxO


project.defvjp(_project_fwd, _project_bwd)


def project_rows(x: jax.Array, kernel_OxI: jax.Array) -> jax.Array:
    """What `project` computes, from the transposed kernel; for few rows, without a gradient rule.

    On CPU a product copies its right side into tiles at each call, and reads its left side as it
    lies. With weights on the left the vocabulary of T5.1.1-small takes, in CPU-ms, about 9 instead
    of 11 to 14 with 8 rows, 19 instead of 27 with 32, and no less with 128; a single row, which is
    not tiled, takes more: 4.4 instead of 3.4.
    """
    rows_NxI = x.reshape(-1, x.shape[-1])
    product_OxN = jnp.einsum("oi,ni->on", kernel_OxI.astype(x.dtype), rows_NxI)
    # Without the barrier the compiler swaps the two sides, to save transposing the small result.
    product_OxN = jax.lax.optimization_barrier(product_OxN)
    return product_OxN.T.reshape(*x.shape[:-1], kernel_OxI.shape[0])


class Dense(nn.Module):
    """Projection of the last axis by a 2-D float32 kernel, with a bias if asked for.

    Attributes:
        features: width of the output.
        kernel_axes: logical names of the two kernel axes.
        dtype: dtype of the inputs, the kernel and the output of the product.
        kernel_init: initializer of the kernel.
        lora: which kernels of the network have adapters; None for none.
        use_bias: adds a vector `bias`, 0 at the start.
        saved_as: name of the output for remat policies.
    """

    features: int
    kernel_axes: tuple[str, str]
    dtype: DTypeLike = jnp.float32
    kernel_init: Initializer = mlp_kernel_init
    lora: lora_lib.LoraConfig | None = None
    use_bias: bool = False
    saved_as: str = PROJECTION

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `...xI` to `...x features`."""
        kernel: Any = self.param(
            "kernel",
            nn.with_logical_partitioning(self.kernel_init, self.kernel_axes),
            (x.shape[-1], self.features),
            jnp.float32,
        )
        if self.has_variable(STEP_KERNELS, "kernel"):
            y = project_rows(x.astype(self.dtype), self.get_variable(STEP_KERNELS, "kernel"))
            return self._biased(y)
        x = x.astype(self.dtype)
        y = project(x, kernel)
        if self.lora is not None and self.lora.adapts("/".join((*self.path, lora_lib.KERNEL))):
            y = y + self._low_rank(x, self.lora)
        return self._biased(checkpoint_name(y, self.saved_as))

    def _biased(self, y: jax.Array) -> jax.Array:
        if not self.use_bias:
            return y
        bias_O: Any = self.param(
            "bias",
            nn.with_logical_partitioning(nn.initializers.zeros, self.kernel_axes[1:]),
            (self.features,),
            jnp.float32,
        )
        return y + bias_O.astype(y.dtype).reshape((1,) * (y.ndim - 1) + (-1,))

    def _low_rank(self, x: jax.Array, lora: lora_lib.LoraConfig) -> jax.Array:
        """What the adapter adds; its two arrays have the kernel's axes, and the rank is whole."""
        axis_in, axis_out = self.kernel_axes
        shape_a, shape_b = (x.shape[-1], lora.rank), (lora.rank, self.features)
        init_a = nn.with_logical_partitioning(lora_lib.init_a, (axis_in, None))
        init_b = nn.with_logical_partitioning(lora_lib.init_b, (None, axis_out))
        a_Ixr: Any = self.param(lora_lib.A, init_a, shape_a, jnp.float32)
        b_rxO: Any = self.param(lora_lib.B, init_b, shape_b, jnp.float32)
        if lora.dropout_rate and self.has_rng(lora_lib.RNG):
            shape = (x.shape[0], *(1 for _ in x.shape[1:-1]), x.shape[-1])
            keep = jax.random.bernoulli(self.make_rng(lora_lib.RNG), 1 - lora.dropout_rate, shape)
            x = drop(x, keep, lora.dropout_rate)
        return project(checkpoint_name(project(x, a_Ixr), PROJECTION) * lora.scale, b_rxO)


class RMSNorm(nn.Module):
    """T5's layer norm: divides by the root mean square, no mean, no bias; computed in float32."""

    epsilon: float = 1e-6
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalises the last axis of `...xD`; the result has `dtype`."""
        scale_D: Any = self.param(
            "scale",
            nn.with_logical_partitioning(nn.initializers.ones, ("embed",)),
            (x.shape[-1],),
            jnp.float32,
        )
        x = x.astype(jnp.float32)
        mean_square = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
        scale = scale_D.reshape((1,) * (x.ndim - 1) + (-1,))
        return (x * jax.lax.rsqrt(mean_square + self.epsilon) * scale).astype(self.dtype)


class LayerNorm(nn.Module):
    """Layer norm: subtracts the mean, divides by the deviation; computed in float32."""

    epsilon: float = 1e-5
    dtype: DTypeLike = jnp.float32
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalises the last axis of `...xD`; the result has `dtype`."""

        def vector(name: str, init: Initializer) -> jax.Array:
            boxed = nn.with_logical_partitioning(init, ("embed",))
            value: Any = self.param(name, boxed, (x.shape[-1],), jnp.float32)
            return value.reshape((1,) * (x.ndim - 1) + (-1,))

        centred = x.astype(jnp.float32)
        centred = centred - jnp.mean(centred, axis=-1, keepdims=True)
        variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
        scale = vector("scale", nn.initializers.ones)
        y = centred * jax.lax.rsqrt(variance + self.epsilon) * scale
        if self.use_bias:
            y = y + vector("bias", nn.initializers.zeros)
        return y.astype(self.dtype)


class Embed(nn.Module):
    """Embedding table VxD, normal at the start, optionally also the output projection.

    Attributes:
        num_embeddings: rows of the table.
        features: D.
        dtype: dtype of the looked-up rows.
        init_stddev: standard deviation of the first values.
        row_axis: logical name of the table's rows.
    """

    num_embeddings: int
    features: int
    dtype: DTypeLike = jnp.float32
    init_stddev: float = 1.0
    row_axis: str = "vocab"

    def setup(self) -> None:
        """Creates the table."""
        init = nn.initializers.normal(stddev=self.init_stddev)
        self.embedding: Any = self.param(
            "embedding",
            nn.with_logical_partitioning(init, (self.row_axis, "embed")),
            (self.num_embeddings, self.features),
            jnp.float32,
        )

    def __call__(self, tokens_BxL: jax.Array) -> jax.Array:
        """Looks up int tokens BxL, giving BxLxD in `dtype`."""
        # Rows are gathered before the cast, so the whole table is never converted.
        x_BxLxD = jnp.take(self.embedding, tokens_BxL, axis=0, mode="clip").astype(self.dtype)
        return constrain(x_BxLxD, "batch", "length", "embed")

    def attend(self, x_BxLxD: jax.Array, scaled: bool = True) -> jax.Array:
        """Returns float32 logits BxLxV of tied embeddings, if `scaled` times D**-0.5.

        T5 and PaLM, whose embeddings start with variance 1, scale them. The scale is applied to the
        hidden states: the product is the same and V/D times cheaper.
        """
        x_BxLxD = x_BxLxD.astype(jnp.float32)
        if scaled:
            x_BxLxD = x_BxLxD * self.features**-0.5
        return jnp.einsum("bld,vd->blv", x_BxLxD, self.embedding)


class MlpBlock(nn.Module):
    """Feed-forward block: the product of one or two activated projections, projected back.

    One activation (`('relu',)`) gives kernels `wi`, `wo`; two (`('gelu', 'linear')`) give the gated
    form with `wi_0`, `wi_1`, `wo`.

    Attributes:
        mlp_dim: F.
        activations: names of `ACTIVATIONS`.
        dropout_rate: of the hidden part.
        dtype: as in `Dense`.
        lora: as in `Dense`.
        use_bias: as in `Dense`.
        in_init: initializer of the kernels into the hidden part.
        out_init: initializer of `wo`.
    """

    mlp_dim: int
    activations: Sequence[str]
    dropout_rate: float
    dtype: DTypeLike = jnp.float32
    lora: lora_lib.LoraConfig | None = None
    use_bias: bool = False
    in_init: Initializer = mlp_kernel_init
    out_init: Initializer = mlp_kernel_init

    @nn.compact
    def __call__(self, x_BxLxD: jax.Array, keep_BxF: jax.Array | None = None) -> jax.Array:
        """Maps BxLxD to BxLxD; `keep_BxF` is the dropout mask of the hidden part."""
        gated = len(self.activations) > 1
        h_BxLxF = None
        for i, activation in enumerate(self.activations):
            part_BxLxF = Dense(
                self.mlp_dim,
                ("embed", "mlp"),
                self.dtype,
                self.in_init,
                self.lora,
                self.use_bias,
                name=f"wi_{i}" if gated else "wi",
            )(x_BxLxD)
            part_BxLxF = ACTIVATIONS[activation](part_BxLxF)
            h_BxLxF = part_BxLxF if h_BxLxF is None else h_BxLxF * part_BxLxF
        assert h_BxLxF is not None, "configurations refuse an empty mlp_activations"
        if keep_BxF is not None:
            h_BxLxF = drop(h_BxLxF, keep_BxF[:, None, :], self.dropout_rate)
        h_BxLxF = constrain(h_BxLxF, "batch", "length", "mlp")
        out = Dense(
            x_BxLxD.shape[-1],
            ("mlp", "embed"),
            self.dtype,
            self.out_init,
            self.lora,
            self.use_bias,
            saved_as=OUT_PROJECTION,
            name="wo",
        )
        return out(h_BxLxF)
