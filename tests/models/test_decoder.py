"""The decoder-only network: formulas of PaLM and LaMDA, visibility, packing, layouts, dropout."""

import dataclasses

import decoder_reference as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from flan_jax.models.decoder import DecoderOnlyTransformer
from flan_jax.models.decoder_layer import DecoderOnlyLayer
from flan_jax.models.scan import to_scanned, to_unscanned

FAMILIES = ("palm", "lamda_pt", "gpt2", "llama_3_2", "t5x_decoder")
# Every kind of position, of attention and of block, in three families.
KINDS = ("palm", "lamda_pt", "gpt2")


def rows(tokens, **features):
    return {"decoder_input_tokens": tokens, "decoder_target_tokens": tokens, **features}


@pytest.mark.parametrize("scan_layers", [False, True])
@pytest.mark.parametrize("family", ["palm", "lamda_pt"])
def test_logits_equal_the_papers_formulas(decoder, family, scan_layers, fast_jit):
    model, params = decoder(family, scan_layers=scan_layers)
    # Past the exact buckets of the relative bias; 0 is a token like any other.
    tokens = np.random.default_rng(0).integers(0, 48, (2, 40), np.int32)
    logits = fast_jit(model.logits)(params, rows(tokens))
    plain = to_unscanned(params) if scan_layers else params
    plain = jax.tree.map(lambda x: np.asarray(x, np.float64), plain)
    by_formula = {"palm": reference.palm_logits, "lamda_pt": reference.lamda_logits}[family]
    for row, tokens_T in zip(np.asarray(logits), tokens, strict=True):
        expected = by_formula(plain, tokens_T, model.config.head_dim)
        np.testing.assert_allclose(row, expected, atol=1e-4, rtol=0)
        assert np.std(expected) > 0.3


# Two examples in a row, then padding; marked positions are inputs that see each other.
SEGMENTS = np.array([1, 1, 1, 1, 2, 2, 2, 2, 2, 0])
POSITIONS = np.array([0, 1, 2, 3, 0, 1, 2, 3, 4, 0])
INPUTS = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("family", KINDS)
def test_what_a_position_sees_is_its_segments_past_and_its_prefix(
    decoder, family, bidirectional, fast_jit
):
    """Gradients with respect to the embedded tokens are zero exactly where nothing may be seen."""
    model, params = decoder(family, scan_layers=family == "gpt2")
    tokens = jnp.asarray(np.random.default_rng(1).integers(0, 48, (1, 10)), jnp.int32)
    features = {"decoder_segment_ids": SEGMENTS[None], "decoder_positions": POSITIONS[None]}
    if bidirectional:
        features["decoder_causal_attention"] = INPUTS[None]
    embedded = params["decoder"]["token_embedder"]["embedding"][tokens]

    def by_position(x_BxTxD):
        def embed(next_fun, args, kwargs, context):
            replaced = context.module.name == "token_embedder" and context.method_name == "__call__"
            return x_BxTxD if replaced else next_fun(*args, **kwargs)

        with nn.intercept_methods(embed):
            logits_BxTxV = model.module.apply(
                {"params": params}, **rows(tokens), **features, enable_dropout=False
            )
        return jnp.sum(jnp.sin(logits_BxTxV[0]), axis=-1)

    gradient_TxTxD = fast_jit(jax.jacrev(by_position))(embedded)[:, 0]
    seen = np.abs(gradient_TxTxD).max(-1) > 0
    expected = np.tril(np.ones((10, 10), bool))
    if bidirectional:
        expected |= (INPUTS[:, None] > 0) & (INPUTS[None] > 0)
    expected &= SEGMENTS[:, None] == SEGMENTS[None]
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_logits_equal_those_of_each_example_alone(decoder, family, fast_jit):
    model, params = decoder(
        family, model={"inputs_bidirectional_attention": True}, scan_layers=family == "palm"
    )
    tokens = np.random.default_rng(2).integers(0, 48, (1, 10), np.int32)
    logits = fast_jit(model.logits)
    packed = logits(
        params,
        rows(
            tokens,
            decoder_segment_ids=SEGMENTS[None],
            decoder_positions=POSITIONS[None],
            decoder_causal_attention=INPUTS[None],
        ),
    )
    alone = np.zeros((2, 10), np.int32)
    inputs = np.zeros((2, 10), np.int32)
    for i, segment in enumerate((1, 2)):
        where = segment == SEGMENTS
        alone[i, : where.sum()], inputs[i, : where.sum()] = tokens[0, where], INPUTS[where]
    plain = logits(params, rows(alone, decoder_causal_attention=inputs))
    for i, segment in enumerate((1, 2)):
        where = segment == SEGMENTS
        np.testing.assert_allclose(packed[0, where], plain[i, : where.sum()], atol=1e-5)


