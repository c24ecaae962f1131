"""Decoding and scoring of batches with an encoder-decoder model.

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
from flan_jax.decode import beam, cache, sampling
from flan_jax.decode.config import DecodeConfig
from flan_jax.decode.output import DecodeOutput, best_first
from flan_jax.models import layers, scan

if TYPE_CHECKING:  # The model offers `predict_batch` through this module.
    from flan_jax.models.encoder_decoder import EncoderDecoderModel

__all__ = ["DecodeConfig", "DecodeOutput", "OptionScores", "decode_batch", "score_options"]

# The largest decoder whose weights are copied for decoding unasked; T5.1.1-large has 1.8 GB.
_PREPARED_BYTES = 2 << 30


@flax.struct.dataclass
class OptionScores:
    """Log-likelihood of each option of each row.

    Attributes:
      log_likelihood_BxO: float32, nats, summed over the option's tokens; 0 for an empty option.
      tokens_BxO: float32, number of those tokens; 0 marks an option that is not there.
    """

    log_likelihood_BxO: jax.Array
    tokens_BxO: jax.Array


def decode_batch(
    model: "EncoderDecoderModel",
    params: Any,
    batch: Mapping[str, jax.Array],
    key: jax.Array | None,
    config: DecodeConfig,
) -> DecodeOutput:
    """Decodes every row of `batch`; each input is encoded once, whatever the number of outputs.

    Args:
      model: the model; its `module` encodes, makes the cache and steps.
      params: its parameters.
      batch: `encoder_input_tokens` int32 BxL. Rows of zeros are padding and produce nothing.
        `decoder_target_tokens` BxT gives the decode length if the config has none; its content is
        not read. `row_ids` int32 B names the rows for method 'sample': a row's draws depend on
        `key`, its id and the number of the sample only. Without it rows count from 0.
      key: PRNG key of method 'sample', else unused.
      config: how to decode.

    Returns:
      DecodeOutput with K = `config.num_outputs`, best first.

    Raises:
      ConfigError: no decode length is known, or 'sample' was given no key.
    """
    length = _decode_length(batch, config)
    tokens_BxL = batch["encoder_input_tokens"]
    active_B = jnp.any(tokens_BxL > 0, axis=1)
    encoded_BxLxD: Any = model.module.apply(
        {"params": params}, tokens_BxL, enable_dropout=False, method="encode"
    )
    module, variables, step_variables = _prepare_steps(model.module, params, config)
    start: Any = module.apply(variables, encoded_BxLxD, tokens_BxL, length, method="init_cache")
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


def _decode_length(batch: Mapping[str, jax.Array], config: DecodeConfig) -> int:
    if config.max_decode_length is not None:
        return config.max_decode_length
    if "decoder_target_tokens" in batch:
        return batch["decoder_target_tokens"].shape[1]
    raise errors.ConfigError(
        "DecodeConfig.max_decode_length is None and the batch has no 'decoder_target_tokens' to "
        "take the length from: set decoding.DecodeConfig.max_decode_length."
    )


def _prepare_steps(module: Any, params: Any, config: DecodeConfig) -> tuple[Any, Any, Any]:
    """Lays the decoder's weights out for steps of one token, if `config` says so.

    A scan over stacked layers copies each layer and its cache out of the stack at every step. Here
    the layers are taken out of the stack once, and their kernels transposed (`layers.project_rows`
    says why). Greedy decoding of T5.1.1-small on CPU, 8 rows of 256 and 32 tokens, CPU-seconds: 4.3
    as it stands, 3.3 unstacked, 3.0 transposed too; 1.7 of them are for the encoder's side.

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
    model: "EncoderDecoderModel",
    params: Any,
    encoder_tokens_BxL: jax.Array,
    options_BxOxT: jax.Array,
) -> OptionScores:
    """Scores O targets for each input, encoding each input once.

    The score of an option depends neither on its neighbours, nor on the batch size, nor on how far
    inputs and options are padded.

    Args:
      model: the model.
      params: its parameters.
      encoder_tokens_BxL: int32, 0 is padding.
      options_BxOxT: int32 target tokens, with the end token if it is to count, then 0. An option of
        zeros is not there: its `tokens_BxO` is 0.
    """
    B, num_options, T = options_BxOxT.shape
    module, variables = model.module, {"params": params}
    encoded_BxLxD: Any = module.apply(
        variables, encoder_tokens_BxL, enable_dropout=False, method="encode"
    )
    targets_NxT = options_BxOxT.reshape(B * num_options, T)
    logits_NxTxV: Any = module.apply(
        variables,
        jnp.repeat(encoded_BxLxD, num_options, axis=0),
        jnp.repeat(encoder_tokens_BxL, num_options, axis=0),
        jnp.pad(targets_NxT, ((0, 0), (1, 0)))[:, :T],
        targets_NxT,
        enable_dropout=False,
        method="decode",
    )
    picked_NxT = jnp.take_along_axis(logits_NxTxV, targets_NxT[:, :, None], axis=-1)[:, :, 0]
    log_probs_NxT = picked_NxT - jax.nn.logsumexp(logits_NxTxV, axis=-1)
    real_NxT = targets_NxT > 0
    sums_N = jnp.sum(jnp.where(real_NxT, log_probs_NxT, 0.0), axis=1)
    counts_N = jnp.sum(real_NxT, axis=1, dtype=jnp.float32)
    return OptionScores(sums_N.reshape(B, num_options), counts_N.reshape(B, num_options))
