"""Decoding and scoring of batches, with an encoder-decoder or a decoder-only model.

Everything here is a pure function to be traced: wrap it in `jax.jit` with the `DecodeConfig` (and
the model) static, and enter `partitioner.activate()` around the call.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import flax.struct
import jax
import jax.numpy as jnp

from flan_jax import errors
from flan_jax.decode import beam, cache, sampling, weights
from flan_jax.decode.config import DecodeConfig
from flan_jax.decode.output import DecodeOutput, best_first
from flan_jax.models import layers, lora, scan

if TYPE_CHECKING:  # The model offers `predict_batch` through this module.
    from flan_jax.models.base import BaseModel

__all__ = ["DecodeConfig", "DecodeOutput", "OptionScores", "decode_batch", "score_options"]

# The largest decoder whose weights are copied for decoding unasked; T5.1.1-large has 1.8 GB.
_PREPARED_BYTES = 2 << 30


@flax.struct.dataclass
class OptionScores:
    """Log-likelihood of each option of each row.

    Attributes:
      log_likelihood_BxO: float32, nats, summed over the option's tokens; 0 for an empty option.
      tokens_BxO: float32, number of those tokens; 0 marks an option that is not there.
      correct_BxO: float32, how many of them are the likeliest of all tokens in their place.
    """

    log_likelihood_BxO: jax.Array
    tokens_BxO: jax.Array
    correct_BxO: jax.Array


def decode_batch(
    model: "BaseModel",
    params: Any,
    batch: Mapping[str, jax.Array],
    key: jax.Array | None,
    config: DecodeConfig,
) -> DecodeOutput:
    """Decodes every row of `batch`; each input is run once, whatever the number of outputs.

    Args:
      model: the model; its `module` makes the cache and steps.
      params: its parameters.
      batch: for an encoder-decoder `encoder_input_tokens` int32 BxL, rows of zeros being padding,
        which produces nothing; `decoder_target_tokens` BxT gives the decode length if the config
        has none, its content is not read. For a decoder-only model `decoder_prefix_tokens` int32
        BxP, the model's `bos_id` and the inputs, padded at the right, and
        `decoder_prefix_lengths` int32 B, 0 for padding rows. For both, `row_ids` int32 B names the
        rows for method 'sample': a row's draws depend on `key`, its id and the number of the sample
        only. Without it rows count from 0.
      key: PRNG key of method 'sample', else unused.
      config: how to decode.

    Returns:
      DecodeOutput with K = `config.num_outputs`, best first.

    Raises:
      ConfigError: no decode length is known, or 'sample' was given no key.
    """
    length = _decode_length(model, batch, config)
    active_B = model.active_rows(batch)
    encoded = model.encode_batch(params, batch)
    params = weights.gather(model, params, config.gather_weights)
    module, variables, step_variables = _prepare_steps(model.module, params, config)
    start = model.init_cache(module, variables, encoded, batch, length)
    if config.num_hypotheses > 1:
        start = start.repeat(config.num_hypotheses)

    def step_fn(state, token_N, index):
        return module.apply(step_variables, state, token_N, index, method="decode_step")

    if config.method == "beam":
        output = beam.beam_search(
            step_fn,
            start,
            cache.gather_beams,
            active_B,
            beam_size=config.beam_size,
            max_decode_length=length,
            eos_id=config.eos_id,
            length_penalty=config.length_penalty,
            length_penalty_type=config.length_penalty_type,
            early_stopping=config.early_stopping,
        )
    else:
        output = sampling.decode_stepwise(
            step_fn,
            start,
            _choose_fn(batch, key, config, active_B.shape[0]),
            active_B,
            num_samples=config.num_hypotheses,
            max_decode_length=length,
            eos_id=config.eos_id,
        )
    return best_first(output, config.num_outputs)


def _decode_length(model: "BaseModel", batch: Mapping[str, jax.Array], config: DecodeConfig) -> int:
    if config.max_decode_length is not None:
        return config.max_decode_length
    if model.row_layout.decoder_only:
        # The targets of such rows have the inputs before them.
        raise errors.ConfigError(
            "DecodeConfig.max_decode_length is None: set decoding.DecodeConfig.max_decode_length "
            "to the most tokens to produce."
        )
    if "decoder_target_tokens" in batch:
        return batch["decoder_target_tokens"].shape[1]
    raise errors.ConfigError(
        "DecodeConfig.max_decode_length is None and the batch has no 'decoder_target_tokens' to "
        "take the length from: set decoding.DecodeConfig.max_decode_length."
    )


def _prepare_steps(module: Any, params: Any, config: DecodeConfig) -> tuple[Any, Any, Any]:
    """Lays the decoder's weights out for steps of one token, if `config` says so.

    A scan over stacked layers copies each layer and its cache out of the stack at every step. Here
    adapters are merged, the layers taken out of the stack once, and their kernels transposed
    (`layers.project_rows` says why). Greedy decoding of T5.1.1-small on CPU, 8 rows of 256 and 32
    tokens, CPU-seconds: 4.3 as it stands, 3.3 unstacked, 3.0 transposed too; 1.7 of them are for
    the encoder's side.

    Returns:
      (module, variables, step_variables): the network and what it takes in `init_cache`, and in
      `decode_step`.
    """
    prepare = config.prepare_weights
    if prepare is None:
        leaves = jax.tree.leaves(params["decoder"])
        size = sum(x.size * x.dtype.itemsize for x in leaves)
        prepare = jax.default_backend() == "cpu" and size <= _PREPARED_BYTES
    if not prepare:
        return module, {"params": params}, {"params": params}
    module, params = lora.merge_network(module, params)
    network = module.config
    if network.scan_layers:
        module = module.clone(config=dataclasses.replace(network, scan_layers=False))
        params = scan.to_unscanned(params, network.param_scan_axis)
    # The compiler leaves out what no step takes: norms, and keys and values of cross-attention.
    kernels = {"decoder": jax.tree.map(jnp.transpose, params["decoder"])}
    return module, {"params": params}, {"params": params, layers.STEP_KERNELS: kernels}


def _choose_fn(
    batch: Mapping[str, jax.Array], key: jax.Array | None, config: DecodeConfig, num_rows: int
) -> sampling.ChooseFn:
    if config.method == "greedy":
        return sampling.choose_greedy
    if key is None:
        raise errors.ConfigError("DecodeConfig.method='sample' needs a PRNG key, found None.")
    row_ids_B = batch.get("row_ids", jnp.arange(num_rows))
    keys_N = sampling.sampling_keys(key, row_ids_B, config.num_samples)
    return sampling.make_choose_sample(keys_N, config.temperature, config.top_k, config.top_p)


def score_options(
    model: "BaseModel",
    params: Any,
    batch: Mapping[str, jax.Array],
    options_BxOxT: jax.Array,
    lengths_BxO: jax.Array | None = None,
) -> OptionScores:
    """Scores O targets for each input, running each input once.

    The score of an option depends neither on its neighbours, nor on the batch size, nor on how far
    inputs and options are padded.

    Args:
      model: the model.
      params: its parameters.
      batch: the inputs, as for `decode_batch`.
      options_BxOxT: int32 target tokens, with the end token if it is to count, padded at the right.
      lengths_BxO: int32 tokens of each option; 0 marks one that is not there, whose `tokens_BxO` is
        0. None counts the tokens above 0, for vocabularies in which 0 is padding only.
    """
    B, num_options, T = options_BxOxT.shape
    if lengths_BxO is None:
        real_BxOxT = options_BxOxT > 0
    else:
        real_BxOxT = jnp.arange(T)[None, None] < lengths_BxO[:, :, None]
    logits_NxTxV = model.option_logits(params, batch, options_BxOxT)
    targets_NxTx1 = options_BxOxT.reshape(B * num_options, T, 1)
    picked_NxT = jnp.take_along_axis(logits_NxTxV, targets_NxTx1, axis=-1)[:, :, 0]
    log_probs_NxT = picked_NxT - jax.nn.logsumexp(logits_NxTxV, axis=-1)
    log_probs_BxOxT = log_probs_NxT.reshape(B, num_options, T)
    greedy_BxOxT = jnp.argmax(logits_NxTxV, axis=-1).reshape(B, num_options, T) == options_BxOxT
    return OptionScores(
        log_likelihood_BxO=jnp.sum(jnp.where(real_BxOxT, log_probs_BxOxT, 0.0), axis=2),
        tokens_BxO=jnp.sum(real_BxOxT, axis=2, dtype=jnp.float32),
        correct_BxO=jnp.sum(real_BxOxT & greedy_BxOxT, axis=2, dtype=jnp.float32),
    )
