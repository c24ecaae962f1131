"""Where in a computation the first nan or inf that matters comes up.

The computation is taken apart into its operations and compiled again with two flags for the result
of each, has a nan and has an inf; the flags of a loop are kept for each of its turns. Not every inf
is a mistake (masks are made of them): what counts is a value that makes a result of the whole
computation not finite. Its trail is followed back to the operation that made it of finite values.
"""

import dataclasses
import itertools
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core as jax_core
from jax.extend import source_info_util

from flan_jax.sharding import path_name

# Operations that hold another computation, with the parameter that has it.
_INSIDE = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}
# Operations that only hand values on: what they give is as finite as what they get.
_PASSIVE = frozenset(
    "reshape broadcast_in_dim transpose squeeze expand_dims slice copy copy_p neg select_n "
    "concatenate rev dynamic_slice dynamic_update_slice gather name sharding_constraint "
    "optimization_barrier stop_gradient pad".split()
)
_WRAPPERS = re.compile(r"\b(jvp|transpose|remat|checkpoint|rematted_computation|vmap|jit)\b")


@dataclasses.dataclass(frozen=True)
class Origin:
    """What made the first value that is not finite.

    Attributes:
      order: operations before it.
      value: 'nan' or 'inf'.
      where: of an operation the path of layers, such as 'encoder/layers_0/mlp'; turns of loops in
        square brackets; of an argument its name.
      operation: name of the operation; 'argument' or 'constant' where there is none.
      backward: whether it belongs to the gradient.
      source: file:line (function).
    """

    order: int
    value: str
    where: str
    operation: str
    backward: bool = False
    source: str = ""

    def __str__(self) -> str:
        if self.operation == "argument":
            return f"{self.value} in {self.where}, before the step"
        phase = "backward pass" if self.backward else "forward pass or update"
        where = self.where or "no named layer"
        return f"{self.value} from '{self.operation}' in {where} ({phase}; {self.source})"


@dataclasses.dataclass(frozen=True)
class Findings:
    """What is not finite in the results of a computation.

    Attributes:
      first: where it comes from; None where all results are finite.
      results: names of the results that are not finite.
    """

    first: Origin | None
    results: tuple[str, ...]


def find(function: Callable[..., Any], *args: Any, names: Sequence[str] = ()) -> Findings:
    """Runs a function and tells where what is not finite comes from.

    Compiling takes a few times as long as for the function itself. Less is recomputed, so memory is
    that of a step without remat.

    Args:
      function: of arrays, as for `jax.jit`.
      *args: its arguments, pytrees of arrays.
      names: what the arguments are called.
    """
    closed, out_shape = jax.make_jaxpr(function, return_shape=True)(*args)
    paths_in, _ = jax.tree_util.tree_flatten_with_path(args)

    def flagged(leaves: list[Any]) -> Any:
        results, flags = _evaluate(closed.jaxpr, closed.consts, leaves)
        return [_flags(leaf) for leaf in leaves], flags, [_flags(value) for value in results]

    leaves = [leaf for _, leaf in paths_in]
    in_flags, flags, out_flags = jax.device_get(jax.jit(flagged)(leaves))
    origins = []
    for (path, _), flag in zip(paths_in, in_flags, strict=True):
        index = path[0].idx
        called = str(names[index]) if index < len(names) else f"argument {index}"
        name = f"{called}/{path_name(path[1:])}" if len(path) > 1 else called
        value = _value(flag)
        origins.append(None if value is None else Origin(-1, value, name, "argument"))
    results = _Follower().follow(closed.jaxpr, flags, origins, "")
    bad = [
        (path_name(path), origin)
        for (path, _), origin, flag in zip(
            jax.tree_util.tree_flatten_with_path(out_shape)[0], results, out_flags, strict=True
        )
        if origin is not None and _value(flag) is not None
    ]
    first = min((origin for _, origin in bad), key=lambda origin: origin.order, default=None)
    return Findings(first, tuple(name for name, _ in bad))


# --------------------------------------------------------------- on the devices


