"""A stack of equal layers: scanned or not, under a remat policy, with dropout masks drawn once.

The letters of the array names are listed in `layers.py`.
"""

import itertools
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import linen as nn

from flan_jax.models import lora
from flan_jax.models.config import REMAT_POLICIES
from flan_jax.models.layers import constrain


class Stack(nn.Module):
    """A stack of equal layers; `config` has `scan_layers` and what else the methods read."""

    config: Any

    def _setup_stack(
        self, layer_class: Callable[..., nn.Module], num_layers: int, name: str
    ) -> None:
        cfg = self.config
        self.num_layers = num_layers
        if cfg.scan_layers:
            self.stacked_layer = layer_class(cfg, name=name)
        else:
            self.layers = [layer_class(cfg) for _ in range(num_layers)]

    def _scan(self, body: Callable, carry: Any, xs: Any, *shared: Any) -> tuple[Any, Any]:
        """Loops `body(layer, carry, x, *shared) -> (carry, y)` over stacked layers; xs, ys on 0."""
        loop = nn.scan(
            body,
            variable_axes={"params": self.config.param_scan_axis},
            split_rngs={"params": True, lora.RNG: True},
            in_axes=cast(Any, (0, *(nn.broadcast for _ in shared))),
            length=self.num_layers,
            metadata_params={nn.PARTITION_NAME: "layers"},
        )
        return loop(self.stacked_layer, carry, xs, *shared)

    def _draw_keep(self, sizes: dict[str, int], batch: int, deterministic: bool) -> Any:
        """The dropout masks NxBxC of all layers by site, from one draw; None without dropout."""
        rate = self.config.dropout_rate
        if deterministic or rate == 0.0:
            return None
        shape = (self.num_layers, batch, sum(sizes.values()))
        keep_NxBxC = jax.random.bernoulli(self.make_rng("dropout"), 1.0 - rate, shape)
        # The barrier keeps the compiler from generating the bits anew inside each use of a mask.
        keep_NxBxC = jax.lax.optimization_barrier(constrain(keep_NxBxC, None, "batch", None))
        ends = list(itertools.accumulate(sizes.values()))
        return dict(zip(sizes, jnp.split(keep_NxBxC, ends[:-1], axis=-1), strict=True))

    def _run_layers(self, x: jax.Array, keep: Any, *shared: Any) -> jax.Array:
        """Applies every layer to `x` under the remat policy; `keep` as from `_draw_keep`."""
        cfg = self.config

        def body(layer: Any, x: jax.Array, keep: Any, *shared: Any) -> tuple[jax.Array, None]:
            return layer(x, keep, *shared), None

        if cfg.remat_policy != "none":
            # A scan already keeps the compiler from merging the two computations of a layer.
            policy = REMAT_POLICIES[cfg.remat_policy]
            body = nn.remat(body, policy=policy, prevent_cse=not cfg.scan_layers)
        if cfg.scan_layers:
            return self._scan(body, x, keep, *shared)[0]
        for i, layer in enumerate(self.layers):
            x, _ = body(layer, x, jax.tree.map(lambda mask, i=i: mask[i], keep), *shared)
        return x

    def _each_layer(self, body: Callable, x: Any, xs: Any, *shared: Any) -> tuple[Any, Any]:
        """Applies `body(layer, x, its entry of xs, *shared) -> (x, y)`; returns x and all ys.

        With scanned layers xs and ys are stacked on axis 0, else they are tuples; xs may be None.
        """
        if self.config.scan_layers:
            return self._scan(body, x, xs, *shared)
        ys = []
        for i, layer in enumerate(self.layers):
            x, y = body(layer, x, None if xs is None else xs[i], *shared)
            ys.append(y)
        return x, tuple(ys)
