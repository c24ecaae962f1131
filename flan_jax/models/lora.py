"""LoRA: trained low-rank adapters beside frozen kernels (Hu et al. 2021, arXiv 2106.09685).

An adapted kernel IxO has two arrays beside it, `lora_a` Ixr and `lora_b` rxO, and acts as

    kernel + alpha / r * lora_a @ lora_b

`lora_b` starts at zero, so a fresh adapter changes nothing. Training never forms the product:
`layers.Dense` computes `x @ kernel + alpha / r * (x @ lora_a) @ lora_b`. `merge` forms it once, for
decoding and export. r is the rank; the other letters are listed in `layers.py`.
"""

import copy
import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import gin
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from flan_jax.errors import ConfigError, suggest

KERNEL, A, B = "kernel", "lora_a", "lora_b"

# Random numbers of adapter dropout have a stream of their own: without it there is no dropout.
RNG = "lora"

# Uniform within 1/sqrt(I) either way, as in the authors' code; b starts at zero.
init_a = nn.initializers.variance_scaling(1.0 / 3.0, "fan_in", "uniform")
init_b = nn.initializers.zeros

Tree = dict[str, Any]
Model = TypeVar("Model")

_FIELD = "network.LoraConfig"


@gin.configurable(module="network")
@dataclasses.dataclass(frozen=True)
class LoraConfig:
    """Which kernels of a network have adapters, and of what size.

    Attributes:
        rank: r, columns of `lora_a`.
        alpha: the product of the two arrays is multiplied by alpha / rank, so that the learning
            rate need not follow the rank.
        kernels: regular expressions searched in '/'-joined kernel names, such as
            'encoder/layers_0/attention/query/kernel'; a kernel that one of them is found in has an
            adapter. 'attention/(query|value)' finds those of all layers, stacked or not.
        dropout_rate: of the adapters' inputs; one mask for all positions of a row.
    """

    rank: int
    alpha: float
    kernels: tuple[str, ...]
    dropout_rate: float = 0.0

    def __post_init__(self) -> None:
        """Checks the values; raises ConfigError naming the field."""
        if isinstance(self.rank, bool) or not isinstance(self.rank, int) or self.rank < 1:
            raise ConfigError(
                f"{_FIELD}.rank is {self.rank!r}. Set a whole number of at least 1, such as 8."
            )
        if not _is_number(self.alpha) or not 0 < self.alpha < math.inf:
            raise ConfigError(
                f"{_FIELD}.alpha is {self.alpha!r}. Set a number above 0, such as {2 * self.rank}."
            )
        if not _is_number(self.dropout_rate) or not 0 <= self.dropout_rate < 1:
            raise ConfigError(
                f"{_FIELD}.dropout_rate is {self.dropout_rate!r}. Set a number from 0 up to but "
                "not including 1."
            )
        listed = (self.kernels,) if isinstance(self.kernels, str) else tuple(self.kernels)
        object.__setattr__(self, "kernels", listed)
        if not listed:
            raise ConfigError(
                f"{_FIELD}.kernels is empty, so nothing would have an adapter. Set regular "
                "expressions such as ('attention/(query|value)',), or leave out the LoraConfig."
            )
        for pattern in listed:
            try:
                re.compile(pattern)
            except (re.error, TypeError) as error:
                raise ConfigError(
                    f"{_FIELD}.kernels holds {pattern!r}, which is not a regular expression: "
                    f"{error}."
                ) from error

    @property
    def scale(self) -> float:
        """The factor alpha / rank of the product of the two arrays."""
        return self.alpha / self.rank

    def adapts(self, name: str) -> bool:
        """Whether the kernel of this '/'-joined name has an adapter."""
        return any(re.search(pattern, name) for pattern in self.kernels)


def check_field(config: Any, where: str) -> None:
    """Raises ConfigError where the field `lora` of a network's configuration is something else."""
    if config.lora is not None and not isinstance(config.lora, LoraConfig):
        raise ConfigError(
            f"{where}.lora is {config.lora!r}. Set @network.LoraConfig(), or None for no adapters."
        )


