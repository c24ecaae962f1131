"""The attention kernels, interpreted, against XLA attention on masks and biases of each pair."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flan_jax.models import flash, flash_tiles, masks
from flan_jax.models.attention import RelativePositionBias, Source, attend

# Compiling takes nearly all the time of these tests.
_QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@dataclasses.dataclass(frozen=True)
class Case:
    """Sizes and options of one comparison; B is 2."""

    visible: str
    queries: int
    keys: int = 0
    heads: int = 2
    kv_heads: int = 0
    head_dim: int = 64
    bias: str = "none"
    dropped: bool = False
    scale: float | None = None
    dtype: str = "float32"
    max_distance: int = 128
    segments: int = 3


# The two of every run: between them all code of a tile but prefixes and open keys.
PACKED = Case("encoder", 100, bias="bidirectional", dtype="bfloat16")
GROUPED = Case("causal", 20, heads=4, kv_heads=2, head_dim=16, dropped=True, scale=16**-0.5)

WIDER = [
    Case("cross", 30, 140, dropped=True),
    Case("row", 40, head_dim=128, kv_heads=1, bias="causal", scale=128**-0.5),
    Case("prefix", 33, bias="causal"),
    Case("encoder", 130, bias="bidirectional"),
]

GRID = [
    *(
        Case(visible, 150, dtype=dtype, bias=bias, max_distance=20)
        for visible in ("encoder", "decoder", "row", "prompt", "prefix", "unpacked", "causal")
        for dtype in ("float32", "bfloat16")
        for bias in ("none", "bidirectional", "causal")
    ),
    *(Case("cross", q, s, heads=3, dropped=q == 9) for q, s in ((9, 300), (300, 9), (1, 1))),
    *(Case("row", 65, heads=8, kv_heads=g, head_dim=k) for g in (1, 2, 4) for k in (8, 80, 256)),
    # More than one tile each way, some of which are skipped, and distances beyond the bias tiles.
    *(
        Case(visible, 1100, bias="bidirectional", max_distance=distance, segments=9)
        for visible in ("encoder", "decoder", "prefix", "prompt")
        for distance in (128, 300)
    ),
    Case("causal", 1030, kv_heads=1, bias="causal", dropped=True),
    Case("cross", 600, 1100),
]


def segments(rng, length, count):
    """Sorted ids 1..count; the first row ends in padding, 0."""
    ids_BxT = np.sort(rng.integers(1, count + 1, size=(2, length)), axis=1)
    ids_BxT[0, length - length // 4 :] = 0
    return jnp.asarray(ids_BxT, jnp.int32)


def visibility(case, rng):
    """The mask that a case names; first rows have queries that see nothing."""
    own = segments(rng, case.queries, case.segments)
    marked = jnp.asarray(rng.integers(0, 2, size=own.shape), jnp.int32)
    match case.visible:
        case "encoder":
            return masks.of_tokens(own, own, own, own, aligned=True)
        case "unpacked":
            return masks.of_tokens(own, own, aligned=True)
        case "decoder":
            return masks.of_tokens(own, own, own, own, aligned=True, causal=True)
        case "cross":
            keys = segments(rng, case.keys, case.segments).at[0].set(case.segments)
            return masks.of_tokens(own, keys, own, keys)
        case "row":
            return masks.of_row(case.queries, own)
        case "prompt":
            return masks.of_row(case.queries, own, open_keys=5)
        case "prefix":
            return masks.of_row(case.queries, own, marked)
        case _:
            assert case.visible == "causal"
            return masks.of_row(case.queries)


def both(case):
    """Output and gradients of the kernels and of XLA in float32, by name."""
    rng = np.random.default_rng(0)
    S, G = case.keys or case.queries, case.kv_heads or case.heads

    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape), case.dtype)

    q, do = (normal(2, case.heads, case.queries, case.head_dim) for _ in range(2))
    k, v = (normal(2, G, S, case.head_dim) for _ in range(2))
    table = jnp.asarray(rng.normal(size=(case.heads, 8)), jnp.float32)
    visible = visibility(case, rng)
    module = RelativePositionBias(case.heads, case.bias == "bidirectional", 8, case.max_distance)
    factor = None
    if case.dropped:
        factor = jnp.asarray(rng.integers(0, 2, size=(2, case.heads, S)) * 2.0, jnp.float32)

    def bias(table, method, *args):
        variables = {"params": {"rel_embedding": table}}
        return jnp.asarray(module.apply(variables, *args, method=method))

    def kernels(q, k, v, table):
        vector = None
        if case.bias != "none":
            vector = bias(table, "by_distance", flash.bias_length(case.max_distance))[None]
        return flash.attend(q, k, v, visible, vector, factor, case.scale, interpret=True)

    def xla(q, k, v, table):
        q, k, v = (x.astype(jnp.float32) for x in (q, k, v))
        if factor is not None:
            k, v = (jnp.repeat(x, case.heads // G, axis=1) for x in (k, v))
            v = v * factor[..., None]
        array = None if case.bias == "none" else bias(table, "__call__", case.queries, S)
        return attend(q, Source(k, v, visible.array(), array), scale=case.scale)

    def run(attention):
        def outputs(q, k, v, table, do):
            out, pull = jax.vjp(attention, q, k, v, table)
            names = ("out", "q", "k", "v", "table")
            return dict(zip(names, (out, *pull(do.astype(out.dtype))), strict=True))

        return jax.jit(outputs, compiler_options=_QUICK)(q, k, v, table, do)

    return run(kernels), run(xla)


def check(case):
    ours, theirs = both(case)
    # bfloat16 has 8 bits: operands, weights and results are rounded once each.
    tolerance = 2e-2 if case.dtype == "bfloat16" else 2e-5
    for name, expected in theirs.items():
        expected = np.asarray(expected, np.float32)
        scale = max(np.abs(expected).max(), 1e-3)
        found = np.asarray(ours[name], np.float32)
        np.testing.assert_allclose(found / scale, expected / scale, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("case", [PACKED, GROUPED], ids=str)
def test_equals_attention_of_each_pair(case):
    check(case)


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", WIDER, ids=str)
def test_equals_attention_of_each_pair_in_other_forms(case):
    check(case)


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", GRID, ids=str)
def test_equals_attention_of_each_pair_on_a_grid(case):
    check(case)


@pytest.mark.exhaustive
def test_gradients_equal_finite_differences():
    rng = np.random.default_rng(3)
    own = segments(rng, 12, 2)
    visible = masks.of_tokens(own, own, own, own, aligned=True)
    q, k, v, weight = (jnp.asarray(rng.normal(size=(2, 2, 12, 16)), jnp.float32) for _ in range(4))
    bias = jnp.asarray(rng.normal(size=(1, 2, flash.bias_length(128))), jnp.float32)

    @jax.jit
    def loss(*inputs):
        q, k, v, bias = inputs
        out = flash.attend(q, k, v, visible, bias, interpret=True)
        # Rows that see nothing are left in: they are a mean of all values.
        return jnp.sum(out * weight)

    inputs = (q, k, v, bias)
    gradients = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)), compiler_options=_QUICK)(*inputs)
    for i, gradient in enumerate(gradients):
        step = jnp.asarray(rng.normal(size=gradient.shape), jnp.float32)
        ahead, behind = (
            loss(*inputs[:i], inputs[i] + sign * 1e-2 * step, *inputs[i + 1 :]) for sign in (1, -1)
        )
        expected = (ahead - behind) / 2e-2
        np.testing.assert_allclose(jnp.vdot(gradient, step), expected, rtol=5e-3, atol=5e-3)


def test_rows_that_see_nothing_run_every_tile():
    ids_BxT = np.repeat([[1, 2, 3, 4], [1, 1, 2, 0]], 128, axis=1).astype(np.int32)
    own = jnp.asarray(ids_BxT)
    blocks = flash_tiles.cut(512, 128)

    def run(visible):
        kernel = flash_tiles.Kernel(
            64, 128, 1, 1.0, visible.causal, visible.aligned, visible.open_keys, 512, 512, False
        )
        more = {"ids": (visible.query_id_BxQ[:, None], visible.key_id_BxS[:, None])}
        return flash_tiles.tiles_to_run(kernel, 2, more, blocks, blocks).reshape(2, 4, 4)

    found = run(masks.of_tokens(own, own, own, own, aligned=True))
    np.testing.assert_array_equal(found[0], np.eye(4))
    np.testing.assert_array_equal(found[1], [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [1] * 4])
    found = run(masks.of_row(512, own, open_keys=3))
    np.testing.assert_array_equal(
        found[0], [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]]
    )
    assert np.all(run(masks.of_tokens(own, own, own, own)) == 1)


def test_lengths_are_cut_into_equal_blocks():
    assert flash_tiles.cut(1024, 512) == flash_tiles.Blocks(512, 2)
    assert flash_tiles.cut(1100, 512) == flash_tiles.Blocks(384, 3)
    assert flash_tiles.cut(1, 512) == flash_tiles.Blocks(128, 1)


def test_rows_that_do_not_fit_are_known_before_they_run():
    assert flash.fits(2048, 2048, 256, jnp.bfloat16)
    assert flash.fits(4096, 4096, 128, jnp.bfloat16)
    assert not flash.fits(32768, 32768, 64, jnp.bfloat16)
