"""Between text and tokens, for prompts of people and the answers to them."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from flan_jax.data import mixture
from flan_jax.data.config import DatasetConfig
from flan_jax.data.vocabularies import as_seqio
from flan_jax.decode.config import DecodeConfig
from flan_jax.errors import ConfigError, NotFoundError
from flan_jax.models.base import BaseModel


@dataclasses.dataclass(frozen=True)
class Codec:
    """Text to input tokens and output tokens to text."""

    inputs: Any
    targets: Any
    add_eos: bool = True

    def encode(self, text: str, length: int) -> tuple[np.ndarray, int]:
        """Returns at most `length` int32 tokens, with the end token, and how many were cut."""
        tokens = [int(token) for token in self.inputs.encode(text)]
        room = length - int(self.add_eos)
        kept = tokens[:room] + ([self.inputs.eos_id] if self.add_eos else [])
        return np.array(kept, np.int32), max(0, len(tokens) - room)

    def decode(self, tokens: np.ndarray) -> str:
        """Returns the text of output tokens."""
        return self.targets.decode([int(token) for token in tokens])


def of_task(features: Mapping[str, Any], cfg: DatasetConfig) -> Codec:
    """The codec of a task's output features; without inputs the targets' vocabulary serves both."""
    first, targets = features[cfg.token_features[0]], features["targets"]
    has_inputs = "inputs" in cfg.token_features
    return Codec(first.vocabulary, targets.vocabulary, has_inputs and first.add_eos)


def codec_of(
    model: BaseModel, cfg: DatasetConfig, prompt_eos: bool | None, say: Callable[[str], None]
) -> Codec:
    """The codec of the model's vocabularies, else of the task's.

    Args:
      model: the model.
      cfg: names the task.
      prompt_eos: see `infer`.
      say: receives a sentence where the task is not known.

    Raises:
      NotFoundError, ConfigError, DataError: the task is needed and is not there.
      ConfigError: the network embeds fewer tokens than there are.
    """
    if model.input_vocabulary is not None:
        inputs = as_seqio(model.input_vocabulary)
        targets = as_seqio(model.output_vocabulary or model.input_vocabulary)
        codec = Codec(inputs, targets)
        if model.row_layout.decoder_only and prompt_eos is None:
            codec = dataclasses.replace(codec, add_eos=_task_has_eos(cfg, say))
    else:
        codec = of_task(mixture.resolve(cfg).output_features, cfg)
    if prompt_eos is not None:
        codec = dataclasses.replace(codec, add_eos=prompt_eos)
    model.check_vocabulary(max(codec.inputs.vocab_size, codec.targets.vocab_size))
    return codec


def _task_has_eos(cfg: DatasetConfig, say: Callable[[str], None]) -> bool:
    """Whether the task's inputs end with an end token; False for a task not known here."""
    try:
        _, tasks = mixture.find(cfg)
    except NotFoundError:
        say(
            f"{cfg.mixture_or_task_name!r} is not known here, so prompts get no end token; "
            "infer_script.infer.prompt_eos = True adds one"
        )
        return False
    inputs = tasks[0].output_features.get("inputs")
    return inputs is not None and inputs.add_eos


def prompt_lengths(model: BaseModel, cfg: DatasetConfig, config: DecodeConfig) -> Mapping[str, int]:
    """Most tokens of a prompt and of its answer; see `infer`.

    Raises:
      ConfigError: answers of that length leave nothing for a prompt.
    """
    lengths = cfg.task_feature_lengths
    if "inputs" in lengths or not model.row_layout.decoder_only:
        return lengths
    row = cfg.target_length
    answer = config.max_decode_length or -(-row // 2)
    if answer >= row:
        raise ConfigError(
            f"decoding.DecodeConfig.max_decode_length is {answer}, which leaves nothing for a "
            f"prompt: the model was trained on rows of {row} tokens. Set at most {row - 1}."
        )
    return {"inputs": row - answer, "targets": answer}
