"""The model families of Hugging Face directories, by the `model_type` of their config.json."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from flan_jax.errors import CheckpointError, ConfigError, suggest
from flan_jax.interop import hf_decoder, hf_t5
from flan_jax.interop.names import NameMap
from flan_jax.models.config import T5Config
from flan_jax.models.decoder_config import DecoderConfig

# Fields of a network's configuration that say how it is run, or what is added to it, not which
# weights it has.
_NOT_OF_THE_WEIGHTS = frozenset(
    {
        "vocab_size",
        "dtype",
        "dropout_rate",
        "attention_dropout",
        "mlp_dropout",
        "kernel_init",
        "init_stddev",
        "embedding_init_stddev",
        "remat_policy",
        "scan_layers",
        "param_scan_axis",
        "max_positions",
        "prompt_length",
        "lora",
    }
)
# Known models whose weights have no counterpart here, with the reason.
_REFUSED = {
    "umt5": "every layer has a table of relative positions of its own",
    "longt5": "its attention is another one",
    "switch_transformers": "it is a mixture of experts",
}


@dataclasses.dataclass(frozen=True)
class Family:
    """How one kind of model is called there and here.

    Attributes:
      model_types: of config.json.
      name_map: (configuration, names in the file if there is one) -> NameMap.
      config_from_hf: config.json as a dict, and fields to set otherwise -> configuration.
      options_from_hf: config.json as a dict -> further arguments of our model, such as `bos_id`.
      causal: whether transformers' class is AutoModelForCausalLM.
    """

    model_types: tuple[str, ...]
    name_map: Callable[..., NameMap]
    config_from_hf: Callable[..., Any]
    options_from_hf: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda hf: {}
    causal: bool = False


def _decoder(model_types: tuple[str, ...], name_map: Callable[..., NameMap]) -> Family:
    return Family(
        model_types,
        name_map,
        hf_decoder.config_from_hf,
        hf_decoder.options_from_hf,
        causal=True,
    )


FAMILIES = (
    Family(hf_t5.MODEL_TYPES, hf_t5.name_map, hf_t5.config_from_hf),
    _decoder(hf_decoder.GPT2_TYPES, hf_decoder.gpt2_name_map),
    _decoder(hf_decoder.LLAMA_TYPES, hf_decoder.llama_name_map),
)
_CONFIG_TO_HF: dict[type, Callable[[Any], dict[str, Any]]] = {
    T5Config: hf_t5.config_to_hf,
    DecoderConfig: hf_decoder.config_to_hf,
}


def config_to_hf(config: Any) -> dict[str, Any]:
    """Returns the config.json of one of our networks.

    Raises:
      ConfigError: transformers has no such model.
    """
    return _CONFIG_TO_HF[type(config)](config)


def of_config(hf: Mapping[str, Any], where: str) -> Family:
    """Returns the family of a config.json.

    Raises:
      CheckpointError: there is none, or the weights are quantized.
    """
    model_type = str(hf.get("model_type"))
    if "quantization_config" in hf:
        method = dict(hf["quantization_config"] or {}).get("quant_method", "unknown")
        raise CheckpointError(
            f"{where}: the weights are quantized ({method}). Take the directory of the original "
            "model, with bfloat16, float16 or float32 weights."
        )
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    known = [name for family in FAMILIES for name in family.model_types]
    why = f": {_REFUSED[model_type]}" if model_type in _REFUSED else ""
    raise CheckpointError(
        f"{where}: config.json has model_type {model_type!r}, which is not read here{why}."
        f"{suggest(model_type, known)} Known: {', '.join(known)}."
    )


def check_config(theirs: Any, ours: Any, where: str) -> None:
    """Raises a ConfigError where a model and a config.json describe different networks.

    Args:
      theirs: configuration made of config.json.
      ours: of the model. The sizes of the vocabulary are not compared: arrays are.
      where: the directory.
    """
    if type(theirs) is not type(ours):
        raise ConfigError(
            f"{where} is a model for {type(theirs).__name__}, and the configuration describes one "
            f"with {type(ours).__name__}. Take the gin file that `flan-jax import` writes."
        )
    lines = [
        f"{field.name}: config.json {getattr(theirs, field.name)!r}, "
        f"model {getattr(ours, field.name)!r}"
        for field in dataclasses.fields(theirs)
        if field.name not in _NOT_OF_THE_WEIGHTS
        and getattr(theirs, field.name) != getattr(ours, field.name)
    ]
    if lines:
        shown = "\n  ".join(lines)
        raise ConfigError(
            f"{where} is of another model: {len(lines)} fields of {type(ours).__name__} differ.\n"
            f"  {shown}\nGive the gin file of this model, or none: `flan-jax import` derives it."
        )
