"""The bell's way through Redis: kombu's own, but for an acknowledgement that does not get through.

A worker takes one message at a time and acknowledges it before the work. Should Redis be gone in that very moment,
kombu (5.7) raises before it notes the message as done: the worker then waits for ever for the place in its hand to
become free, does not read from its connection, and so never sees that this is closed. It would be deaf until it is
started again. Here the place is free in any case: the message is lost or rung twice, and both are harmless.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import redis


class QoS(redis.QoS):
    """What is delivered and not yet acknowledged on a channel."""

    def ack(self, delivery_tag: Any) -> None:
        """Acknowledge; the channel takes its next message even if Redis does not hear of it."""
        try:
            super().ack(delivery_tag)
        except BaseException:
            self._quick_ack(delivery_tag)
            raise


class Channel(redis.Channel):
    """A channel that counts so."""

    QoS = QoS


class Transport(redis.Transport):
    """The transport of such channels."""

    Channel = Channel
