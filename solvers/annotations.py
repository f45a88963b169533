"""Whether a value is what an annotation says: what fields and arguments that come from another process are held to."""

from __future__ import annotations

import dataclasses
import types
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from inspect import signature
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np


class Contract(NamedTuple):
    """What a function takes and gives."""

    takes: tuple[Any, ...]  # annotations of its arguments in order, `self` left out
    gives: Any


@cache
def contract(function: Callable[..., Any]) -> Contract:
    """The annotations of a method."""
    hints = get_type_hints(function)
    names = [name for name in signature(function).parameters if name != "self"]
    return Contract(tuple(hints[name] for name in names), hints["return"])


@cache
def fields(kind: type) -> Mapping[str, Any]:
    """The annotations of a dataclass's fields, in order."""
    hints = get_type_hints(kind)
    return {one.name: hints[one.name] for one in dataclasses.fields(kind)}


def fits(value: Any, annotation: Any) -> bool:
    """Whether a value is of an annotated kind, all through; arrays by their dtype, whatever their shape.

    Raises:
        TypeError: the annotation is of a kind that is not known here.
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return True
    if annotation is float:
        return isinstance(value, float) or type(value) is int
    if annotation is int:
        return type(value) is int
    if origin is None and isinstance(annotation, type):
        return isinstance(value, annotation)
    if origin is Union or origin is types.UnionType:
        return any(fits(value, one) for one in inner)
    if origin is np.ndarray:
        return isinstance(value, np.ndarray) and value.dtype == get_args(inner[1])[0]
    if origin is tuple:
        return isinstance(value, tuple) and _fits_places(value, inner)
    if origin is list or origin is Sequence:
        return isinstance(value, list if origin is list else (list, tuple)) and all(
            fits(one, inner[0]) for one in value
        )
    if origin is Counter:
        return isinstance(value, Counter) and _fits_pairs(value, inner[0], int)
    if origin is dict or origin is Mapping:
        return isinstance(value, dict) and _fits_pairs(value, *inner)
    raise TypeError(f"no value is held to {annotation}")


def _fits_places(value: tuple[Any, ...], places: tuple[Any, ...]) -> bool:
    if places[-1:] == (Ellipsis,):
        return all(fits(one, places[0]) for one in value)
    return len(value) == len(places) and all(map(fits, value, places))


def _fits_pairs(value: Mapping[Any, Any], key: Any, item: Any) -> bool:
    return all(fits(one, key) and fits(other, item) for one, other in value.items())
