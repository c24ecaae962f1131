"""The same measurements on T5X's own model, optimizer and decoder, from a checkout of T5X.

T5X is not on PyPI and some of its imports are neither; what the measured code does not touch is
replaced by placeholders while T5X is imported.
"""

import functools
import sys
import types
from typing import Any
from unittest import mock

import jax
import numpy as np
from absl import logging

from benchmarks import timing

_NOT_NEEDED = (
    "airio",
    "airio.core",
    "jestimator",
    "jestimator.amos",
    "jestimator.amos_helper",
    "cached_property",
)


def import_t5x(checkout: str) -> types.SimpleNamespace:
    """The modules of T5X that the measurements use, from the folder that holds its package."""
    for name in _NOT_NEEDED:
        sys.modules.setdefault(name, mock.MagicMock(name=name))
    sys.modules["cached_property"].cached_property = functools.cached_property  # type: ignore
    sys.path.insert(0, checkout)
    logging.set_verbosity(logging.ERROR)  # Its Adafactor warns once for every parameter.
    from t5x import adafactor, decoding, models, train_state, trainer  # type: ignore
    from t5x.examples.t5 import network  # type: ignore

    return types.SimpleNamespace(
        adafactor=adafactor,
        decoding=decoding,
        models=models,
        train_state=train_state,
        trainer=trainer,
        network=network,
    )


def measure(checkout: str, dtype: str, sizes: dict[str, Any], runs: int) -> dict[str, float]:
    """Seconds of T5X's train step, compile, and greedy decode.

    Args:
      checkout: the folder that holds T5X's `t5x` package.
      dtype: activation dtype, 'float32' or 'bfloat16'.
      sizes: fields of T5Config.
      runs: timed calls of each.
    """
    t5x = import_t5x(checkout)
    fields = {**sizes, "dtype": dtype, "dropout_rate": timing.DROPOUT_RATE}
    # No end-of-sequence id, so that every row decodes to the full length.
    vocabulary = types.SimpleNamespace(eos_id=-1)
    model = t5x.models.EncoderDecoderModel(
        module=t5x.network.Transformer(t5x.network.T5Config(**fields)),
        input_vocabulary=vocabulary,
        output_vocabulary=vocabulary,
        optimizer_def=t5x.adafactor.Adafactor(
            decay_rate=0.8,
            step_offset=0,
            logical_factor_rules=t5x.adafactor.standard_logical_factor_rules(),
        ),
        z_loss=1e-4,
        decode_fn=functools.partial(t5x.decoding.temperature_sample, temperature=0.0, topk=1),
    )
    batch = timing.random_batch(sizes["vocab_size"])
    shapes = {name: np.shape(value) for name, value in batch.items()}
    # T5X asks for input types to initialise with; float ones fail in its embedding.
    input_types = {name: np.int32 for name in batch}
    variables = jax.jit(lambda key: model.get_initial_variables(key, shapes, input_types))(
        jax.random.PRNGKey(0)
    )
    state = t5x.train_state.FlaxOptimTrainState.create(model.optimizer_def, variables)

    def train_step(state: Any, batch: Any, key: Any) -> Any:
        return t5x.trainer.train_with_lr(
            state,
            batch,
            learning_rate=timing.LEARNING_RATE,
            dropout_rng=key,
            model=model,
            num_microbatches=None,
        )[0]

    key = jax.random.PRNGKey(1)
    step, compile_s = timing.compile_timed(jax.jit(train_step, donate_argnums=0), state, batch, key)
    holder = [state]

    def one_step() -> Any:
        holder[0] = step(holder[0], batch, key)
        return holder[0].params

    step_s = timing.median_s(one_step, runs)

    prompts = {
        "encoder_input_tokens": batch["encoder_input_tokens"],
        "decoder_input_tokens": np.zeros((timing.BATCH, timing.DECODE_LENGTH), np.int32),
    }
    params = holder[0].params
    decode, decode_compile_s = timing.compile_timed(
        jax.jit(lambda params, batch: model.predict_batch_with_aux(params, batch)[0]),
        params,
        prompts,
    )
    decode_s = timing.median_s(lambda: decode(params, prompts), runs)
    return {
        "step_s": step_s,
        "compile_s": compile_s,
        "decode_s": decode_s,
        "decode_compile_s": decode_compile_s,
    }
