"""What the solvers' tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def _short_certificates() -> Iterator[None]:
    """Certificates end with their time: figures of few scenarios show as much here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("solvers.evaluation.MOMENT", 1.0)
        yield
