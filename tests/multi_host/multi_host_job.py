"""The small sharded computation that one process and several must agree on."""

from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from flan_jax.mesh import PjitPartitioner

AXES = {"in": ("embed", "mlp"), "out": ("mlp", "embed")}


@flax.struct.dataclass
class State:
    step: Any
    params: Any


def initial() -> State:
    keys = jax.random.split(jax.random.key(0))
    shapes = {"in": (8, 16), "out": (16, 8)}
    params = {
        name: jax.random.normal(key, shape) / 4
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }
    return State(jnp.zeros((), jnp.int32), params)


def abstract() -> State:
    return jax.eval_shape(initial)


def shardings(partitioner: PjitPartitioner) -> State:
    return partitioner.shardings(abstract(), State((), AXES))


def host_batch() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {"tokens": rng.normal(size=(8, 8)).astype(np.float32)}


def train(
    partitioner: PjitPartitioner, state: State, batch: dict[str, jax.Array]
) -> tuple[list[float], State]:
    """Returns the losses of three gradient steps and the last state."""

    def loss_fn(params, x_BxD):
        h_BxF = nn.with_logical_constraint(jnp.tanh(x_BxD @ params["in"]), ("batch", "mlp"))
        return jnp.mean((h_BxF @ params["out"] - x_BxD) ** 2)

    def step(state, batch):
        loss, grads = jax.value_and_grad(loss_fn)(state.params, batch["tokens"])
        params = jax.tree.map(lambda p, g: p - g, state.params, grads)
        return State(state.step + 1, params), loss

    placed = shardings(partitioner)
    jitted = jax.jit(step, out_shardings=(placed, partitioner.replicated), donate_argnums=0)
    losses = []
    with partitioner.activate():
        for _ in range(3):
            state, loss = jitted(state, batch)
            losses.append(float(loss))
    return losses, state


def local(params: dict[str, jax.Array]) -> dict[str, np.ndarray]:
    """Returns replicated arrays as numpy."""
    return {name: np.asarray(value.addressable_shards[0].data) for name, value in params.items()}
