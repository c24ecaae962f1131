"""What decoding returns, for every method alike."""

import flax.struct
import jax
import jax.numpy as jnp


@flax.struct.dataclass
class DecodeOutput:
    """Outputs per input, best first. K is `DecodeConfig.num_outputs`, T the decode length.

    Attributes:
      tokens_BxKxT: int32; the produced tokens with the end token, then 0 up to T. An output that
        met the length limit has no end token.
      scores_BxK: float32. Greedy and sample: sum of log p(token) in nats over the produced tokens,
        the end token included, under the model's own distribution (temperature 1, nothing cut off),
        so it can be compared with `score_batch`. Beam: that sum divided by the length penalty.
      lengths_BxK: int32; produced tokens, the end token included.

    A row whose input is all padding has tokens 0, score 0 and length 0.
    """

    tokens_BxKxT: jax.Array
    scores_BxK: jax.Array
    lengths_BxK: jax.Array


def best_first(output: DecodeOutput, num_return: int) -> DecodeOutput:
    """Sorts each row by falling score, equal scores in their old order, and keeps `num_return`."""
    order_BxK = jnp.argsort(-output.scores_BxK, axis=1, stable=True)[:, :num_return]
    return DecodeOutput(
        tokens_BxKxT=jnp.take_along_axis(output.tokens_BxKxT, order_BxK[:, :, None], axis=1),
        scores_BxK=jnp.take_along_axis(output.scores_BxK, order_BxK, axis=1),
        lengths_BxK=jnp.take_along_axis(output.lengths_BxK, order_BxK, axis=1),
    )
