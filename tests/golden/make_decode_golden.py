"""Writes decode_hf.npz: what Hugging Face's T5 generates from weights that anyone can make again.

Run from the repository root, with torch and transformers installed:

    python tests/golden/make_decode_golden.py

Weights and inputs come from numpy seeds, so the file holds outputs only. `tests/decode` compares
our decoding with the file, and (marker `parity`) with a fresh run of this script's functions.
"""

import pathlib

import jax
import numpy as np

from flan_jax.models.encoder_decoder import EncoderDecoderModel
from flan_jax.models.t5 import T5Config, Transformer

PATH = pathlib.Path(__file__).parent / "decode_hf.npz"
T, BEAMS, VOCAB = 12, 4, 24
# (name, length penalty alpha, early stopping): Hugging Face's n**alpha.
BEAM_CASES = (
    ("plain", 0.0, False),
    ("mean", 1.0, False),
    ("long", 2.0, "never"),
    ("short", -0.5, False),
    ("first", 1.0, True),
)


def make_model(scan_layers: bool = False) -> EncoderDecoderModel:
    """A tiny T5 1.1."""
    config = T5Config(
        vocab_size=VOCAB,
        emb_dim=16,
        num_heads=2,
        num_encoder_layers=2,
        num_decoder_layers=2,
        head_dim=8,
        mlp_dim=32,
        mlp_activations=("gelu", "linear"),
        dropout_rate=0.0,
        logits_via_embedding=False,
        scan_layers=scan_layers,
    )
    return EncoderDecoderModel(Transformer(config))


def make_params(seed: int = 8) -> dict:
    """Parameters of the unscanned model; scaled so that outputs differ in tokens and length."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        names = [key.key for key in path]
        if names[-1] == "scale":
            return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        scale = {"logits_dense": 0.4, "query": 0.3, "token_embedder": 0.5}.get(names[-2], 0.5)
        weights = (scale * rng.standard_normal(leaf.shape)).astype(np.float32)
        if names[-2] == "logits_dense":
            weights[:, 1] *= 4.0  # else hardly any output would meet its end token
        return weights

    return jax.tree_util.tree_map_with_path(draw, make_model().abstract_params())


def make_inputs(seed: int = 1) -> np.ndarray:
    """Encoder tokens int32 8x10 of several lengths, padded with 0."""
    rng = np.random.default_rng(seed)
    tokens_BxL = rng.integers(2, VOCAB, (8, 10)).astype(np.int32)
    for row, length in enumerate((10, 3, 7, 1, 9, 5, 10, 4)):
        tokens_BxL[row, length - 1] = 1
        tokens_BxL[row, length:] = 0
    return tokens_BxL


def hugging_face_model(params: dict):
    """The same weights in transformers' T5ForConditionalGeneration."""
    import torch
    import transformers

    def tensor(x):
        return torch.tensor(np.asarray(x))

    def attention(weights, name):
        ours = {"q": "query", "k": "key", "v": "value", "o": "out"}
        return {f"{name}.{k}.weight": tensor(weights[v]["kernel"].T) for k, v in ours.items()}

    state = {
        "shared.weight": tensor(params["token_embedder"]["embedding"]),
        "lm_head.weight": tensor(params["decoder"]["logits_dense"]["kernel"].T),
    }
    stacks = {
        "encoder": (("SelfAttention", "attention", "pre_attention_layer_norm"),),
        "decoder": (
            ("SelfAttention", "self_attention", "pre_self_attention_layer_norm"),
            ("EncDecAttention", "encoder_decoder_attention", "pre_cross_attention_layer_norm"),
        ),
    }
    for stack, attentions in stacks.items():
        weights = params[stack]
        state[f"{stack}.embed_tokens.weight"] = state["shared.weight"]
        state[f"{stack}.final_layer_norm.weight"] = tensor(weights[f"{stack}_norm"]["scale"])
        bias = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        state[bias] = tensor(weights["relpos_bias"]["rel_embedding"].T)
        for i in range(2):
            layer, block = weights[f"layers_{i}"], f"{stack}.block.{i}.layer"
            for j, (theirs, ours, norm) in enumerate(attentions):
                state |= attention(layer[ours], f"{block}.{j}.{theirs}")
                state[f"{block}.{j}.layer_norm.weight"] = tensor(layer[norm]["scale"])
            j = len(attentions)
            for name in ("wi_0", "wi_1", "wo"):
                kernel = layer["mlp"][name]["kernel"]
                state[f"{block}.{j}.DenseReluDense.{name}.weight"] = tensor(kernel.T)
            state[f"{block}.{j}.layer_norm.weight"] = tensor(layer["pre_mlp_layer_norm"]["scale"])
    config = transformers.T5Config(
        vocab_size=VOCAB,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=2,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,  # logits not scaled; since version 5 it no longer unties
        decoder_start_token_id=0,
    )
    model = transformers.T5ForConditionalGeneration(config).eval()
    model.lm_head = torch.nn.Linear(16, VOCAB, bias=False)
    model.load_state_dict(state, strict=True)
    return model


def generate() -> dict[str, np.ndarray]:
    """Outputs of Hugging Face: greedy tokens BxT, beam tokens BxKxT and scores BxK per case."""
    import torch

    tokens_BxL = make_inputs()
    model = hugging_face_model(make_params())
    inputs = {
        "input_ids": torch.tensor(tokens_BxL, dtype=torch.long),
        "attention_mask": torch.tensor(tokens_BxL > 0),
        "max_new_tokens": T,
    }

    def padded(sequences):
        produced = np.asarray(sequences)[:, 1:].astype(np.int32)  # without the start token
        ended = np.cumsum(produced == 1, axis=1) - (produced == 1) > 0
        produced[ended] = 0  # beam search fills up with end tokens
        return np.pad(produced, ((0, 0), (0, T - produced.shape[1])))

    found = {"greedy_tokens": padded(model.generate(**inputs, do_sample=False, num_beams=1))}
    for name, alpha, early_stopping in BEAM_CASES:
        out = model.generate(
            **inputs,
            do_sample=False,
            num_beams=BEAMS,
            num_return_sequences=BEAMS,
            length_penalty=alpha,
            early_stopping=early_stopping,
            return_dict_in_generate=True,
            output_scores=True,
        )
        found[f"{name}_tokens"] = padded(out.sequences).reshape(-1, BEAMS, T)
        found[f"{name}_scores"] = np.asarray(out.sequences_scores).reshape(-1, BEAMS)
    return found


if __name__ == "__main__":
    np.savez_compressed(PATH, **generate())
    print(f"wrote {PATH.name}: {PATH.stat().st_size} bytes")