def _evaluate(jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> tuple[list, list]:
    """Returns the results of a computation and, for each of its operations, flags.

    They are, for an operation that holds another, the list of the flags in it (in loops with a
    leading axis for the turns); for others a flag a result.
    """
    values: dict[Any, Any] = {}
    values.update(zip(jaxpr.constvars, consts, strict=True))
    values.update(zip(jaxpr.invars, args, strict=True))

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, jax_core.Literal) else values[variable]

    flags = []
    for equation in jaxpr.eqns:
        inputs = [read(variable) for variable in equation.invars]
        inner = _inner(equation)
        if inner is not None:
            results, found = _evaluate(*inner, inputs)
        elif equation.primitive.name == "scan":
            results, found = _evaluate_scan(equation.params, inputs)
        else:
            with equation.ctx.manager:
                bound = equation.primitive.get_bind_params(equation.params)
                # Older JAX gives (functions, parameters), newer the parameters alone.
                functions, params = bound if isinstance(bound, tuple) else ((), bound)
                results = equation.primitive.bind(*functions, *inputs, **params)
            if not equation.primitive.multiple_results:
                results = [results]
            # Else the reductions draw whole chains of operations into themselves, each its own.
            results = results if _passive(equation) else _as_they_are(results)
            found = None if _passive(equation) else [_flags(value) for value in results]
        flags.append(found)
        values.update(zip(equation.outvars, results, strict=True))
    return [read(variable) for variable in jaxpr.outvars], flags


def _evaluate_scan(params: Any, inputs: list[Any]) -> tuple[list, list]:
    num_consts, num_carry = params["num_consts"], params["num_carry"]
    consts, carry = inputs[:num_consts], inputs[num_consts : num_consts + num_carry]
    jaxpr, inner_consts = _opened(params["jaxpr"])

    def turn(carry: list[Any], columns: list[Any]) -> tuple[list, tuple[list, list]]:
        results, flags = _evaluate(jaxpr, inner_consts, [*consts, *carry, *columns])
        return results[:num_carry], (results[num_carry:], flags)

    columns = inputs[num_consts + num_carry :]
    carry, (stacked, flags) = jax.lax.scan(
        turn, carry, columns, length=params["length"], reverse=params["reverse"]
    )
    return [*carry, *stacked], flags


def _as_they_are(values: Sequence[Any]) -> list[Any]:
    """The values, made before anything looks at them; keys of random numbers are left alone."""
    plain = [not jnp.issubdtype(value.dtype, jax.dtypes.extended) for value in values]
    kept = iter(jax.lax.optimization_barrier([v for v, p in zip(values, plain, strict=True) if p]))
    return [next(kept) if is_plain else v for v, is_plain in zip(values, plain, strict=True)]


def _flags(value: Any) -> jax.Array:
    """Two bools: has a nan; has an inf and no nan."""
    if not jnp.issubdtype(jnp.result_type(value), jnp.floating) or not jnp.size(value):
        return jnp.zeros(2, bool)
    largest = jnp.max(jnp.abs(value))  # One pass; it is nan where any entry is.
    return jnp.stack([jnp.isnan(largest), jnp.isinf(largest)])


# ------------------------------------------------------------------ on the host


