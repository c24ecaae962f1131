"""Writes hf_gpt2.npz and hf_llama.npz: what Hugging Face's models compute from random weights.

Run from the repository root, with torch and transformers installed:

    python tests/golden/make_decoder_golden.py

Each file holds the configuration, the weights under their Hugging Face names, tokens and their
logits, and what greedy and beam search make of prefixes of several lengths, all in float32.
`tests/models/test_decoder_hf.py` and `tests/decode/test_decode_decoder_only.py` compare ours with
the files, and (marker `parity`) with fresh runs of `run_hugging_face` on other models.
"""

import json
import pathlib

import numpy as np

FOLDER = pathlib.Path(__file__).parent
VOCAB, EOS, T, BEAMS = 24, 1, 10, 3
PREFIX_LENGTHS = (7, 1, 4, 6, 2, 7)
# (name, length penalty alpha, early stopping): Hugging Face's n**alpha.
BEAM_CASES = (("plain", 0.0, False), ("mean", 1.0, False), ("first", 1.0, True))

GPT2 = {
    "model_type": "gpt2",
    "vocab_size": VOCAB,
    "n_embd": 12,
    "n_head": 3,
    "n_layer": 2,
    "n_positions": 40,
    "bos_token_id": 2,
    "eos_token_id": EOS,
}
# The heads together, 4 of 6, are wider than the model.
LLAMA = {
    "model_type": "llama",
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "tie_word_embeddings": False,
    "bos_token_id": 2,
    "eos_token_id": EOS,
}
# Rows of 30 positions turn every pair beyond an original length of 8.
ROPE_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 100.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8,
}
CASES = {"hf_gpt2": GPT2, "hf_llama": {**LLAMA, "rope_parameters": ROPE_LLAMA3}}


def make_tokens(seed: int) -> dict[str, np.ndarray]:
    """Whole rows int32 2x30, and prefixes int32 6x7 of `PREFIX_LENGTHS`, padded with 0."""
    rng = np.random.default_rng(seed)
    prefixes = rng.integers(0, VOCAB, (len(PREFIX_LENGTHS), max(PREFIX_LENGTHS)), np.int32)
    prefixes *= np.arange(prefixes.shape[1])[None] < np.asarray(PREFIX_LENGTHS)[:, None]
    return {"tokens": rng.integers(0, VOCAB, (2, 30), np.int32), "prefixes": prefixes}


def make_model(fields: dict, seed: int):
    """A randomly initialised model in eval mode, its norm scales and biases moved too."""
    import torch
    import transformers

    torch.manual_seed(seed)
    config = transformers.AutoConfig.for_model(**fields)
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def run_hugging_face(fields: dict, seed: int) -> dict:
    """Weights, logits, and the outputs of greedy and beam search of each prefix on its own."""
    import torch

    model, data = make_model(fields, seed), make_tokens(seed)
    result: dict = {**data, "weights": {k: v.numpy() for k, v in model.state_dict().items()}}
    with torch.no_grad():
        result["logits"] = model(torch.from_numpy(data["tokens"]).long()).logits.numpy()
    common = {"max_new_tokens": T, "do_sample": False, "eos_token_id": EOS, "pad_token_id": 0}

    def outputs(**options):
        tokens, scores = [], []
        for row, length in zip(data["prefixes"], PREFIX_LENGTHS, strict=True):
            prefix = torch.from_numpy(row[None, :length]).long()
            out = model.generate(
                prefix,
                attention_mask=torch.ones_like(prefix),
                return_dict_in_generate=True,
                output_scores=True,
                **common,
                **options,
            )
            produced = out.sequences[:, length:].numpy().astype(np.int32)
            ended = np.cumsum(produced == EOS, axis=1) - (produced == EOS) > 0
            produced[ended] = 0  # beam search fills up with something else
            tokens.append(np.pad(produced, ((0, 0), (0, T - produced.shape[1]))))
            if "num_beams" in options:
                scores.append(out.sequences_scores.numpy())
        return np.stack(tokens), np.asarray(scores, np.float32)

    result["greedy_tokens"] = outputs()[0][:, 0]
    for name, alpha, early_stopping in BEAM_CASES:
        result[f"{name}_tokens"], result[f"{name}_scores"] = outputs(
            num_beams=BEAMS,
            num_return_sequences=BEAMS,
            length_penalty=alpha,
            early_stopping=early_stopping,
        )
    return result


def read(name: str) -> tuple[dict, dict]:
    """Configuration and content of a committed file, `weights` as a dict."""
    with np.load(FOLDER / f"{name}.npz") as file:
        arrays = dict(file)
    config = json.loads(str(arrays.pop("config")))
    weights = {key[8:]: arrays.pop(key) for key in list(arrays) if key.startswith("weights/")}
    return config, {**arrays, "weights": weights}


def main() -> None:
    """Writes one file a case."""
    for seed, (name, fields) in enumerate(CASES.items()):
        result = run_hugging_face(fields, seed)
        weights = {f"weights/{key}": value for key, value in result.pop("weights").items()}
        if name == "hf_gpt2":
            del weights["weights/lm_head.weight"]  # the embedding once more
        np.savez_compressed(FOLDER / f"{name}.npz", config=json.dumps(fields), **result, **weights)


if __name__ == "__main__":
    main()
