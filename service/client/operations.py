"""Methods that a client has, written once and typed for both: a value at once, or an awaitable of it.

A room's method says what is asked (a `Call`, or a flow of several). The descriptors here turn it into a method of the
room: in a room of a `Client` it returns the value, in one of an `AsyncClient` it is awaited.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from .calls import Call
from .flows import Flow, Retry, carry_out, items
from .record import Page
from .wires import AsyncWire, Wire

P = ParamSpec("P")
T = TypeVar("T")
W = TypeVar("W", bound=Wire | AsyncWire)


class Room(Generic[W]):
    """Operations on one kind of resource, on a wire."""

    def __init__(self, wire: W) -> None:
        self.wire: W = wire


class _Of(Generic[P, T]):
    """A method of rooms that gives one value."""

    def __init__(self, make: Callable[Concatenate[Any, P], Any], flow: Callable[[Any, Retry], Flow[T]]) -> None:
        self.make, self.flow = make, flow
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, room: None, owner: type[Any]) -> Callable[Concatenate[Any, P], Any]: ...
    @overload
    def __get__(self, room: Room[Wire], owner: type[Any]) -> Callable[P, T]: ...
    @overload
    def __get__(self, room: Room[AsyncWire], owner: type[Any]) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, room: Any, owner: type[Any]) -> Any:
        if room is None:
            return self.make

        @functools.wraps(self.make)
        def method(*args: P.args, **given: P.kwargs) -> Any:
            return room.wire.run(self.flow(self.make(room, *args, **given), room.wire.way.retry))

        return method


class _Many(Generic[P, T]):
    """A method of rooms that gives many values, one after the other."""

    def __init__(self, make: Callable[Concatenate[Any, P], Any], flow: Callable[[Any, Retry], Flow[None]]) -> None:
        self.make, self.flow = make, flow
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, room: None, owner: type[Any]) -> Callable[Concatenate[Any, P], Any]: ...
    @overload
    def __get__(self, room: Room[Wire], owner: type[Any]) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, room: Room[AsyncWire], owner: type[Any]) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, room: Any, owner: type[Any]) -> Any:
        if room is None:
            return self.make

        @functools.wraps(self.make)
        def method(*args: P.args, **given: P.kwargs) -> Any:
            return room.wire.iterate(self.flow(self.make(room, *args, **given), room.wire.way.retry))

        return method


def operation(make: Callable[Concatenate[Any, P], Call[T]]) -> _Of[P, T]:
    """One request."""
    return _Of(make, carry_out)


def listing(make: Callable[Concatenate[Any, P], Call[Page[T]]]) -> _Many[P, T]:
    """A collection, read page by page as it is iterated over."""
    return _Many(make, items)


def process(make: Callable[Concatenate[Any, P], Callable[[Retry], Flow[T]]]) -> _Of[P, T]:
    """Several requests that give one value."""
    return _Of(make, lambda flow, retry: flow(retry))


def stream(kind: type[T]) -> Callable[[Callable[Concatenate[Any, P], Callable[[Retry], Flow[None]]]], _Many[P, T]]:
    """Values of a kind as they come."""
    return lambda make: _Many(make, lambda flow, retry: flow(retry))