def test_both_layouts_agree_under_remat_with_dropout(decoder, fast_jit, key):
    """One loss and one gradient, whatever is stacked, recomputed or kept."""
    changes = {"dropout_rate": 0.3}
    model, params = decoder("llama_3_2", **changes)
    tokens = np.random.default_rng(3).integers(0, 48, (2, 7), np.int32)
    batch = rows(tokens, decoder_loss_weights=np.ones((2, 7), np.int32))

    def loss_and_gradient(model, params):
        return fast_jit(jax.value_and_grad(lambda p: model.loss_fn(p, batch, key).loss))(params)

    flat = to_unscanned(params)
    loss, gradient = loss_and_gradient(model, params)
    assert loss != fast_jit(lambda p: model.loss_fn(p, batch, None).loss)(params)
    for remat, scanned in (("full", True), ("minimal", False)):
        other, _ = decoder("llama_3_2", remat_policy=remat, scan_layers=scanned, **changes)
        found_loss, found = loss_and_gradient(other, params if scanned else flat)
        np.testing.assert_allclose(found_loss, loss, rtol=1e-5)
        found = found if scanned else to_scanned(found)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-4), found, gradient
        )


def test_parameter_names_are_t5xs(decoder):
    model, params = decoder("t5x_decoder", scan_layers=False, num_layers=1)
    names = {
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, _ in jax.tree.leaves_with_path(params)
    }
    layer = "decoder/layers_0"
    assert names == {
        "decoder/token_embedder/embedding",
        "decoder/relpos_bias/rel_embedding",
        "decoder/decoder_norm/scale",
        *(f"{layer}/self_attention/{name}/kernel" for name in ("query", "key", "value", "out")),
        *(f"{layer}/mlp/{name}/kernel" for name in ("wi_0", "wi_1", "wo")),
        f"{layer}/pre_self_attention_layer_norm/scale",
        f"{layer}/pre_mlp_layer_norm/scale",
    }
    _, params = decoder("gpt2", scan_layers=False, num_layers=1, logits_via_embedding=False)
    attention = params["decoder"]["layers_0"]["self_attention"]
    assert attention["key"]["bias"].shape == (24,) and attention["out"]["bias"].shape == (12,)
    assert set(params["decoder"]["layers_0"]["mlp"]["wi"]) == {"kernel", "bias"}
    assert params["decoder"]["position_embedder"]["embedding"].shape == (64, 12)
    assert params["decoder"]["logits_dense"]["kernel"].shape == (12, 48)
    _, params = decoder("palm", num_layers=3)
    stacked = params["decoder"]["decoder"]
    assert set(stacked) == {"layer_norm", "self_attention", "mlp"}
    assert stacked["self_attention"]["key"]["kernel"].shape == (12, 3, 6)
    _, params = decoder("llama_3_2", qkv_bias=True)
    attention = params["decoder"]["decoder"]["self_attention"]
    assert "bias" in attention["query"] and "bias" not in attention["out"]


def test_only_heads_that_can_be_shared_out_are_split(decoder):
    def axes(family, **changes):
        model, _ = decoder(family, **changes)
        return model.logical_axes()["decoder"]

    grouped = axes("llama_3_2")["decoder"]["self_attention"]
    assert grouped["query"]["kernel"] == ("embed", "layers", "joined_kv")
    assert grouped["key"]["kernel"] == ("embed", "layers", "joined_kv_heads")
    single = axes("palm", scan_layers=False)["layers_0"]["self_attention"]
    assert single["value"]["kernel"] == ("embed", "kv")
    assert single["out"]["kernel"] == ("joined_kv", "embed")
    gpt2 = axes("gpt2", scan_layers=False)
    assert gpt2["position_embedder"]["embedding"] == ("abspos_buckets", "embed")
    assert gpt2["layers_0"]["mlp"]["wi"]["bias"] == ("mlp",)
    assert gpt2["layers_0"]["mlp"]["wo"]["bias"] == ("embed",)


@pytest.mark.parametrize(
    "family", [pytest.param("palm", marks=pytest.mark.exhaustive), "gpt2", "llama_3_2"]
)
def test_each_dropout_site_of_a_layer(decoder, family, key, fast_jit):
    """Dropping all of a site leaves out exactly what stands behind it."""
    cfg = dataclasses.replace(decoder(family)[0].config, dropout_rate=0.5)
    x = jax.random.normal(key, (2, 4, cfg.emb_dim))
    mask = jnp.ones((2, 1, 4, 4), bool)
    layer = DecoderOnlyLayer(cfg)
    params = nn.meta.unbox(layer.init(key, x, None, mask, None, None))
    sizes = DecoderOnlyLayer.dropout_sizes(cfg, 4)
    out = "block_out" if cfg.parallel_block else "self_out"
    assert ("mlp_hidden" in sizes) == cfg.mlp_dropout and out in sizes
    keep = {site: jnp.ones((2, size), bool) for site, size in sizes.items()}

    @fast_jit
    def run(keep):
        return layer.apply(params, x, keep, mask, None, None)

    def without(*sites):
        return run({site: m & (site not in sites) for site, m in keep.items()})

    np.testing.assert_array_equal(without(*sizes), x)
    if cfg.parallel_block:
        np.testing.assert_allclose(without("block_out"), x, atol=1e-6)
        inner = without("self_weights", "mlp_hidden")
        np.testing.assert_allclose(inner, x, atol=1e-6)
    else:
        np.testing.assert_allclose(without("self_weights"), without("self_out"), atol=1e-6)
    outputs = [run(keep), *(without(site) for site in sizes if site not in ("self_out",))]
    for i, one in enumerate(outputs):
        for other in outputs[:i]:
            assert np.abs(one - other).max() > 1e-3


