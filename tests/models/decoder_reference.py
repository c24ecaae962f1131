"""PaLM and LaMDA in NumPy, written from the formulas of their papers, one row at a time."""

import math

import numpy as np


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def swish(x):
    return x / (1 + np.exp(-x))


def layer_norm(x, scale):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6) * scale


def rms_norm(x, scale):
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6) * scale


def turned(x_TxK, base=10_000.0):
    """First half with second half, pair j of position t by the angle t * base ** (-2 j / K)."""
    length, width = x_TxK.shape
    out = np.empty_like(x_TxK)
    for t in range(length):
        for j in range(width // 2):
            angle = t * base ** (-2 * j / width)
            a, b = x_TxK[t, j], x_TxK[t, j + width // 2]
            out[t, j] = a * math.cos(angle) - b * math.sin(angle)
            out[t, j + width // 2] = b * math.cos(angle) + a * math.sin(angle)
    return out


def bucket(distance):
    """Causal, 32 buckets up to a distance of 128."""
    n = max(distance, 0)
    return n if n < 16 else min(31, 16 + math.floor(math.log(n / 16) / math.log(128 / 16) * 16))


def attention_head(query_TxK, key_TxK, value_TxK, bias_TxT=0.0, scale=1.0):
    length = len(query_TxK)
    logits_TxT = query_TxK @ key_TxK.T * scale + bias_TxT
    logits_TxT[np.triu_indices(length, 1)] = -np.inf
    return softmax(logits_TxT) @ value_TxK


def palm_logits(params, tokens_T, head_dim):
    """y = x + MLP(LN(x)) + Attention(LN(x)), one head of keys and values, SwiGLU."""
    tree = params["decoder"]
    embedding = tree["token_embedder"]["embedding"]
    x = embedding[tokens_T]
    for i in range(sum(name.startswith("layers_") for name in tree)):
        layer = tree[f"layers_{i}"]
        y = layer_norm(x, layer["layer_norm"]["scale"])
        kernels = {name: node["kernel"] for name, node in layer["self_attention"].items()}
        query, value = y @ kernels["query"], y @ kernels["value"]
        key = turned(y @ kernels["key"])
        heads = [
            attention_head(turned(part), key, value, scale=head_dim**-0.5)
            for part in np.split(query, query.shape[1] // head_dim, axis=1)
        ]
        mlp = {name: node["kernel"] for name, node in layer["mlp"].items()}
        gated = swish(y @ mlp["wi_0"]) * (y @ mlp["wi_1"])
        x = x + gated @ mlp["wo"] + np.concatenate(heads, axis=1) @ kernels["out"]
    x = layer_norm(x, tree["decoder_norm"]["scale"])
    return x @ embedding.T / math.sqrt(x.shape[1])


def lamda_logits(params, tokens_T, head_dim):
    """Serial blocks, T5's relative bias without scaled logits, gated GELU."""
    tree = params["decoder"]
    embedding, table_HxR = tree["token_embedder"]["embedding"], tree["relpos_bias"]["rel_embedding"]
    x = embedding[tokens_T]
    positions = range(len(tokens_T))
    buckets_TxT = np.array([[bucket(q - k) for k in positions] for q in positions])
    for i in range(sum(name.startswith("layers_") for name in tree)):
        layer = tree[f"layers_{i}"]
        y = rms_norm(x, layer["pre_self_attention_layer_norm"]["scale"])
        kernels = {name: node["kernel"] for name, node in layer["self_attention"].items()}
        split = [
            np.split(y @ kernels[name], len(table_HxR), axis=1)
            for name in ("query", "key", "value")
        ]
        heads = [
            attention_head(q, k, v, table_R[buckets_TxT])
            for q, k, v, table_R in zip(*split, table_HxR, strict=True)
        ]
        x = x + np.concatenate(heads, axis=1) @ kernels["out"]
        y = rms_norm(x, layer["pre_mlp_layer_norm"]["scale"])
        mlp = {name: node["kernel"] for name, node in layer["mlp"].items()}
        x = x + (gelu(y @ mlp["wi_0"]) * (y @ mlp["wi_1"])) @ mlp["wo"]
    x = rms_norm(x, tree["decoder_norm"]["scale"])
    return x @ embedding.T / math.sqrt(x.shape[1])
