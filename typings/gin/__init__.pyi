"""What pyright needs to know of gin-config, which ships no types."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

_Configurable = TypeVar("_Configurable", bound=Callable[..., Any])

REQUIRED: Any

def configurable(
    *,
    name_or_fn: str | None = None,
    module: str | None = None,
    allowlist: Sequence[str] | None = None,
    denylist: Sequence[str] | None = None,
) -> Callable[[_Configurable], _Configurable]: ...
def __getattr__(name: str) -> Any: ...
