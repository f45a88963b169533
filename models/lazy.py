"""Torch and scipy's sparse matrices on first use: algorithms are described without paying for, or depending on, them.

Schemas, registries and validation run in processes that never compute; `from models.lazy import torch` (or `sparse`)
reads like the real import and resolves at the first attribute.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch
    from scipy import sparse
else:

    class _LazyModule:
        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            return getattr(importlib.import_module(self._name), attribute)

    torch = _LazyModule("torch")
    sparse = _LazyModule("scipy.sparse")


def lazy(path: str) -> Callable[..., Any]:
    """A callable that imports `package.module:attribute` when it is first called."""
    module, _, attribute = path.partition(":")

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(module), attribute)(*args, **kwargs)

    call.__name__ = attribute
    call.__qualname__ = path
    return call


T = TypeVar("T")


def plugins(variable: str, kind: type[T]) -> list[T]:
    """The values of `kind` an environment variable names as `package.module:ATTRIBUTE,…`; TypeError if not of it."""
    found: list[T] = []
    for path in filter(None, os.environ.get(variable, "").split(",")):
        module, _, attribute = path.strip().partition(":")
        value = getattr(importlib.import_module(module), attribute)
        if not isinstance(value, kind):
            raise TypeError(f"{variable}: {path} is not a {kind.__name__}")
        found.append(value)
    return found


__all__ = ["lazy", "plugins", "sparse", "torch"]
