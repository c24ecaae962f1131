"""Checkpoints of Hugging Face for tests, written without what is under test."""

import json
import pathlib

import numpy as np
import safetensors.numpy

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


def write_hugging_face(
    folder: pathlib.Path, fields: dict, weights: dict, shards: int = 1
) -> pathlib.Path:
    """Writes config.json and safetensors with the safetensors package."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(fields))
    weights = {name: np.ascontiguousarray(array) for name, array in weights.items()}
    if shards == 1:
        safetensors.numpy.save_file(weights, folder / "model.safetensors")
        return folder
    weight_map = {}
    for number in range(shards):
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        some = {name: weights[name] for name in sorted(weights)[number::shards]}
        safetensors.numpy.save_file(some, folder / file)
        weight_map |= dict.fromkeys(some, file)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def golden(name: str) -> tuple[dict, dict, dict]:
    """config.json, weights and (tokens and logits of transformers) of a committed file."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        arrays = dict(file)
    weights = {key[8:]: value for key, value in arrays.items() if key.startswith("weights/")}
    fields = json.loads(str(arrays["config"]))
    return {"model_type": "t5", **fields}, weights, arrays


def batch_file(path: pathlib.Path, arrays: dict) -> pathlib.Path:
    """Writes the tokens of `golden` for `flan-jax logits`."""
    targets = arrays["decoder_target_tokens"]
    np.savez(
        path,
        encoder_input_tokens=arrays["encoder_input_tokens"],
        decoder_input_tokens=np.pad(targets, ((0, 0), (1, 0)))[:, :-1],
        decoder_target_tokens=targets,
    )
    return path