def check_kernels(config: LoraConfig | None, params: Mapping[str, Any]) -> None:
    """Raises ConfigError if a pattern of `config` finds no kernel of a network.

    Args:
        config: what is adapted; None checks nothing.
        params: the network's parameters, arrays or abstract.
    """
    if config is None:
        return
    names = [f"{name}/{KERNEL}" for name, _ in _projections(params)]
    # Such as 'attention/query': what patterns are made of.
    ends = dict.fromkeys("/".join(name.split("/")[-3:-1]) for name in names)
    for pattern in config.kernels:
        if not any(re.search(pattern, name) for name in names):
            raise ConfigError(
                f"{_FIELD}.kernels holds {pattern!r}, which is found in the name of no kernel of "
                f"the network.{suggest(pattern, ends)} There are {', '.join(sorted(ends))}, such "
                f"as {names[0]!r}."
            )
    without = [
        name for name, node in _projections(params) if _adapted(config, name) and A not in node
    ]
    assert not without, f"no adapters were made for {without}"


def adapters(params: Mapping[str, Any]) -> Tree:
    """The part of a parameter tree that adapters are."""
    found = {}
    for key, value in params.items():
        if key in (A, B):
            found[key] = value
        elif isinstance(value, Mapping) and (below := adapters(value)):
            found[key] = below
    return found


def merge(params: Mapping[str, Any], config: Any) -> Tree:
    """Adds every adapter to its kernel.

    Args:
        params: parameter tree of a network with adapters, its layers stacked or not. NumPy arrays
            stay NumPy arrays.
        config: the network's configuration: `lora` and, for stacked layers, `param_scan_axis`.

    Returns:
        The tree without adapter arrays, which the same network with `lora = None` takes. Kernels
        without an adapter, and all other arrays, are the same objects.
    """
    return _with_kernels(params, adapters(params), config, lambda kernel, delta: kernel + delta)


def unmerge(merged: Mapping[str, Any], adapters: Mapping[str, Any], config: Any) -> Tree:
    """Takes adapters off merged kernels, and puts them beside.

    The sum was rounded, so where an adapter is not small beside its kernel, the last bit of the
    kernel may differ; merging again gives the merged kernels bit for bit.

    Args:
        merged: from `merge`.
        adapters: from `adapters`.
        config: as in `merge`.
    """
    kernels = _with_kernels(merged, adapters, config, lambda kernel, delta: kernel - delta)
    return _joined(kernels, adapters)


def merge_network(module: Any, params: Any) -> tuple[Any, Any]:
    """Returns the network without adapters and its merged parameters; as they are if none."""
    config = module.config
    if config.lora is None:
        return module, params
    return module.clone(config=dataclasses.replace(config, lora=None)), merge(params, config)


def merge_model(model: Model, params: Any) -> tuple[Model, Any]:
    """As `merge_network`, for a model such as `EncoderDecoderModel`, which stays as it is."""
    plain: Any = copy.copy(model)
    plain.module, params = merge_network(plain.module, params)
    return plain, params


def _with_kernels(
    params: Mapping[str, Any],
    adapters: Mapping[str, Any],
    config: Any,
    change: Callable[[Any, Any], Any],
) -> Tree:
    """The tree without adapters, `change(kernel, alpha / r * a @ b)` for adapted kernels."""
    changed = {key: value for key, value in params.items() if key not in (A, B)}
    for key, value in adapters.items():
        if key not in (A, B):
            changed[key] = _with_kernels(params[key], value, config, change)
    if A in adapters:
        kernel = params[KERNEL]
        stack_axis = config.param_scan_axis if kernel.ndim == 3 else None
        delta = _product(adapters[A], adapters[B], stack_axis) * np.float32(config.lora.scale)
        changed[KERNEL] = change(kernel, delta.astype(kernel.dtype))
    return changed


def _product(a: Any, b: Any, stack_axis: int | None) -> Any:
    """Float32 `a @ b`; with `stack_axis` for each layer of a stack."""
    numpy = isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
    if stack_axis is not None:
        a, b = (x.swapaxes(0, stack_axis) if stack_axis else x for x in (a, b))
    # Without the precision a TPU would round both sides to bfloat16.
    product = a @ b if numpy else jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
    return product.swapaxes(0, stack_axis) if stack_axis else product


def _projections(params: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Mapping]]:
    """Name and arrays of every node that holds a kernel."""
    found = [(prefix.rstrip("/"), params)] if KERNEL in params else []
    for key, value in params.items():
        if isinstance(value, Mapping):
            found += _projections(value, f"{prefix}{key}/")
    return found


def _adapted(config: LoraConfig, name: str) -> bool:
    return config.adapts(f"{name}/{KERNEL}")


def _joined(tree: Mapping[str, Any], other: Mapping[str, Any]) -> Tree:
    joined = dict(tree)
    for key, value in other.items():
        joined[key] = _joined(tree[key], value) if isinstance(value, Mapping) else value
    return joined


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
