"""Who is gone is judged by what is seen of a lease; a database that is away is waited for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from service.db.patience import insist
from service.jobs.repository import Held
from service.jobs.watch import Watch

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HELD = Held("job_1", "w", 1, NOON, NOON + timedelta(seconds=12))


def renewed(seconds: float) -> Held:
    """The same claim with a heartbeat written by a clock so many seconds on."""
    later = NOON + timedelta(seconds=seconds)
    return replace(HELD, heartbeat_at=later, lease_expires_at=later + timedelta(seconds=12))


class TestWatch:
    @pytest.fixture
    def watch(self) -> Watch:
        return Watch(pace=2.0)

    def test_a_lease_that_stands_still_for_its_length_is_lost(self, watch: Watch) -> None:
        found = [watch.lost([HELD], 100.0 + 2 * look) for look in range(7)]
        assert found == [[]] * 6 + [[HELD]]

    def test_a_lease_that_is_renewed_is_not_whatever_its_clock_says(self, watch: Watch) -> None:
        """The holder's clock jumps an hour ahead, and back two."""
        for look, moment in enumerate((0, 3600, 3602, -3600, -3598, -3596, 0, 2, 4, 6)):
            assert watch.lost([renewed(moment)], 100.0 + 2 * look) == []

    def test_who_was_away_watches_from_anew(self, watch: Watch) -> None:
        watch.lost([HELD], 100.0)
        assert watch.lost([HELD], 160.0) == [], "the database was away, for the holder too"
        assert watch.lost([HELD], 162.0) == []
        for look in range(5):
            watch.lost([HELD], 164.0 + 2 * look)
        assert watch.lost([HELD], 174.0) == [HELD]

    def test_what_is_forgotten_counts_from_the_next_look(self, watch: Watch) -> None:
        for look in range(6):
            watch.lost([HELD], 100.0 + 2 * look)
        watch.forget()
        assert watch.lost([HELD], 112.0) == []


class TestPatience:
    def test_it_tries_until_the_database_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("service.db.patience.FIRST_WAIT", 0.01)
        answers = iter([OperationalError("", {}, Exception()), OperationalError("", {}, Exception()), "here"])

        def step() -> str:
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

        assert insist(step) == "here"

    def test_it_gives_up_when_time_is_over_or_it_is_told_to(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("service.db.patience.FIRST_WAIT", 0.01)

        def away() -> None:
            raise OperationalError("", {}, Exception())

        with pytest.raises(OperationalError):
            insist(away, seconds=0.05)
        with pytest.raises(OperationalError):
            insist(away, is_over=lambda: True)

    def test_a_refusal_is_no_absence(self) -> None:
        tries = []

        def refused() -> None:
            tries.append(1)
            raise IntegrityError("", {}, Exception())

        with pytest.raises(IntegrityError):
            insist(refused)
        assert len(tries) == 1
