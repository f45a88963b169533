"""Instances drawn: an instance is its content, so its figures are drawn once and kept."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from models.figures import documents
from service.instances import service

KEPT = 32  # instances whose figures are kept


class Drawings:
    """Figures as JSON, by the digest of the instance's content; torch comes with the first one drawn."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, digest: str, document: Mapping[str, Any]) -> bytes:
        """The figures of an instance's document."""
        with self._lock:
            if digest in self._kept:
                self._kept.move_to_end(digest)
                return self._kept[digest]
        drawn = draw(document)
        with self._lock:
            self._kept[digest] = drawn
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return drawn


def draw(document: Mapping[str, Any]) -> bytes:
    """The figures of an instance's document as JSON; none where its problem draws nothing."""
    instance = service.parse(dict(document))
    problem = service.problem_of(document)
    figures = [] if problem.draw is None else documents(problem.draw(instance))
    return json.dumps({"figures": figures}, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
