"""Writes t5_1_0.npz and t5_1_1.npz: logits and loss of Hugging Face's T5 on random weights.

Run from the repository root, with torch and transformers installed:

    python tests/golden/make_t5_golden.py

Each file holds the configuration, the weights under their Hugging Face names, the tokens, and what
transformers computed from them, all in float32. `tests/models/test_hf_t5.py` compares our model
with the files, and (marker `parity`) with a fresh run of `run_hugging_face` on other seeds.
"""

import json
import pathlib

import numpy as np

FOLDER = pathlib.Path(__file__).parent

# Lengths above 128 reach the last bucket of the relative bias; heads do not divide the width.
COMMON = {
    "vocab_size": 32,
    "d_model": 16,
    "d_kv": 6,
    "num_heads": 3,
    "d_ff": 24,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "dropout_rate": 0.1,
    "decoder_start_token_id": 0,
}
CASES = {
    "t5_1_0": {**COMMON, "feed_forward_proj": "relu", "tie_word_embeddings": True},
    "t5_1_1": {**COMMON, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
}


def make_tokens(seed: int, lengths=((150, 130), (90, 140))) -> dict[str, np.ndarray]:
    """Encoder and target tokens int32, one row for each (input length, target length)."""
    rng = np.random.default_rng(seed)
    longest = np.max(lengths, axis=0)
    names = ("encoder_input_tokens", "decoder_target_tokens")
    tokens = {}
    for column, name in enumerate(names):
        rows = np.zeros((len(lengths), longest[column]), np.int32)
        for row, pair in zip(rows, lengths, strict=True):
            row[: pair[column]] = rng.integers(2, COMMON["vocab_size"], pair[column])
        tokens[name] = rows
    return tokens


def run_hugging_face(fields: dict, tokens: dict[str, np.ndarray], seed: int) -> dict:
    """Weights, logits BxTxV and mean token loss of a randomly initialised T5 in eval mode."""
    import torch
    import transformers

    torch.manual_seed(seed)
    model = transformers.T5ForConditionalGeneration(transformers.T5Config(**fields)).eval()
    if not fields["tie_word_embeddings"]:
        # transformers 5 ties the table of a fresh model always; the released 1.1 models do not.
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    with torch.no_grad():
        for parameter in model.parameters():
            # Norm scales start at 1 and the relative bias small: move all, so each one matters.
            parameter.add_(0.2 * torch.randn_like(parameter))
        targets = torch.from_numpy(tokens["decoder_target_tokens"]).long()
        inputs = torch.from_numpy(tokens["encoder_input_tokens"]).long()
        output = model(
            input_ids=inputs,
            attention_mask=(inputs > 0).long(),
            labels=targets.masked_fill(targets == 0, -100),
        )
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    return {"weights": weights, "logits": output.logits.numpy(), "loss": float(output.loss)}


def main() -> None:
    """Writes one file a case."""
    for seed, (name, fields) in enumerate(CASES.items()):
        tokens = make_tokens(seed)
        result = run_hugging_face(fields, tokens, seed)
        # The aliases of the shared table are left out: they would store it three times.
        weights = {
            f"weights/{key}": value
            for key, value in result["weights"].items()
            if "embed_tokens" not in key
        }
        np.savez_compressed(
            FOLDER / f"{name}.npz",
            config=json.dumps(fields),
            logits=result["logits"],
            loss=np.float32(result["loss"]),
            **tokens,
            **weights,
        )


if __name__ == "__main__":
    main()
