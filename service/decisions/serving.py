"""Policies ready to decide, kept in this process; torch is imported here, on first use, and nowhere else in the API."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.collector import spare_what_is_here
from service.db.session import Database
from service.errors import ApiError
from service.metrics import Metrics
from service.policies.repository import likely_keys
from service.settings import Settings
from service.storage import Storage
from solvers.store import Store

if TYPE_CHECKING:
    from solvers.serving import ServedPolicy

log = logging.getLogger(__name__)

_WARMED = 4  # policies made ready at start
QUICK_SECONDS = 0.02  # a policy that takes longer for a state decides for one request at a time


def load_policy(artifacts: Store, digest: str, threads: int, device: str = "cpu") -> ServedPolicy:
    """A policy from its artifact; `ArtifactError` if it is missing or damaged."""
    import torch

    from solvers.artifact import PolicyArtifact
    from solvers.serving import ServedPolicy

    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return ServedPolicy(PolicyArtifact.load(artifacts, digest), device)


@dataclass
class Held:
    """A policy ready to decide, and how much of a thread's time a state took it of late [s]."""

    policy: ServedPolicy
    seconds: float = math.inf


class ServedPolicies:
    """The policies used last, by digest; loading one is done once however many requests wait for it."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._artifacts = Storage.of(settings).artifacts
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._loading: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._warming: threading.Thread | None = None
        self._has_libraries = False

    def get(self, digest: str) -> ServedPolicy:
        """The policy, loaded if it is not held; ApiError 503 if its artifact cannot be used."""
        held = self._find(digest)
        if held is not None:
            self._metrics.policy_loads.labels("yes").inc()
            return held.policy
        with self._lock:
            loading = self._loading.setdefault(digest, threading.Lock())
        with loading:
            held = self._find(digest)
            if held is None:
                self._metrics.policy_loads.labels("no").inc()
                held = self._load(digest)
                self._hold(digest, held)
        return held.policy

    def quick(self, digest: str) -> ServedPolicy | None:
        """The policy if it is held and known to decide at once."""
        held = self._find(digest)
        if held is None or held.seconds > QUICK_SECONDS:
            return None
        self._metrics.policy_loads.labels("yes").inc()
        return held.policy

    def note(self, digest: str, seconds: float) -> None:
        """Remember how much of a thread the policy took for a state [s]; one slow answer does not make it slow."""
        held = self._find(digest)
        if held is not None:
            held.seconds = min(seconds, 1.5 * held.seconds)

    def forget(self, digest: str) -> None:
        """Let go of a policy that was deleted; another version of the same content loads it again."""
        with self._lock:
            self._held.pop(digest, None)
            self._metrics.policies_held.set(len(self._held))

    def warm_up(self, database: Database) -> None:
        """Make the policies in use ready in the background, so the first recommendation does not wait for torch."""
        self._warming = threading.Thread(target=self._warm, args=(database,), name="warm-up", daemon=True)
        self._warming.start()

    def close(self) -> None:
        """Stop warming up; waits for the policy being loaded."""
        self._closed.set()
        if self._warming is not None:
            self._warming.join()

    def _warm(self, database: Database) -> None:
        try:
            with database.read() as session:
                keys = likely_keys(session, min(_WARMED, self._settings.policy_cache))
            for key in keys:
                if self._closed.is_set():
                    return
                policy = self.get(key.artifact_digest)
                for _ in range(2):  # the first decision of a process makes libraries ready
                    started = time.thread_time()
                    policy.recommend([policy.view.today()])
                    self.note(key.artifact_digest, time.thread_time() - started)
        except Exception:  # a policy that cannot be served says so when it is asked for
            log.warning("warming up stopped", exc_info=True)

    def _find(self, digest: str) -> Held | None:
        with self._lock:
            held = self._held.get(digest)
            if held is not None:
                self._held.move_to_end(digest)
            return held

    def _load(self, digest: str) -> Held:
        from solvers.artifact import ArtifactError

        try:
            own = self._settings
            policy = load_policy(self._artifacts, digest, own.inference_threads, own.inference_device)
        except ArtifactError as error:
            log.error("artifact %s cannot be used: %s", digest, error)
            raise ApiError("artifact-unavailable", f"The artifact {digest} is missing or damaged.") from None
        if not self._has_libraries:  # once: of policies let go of later nothing may stay
            self._has_libraries = True
            spare_what_is_here()
        return Held(policy)

    def _hold(self, digest: str, held: Held) -> None:
        with self._lock:
            self._held[digest] = held
            self._loading.pop(digest, None)
            while len(self._held) > self._settings.policy_cache:
                self._held.popitem(last=False)
            self._metrics.policies_held.set(len(self._held))
