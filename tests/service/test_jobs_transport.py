"""An acknowledgement that Redis does not hear must not leave a worker deaf."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from kombu import Consumer, Queue
from redis.exceptions import ConnectionError as Unreachable

from service.jobs.bell import TASK, make_celery
from service.settings import Settings


def test_a_message_whose_acknowledgement_fails_frees_its_place(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_celery(Settings(broker_url=redis_url, queue=f"test-{secrets.token_hex(6)}"))
    queue, heard = app.conf.task_default_queue, []
    for number in range(2):
        app.send_task(TASK, kwargs={"job_id": str(number)}, ignore_result=True)
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        consumer = Consumer(channel, [Queue(queue)], accept=["json"], on_message=heard.append, prefetch_count=1)
        with consumer:
            connection.drain_events(timeout=5)
            assert not channel.qos.can_consume()

            def away(tag: Any) -> Any:
                raise Unreachable("Redis is gone")

            with monkeypatch.context() as broken:
                broken.setattr(channel.qos, "_remove_from_indices", away)
                with pytest.raises(Unreachable):
                    heard[0].ack()
            assert channel.qos.can_consume()
            connection.drain_events(timeout=5)
            heard[1].ack()
    assert len(heard) == 2