def test_weights_of_grouped_heads_are_dropped_head_by_head(decoder, key, fast_jit):
    """One head's mask changes that head alone, though it shares its values with another."""
    cfg = dataclasses.replace(
        decoder("llama_3_2")[0].config, dropout_rate=0.5, emb_dim=24, attention_dropout=True
    )
    layer = DecoderOnlyLayer(cfg)
    x = jax.random.normal(key, (1, 4, 24))
    mask = jnp.ones((1, 1, 4, 4), bool)
    params = nn.meta.unbox(layer.init(key, x, None, mask, None, None))
    # The output projection shows the heads side by side.
    params["params"]["self_attention"]["out"]["kernel"] = jnp.eye(24)
    attention = layer.bind(params).self_attention

    @fast_jit
    def heads(keep_BxHxS):
        return attention(x, x, mask, None, keep_BxHxS).reshape(4, cfg.num_heads, cfg.head_dim)

    keep = jnp.ones((1, cfg.num_heads, 4), bool)
    whole, dropped = heads(keep), heads(keep.at[0, 2].set(False))
    changed = np.abs(whole - dropped).max((0, 2)) > 1e-4
    np.testing.assert_array_equal(changed, [False, False, True, False])


@pytest.mark.exhaustive
def test_initial_spreads(decoder, key, fast_jit):
    """Standard deviation of each kernel at the start, by family."""
    shape = {"emb_dim": 64, "head_dim": 32, "mlp_dim": 256, "num_layers": 2}

    def spread(family):
        model, _ = decoder(family, **shape)
        params = fast_jit(model.init)(key)["decoder"]
        layer = params["decoder"]
        return {
            "embedding": float(jnp.std(params["token_embedder"]["embedding"])),
            **{k: float(jnp.std(v["kernel"])) for k, v in layer["self_attention"].items()},
            **{k: float(jnp.std(v["kernel"])) for k, v in layer["mlp"].items()},
        }

    palm = spread("palm")
    assert palm["embedding"] == pytest.approx(1.0, rel=0.05)
    assert palm["query"] == pytest.approx(64**-0.5, rel=0.1)
    assert palm["out"] == pytest.approx(128**-0.5, rel=0.1)
    assert palm["wo"] == pytest.approx(256**-0.5, rel=0.1)
    t5x = spread("t5x_decoder")
    assert t5x["query"] == pytest.approx((64 * 32) ** -0.5, rel=0.1)
    gpt2 = spread("gpt2")
    assert gpt2["embedding"] == pytest.approx(0.02, rel=0.05)
    assert gpt2["query"] == pytest.approx(0.02, rel=0.1)
    assert gpt2["out"] == pytest.approx(0.01, rel=0.1)  # 2 layers, 4 blocks
    assert gpt2["wo"] == pytest.approx(0.01, rel=0.1)


def test_bfloat16_computes_in_bfloat16_and_keeps_float32_where_it_must(decoder):
    model, params = decoder("palm", dtype="bfloat16", scan_layers=False)
    assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}
    tokens = np.zeros((1, 4), np.int32)
    equations = list(_equations(jax.make_jaxpr(lambda p: model.logits(p, rows(tokens)))(params)))
    for name in ("exp", "rsqrt", "cos", "sin"):
        outputs = {e.outvars[0].aval.dtype for e in equations if e.primitive.name == name}
        assert outputs == {jnp.dtype(jnp.float32)}, name
    products = [e for e in equations if e.primitive.name == "dot_general"]
    full = [e for e in products if e.invars[0].aval.dtype == jnp.float32]
    assert len(full) == 1, "only the projection to logits multiplies in float32"
    hidden = jax.eval_shape(
        lambda p: model.module.apply(
            {"params": p}, **rows(tokens), enable_dropout=False, return_hidden=True
        ),
        params,
    )
    assert hidden.dtype == jnp.bfloat16


def _equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            if hasattr(value, "jaxpr"):
                yield from _equations(getattr(value, "jaxpr", value))


def test_packed_rows_need_positions(decoder):
    model, params = decoder("gpt2")
    with pytest.raises(AssertionError, match="decoder_positions"):
        jax.eval_shape(
            lambda: model.logits(
                params, rows(np.zeros((1, 10), np.int32), decoder_segment_ids=SEGMENTS[None])
            )
        )


def test_call_signature_is_t5xs():
    import inspect

    names = list(inspect.signature(DecoderOnlyTransformer.__call__).parameters)
    assert names[1:6] == [
        "decoder_input_tokens",
        "decoder_target_tokens",
        "decoder_segment_ids",
        "decoder_positions",
        "decoder_causal_attention",
    ]