class _Follower:
    """Goes through a computation with its flags; each value has the origin of what is in it."""

    def __init__(self):
        self._counter = itertools.count()

    def follow(
        self, jaxpr: Any, flags: list, origins: Sequence[Origin | None], stack: str
    ) -> list[Origin | None]:
        """Returns the origins of the results of a computation."""
        known: dict[Any, Origin | None] = {}
        known.update(zip(jaxpr.invars, origins, strict=True))

        def read(variable: Any) -> Origin | None:
            if isinstance(variable, jax_core.Literal):
                finite = np.all(np.isfinite(np.asarray(variable.val, np.float64)))
                return None if finite else _MEANT
            return known.get(variable, _MEANT if variable in constants else None)

        constants = set(jaxpr.constvars)
        for equation, found in zip(jaxpr.eqns, flags, strict=True):
            inputs = [read(variable) for variable in equation.invars]
            here = "/".join(filter(None, (stack, str(equation.source_info.name_stack))))
            inner = _inner(equation)
            if inner is not None:
                results = self.follow(inner[0], found, inputs, here)
            elif equation.primitive.name == "scan":
                results = self._follow_scan(equation.params, found, inputs, here)
            elif found is None:
                passed_on = min(filter(None, inputs), key=_by_order, default=None)
                results = [passed_on for _ in equation.outvars]
            else:
                order = next(self._counter)
                results = [self._judge(flag, equation, inputs, here, order) for flag in found]
            known.update(zip(equation.outvars, results, strict=True))
        return [read(variable) for variable in jaxpr.outvars]

    def _follow_scan(
        self, params: Any, flags: list, inputs: list[Origin | None], here: str
    ) -> list[Origin | None]:
        num_consts, num_carry = params["num_consts"], params["num_carry"]
        consts, carry = inputs[:num_consts], inputs[num_consts : num_consts + num_carry]
        columns = inputs[num_consts + num_carry :]
        jaxpr, _ = _opened(params["jaxpr"])
        turns = range(params["length"])
        stacked: list[Origin | None] = [None] * (len(jaxpr.outvars) - num_carry)
        for turn in reversed(turns) if params["reverse"] else turns:
            of_turn = jax.tree.map(lambda flag, turn=turn: flag[turn], flags)
            results = self.follow(jaxpr, of_turn, [*consts, *carry, *columns], f"{here}[{turn}]")
            carry = results[:num_carry]
            stacked = [a or b for a, b in zip(stacked, results[num_carry:], strict=True)]
        return [*carry, *stacked]

    def _judge(
        self, flag: Any, equation: Any, inputs: list[Origin | None], here: str, order: int
    ) -> Origin | None:
        value = _value(flag)
        if value is None:
            return None
        before = [origin for origin in inputs if origin is not None]
        real = [origin for origin in before if origin is not _MEANT]
        if real:
            return min(real, key=lambda origin: origin.order)
        # An inf of the program's text that stays inf is meant; one that turns to nan is not.
        if before and value == "inf":
            return _MEANT
        return Origin(
            order,
            value,
            _layers(here),
            equation.primitive.name,
            "transpose(" in here,
            source_info_util.summarize(equation.source_info).replace(_ROOT, ""),
        )


_MEANT = Origin(-1, "inf", "a constant", "constant")
_ROOT = f"{pathlib.Path(__file__).resolve().parents[1]}/"


def _opened(inner: Any) -> tuple[Any, Sequence[Any]]:
    """A computation and its constants; an open one has none."""
    return (inner.jaxpr, inner.consts) if hasattr(inner, "consts") else (inner, ())


def _passive(equation: Any) -> bool:
    """Whether the results need no look: handed on, or whole numbers."""
    return equation.primitive.name in _PASSIVE or not any(
        jnp.issubdtype(variable.aval.dtype, jnp.floating) for variable in equation.outvars
    )


def _by_order(origin: Origin) -> tuple[bool, int]:
    """Real origins come before what the program's text means."""
    return origin is _MEANT, origin.order


def _inner(equation: Any) -> tuple[Any, Sequence[Any]] | None:
    """The computation in an operation that runs it once, as it is."""
    key = _INSIDE.get(equation.primitive.name)
    return _opened(equation.params[key]) if key in equation.params else None


def _value(flag: Any) -> str | None:
    """Returns 'nan' or 'inf' for what a flag says, None for finite."""
    return "nan" if flag[0] else "inf" if flag[1] else None


def _layers(stack: str) -> str:
    """'transpose(jvp(Model))/Model.encoder/layers_0' -> 'Model/encoder/layers_0'."""
    plain = _WRAPPERS.sub("", stack).replace("(", "").replace(")", "").replace("Model.", "")
    parts = [part for part in plain.split("/") if part]
    return "/".join(part for part, _ in itertools.groupby(parts))
