"""Policies ready to decide, kept in this process; torch is imported here, on first use, and nowhere else in the API."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

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


def load_policy(artifacts: Store, digest: str, threads: int) -> ServedPolicy:
    """A policy from its artifact; `ArtifactError` if it is missing or damaged."""
    import torch

    from solvers.artifact import PolicyArtifact
    from solvers.serving import ServedPolicy

    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    return ServedPolicy(PolicyArtifact.load(artifacts, digest))


class ServedPolicies:
    """The policies used last, by id; loading one is done once however many requests wait for it."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._artifacts = Storage.of(settings).artifacts
        self._held: OrderedDict[str, ServedPolicy] = OrderedDict()
        self._loading: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._warming: threading.Thread | None = None

    def get(self, policy_id: str, digest: str) -> ServedPolicy:
        """The policy, loaded if it is not held; ApiError 503 if its artifact cannot be used."""
        policy = self._find(policy_id)
        if policy is not None:
            self._metrics.policy_loads.labels("yes").inc()
            return policy
        with self._lock:
            loading = self._loading.setdefault(policy_id, threading.Lock())
        with loading:
            policy = self._find(policy_id)
            if policy is None:
                self._metrics.policy_loads.labels("no").inc()
                policy = self._load(digest)
                self._hold(policy_id, policy)
        return policy

    def forget(self, policy_id: str) -> None:
        """Let go of a policy that was deleted."""
        with self._lock:
            self._held.pop(policy_id, None)
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
                policy = self.get(key.id, key.artifact_digest)
                policy.recommend([policy.view.today()])
        except Exception:  # a policy that cannot be served says so when it is asked for
            log.warning("warming up stopped", exc_info=True)

    def _find(self, policy_id: str) -> ServedPolicy | None:
        with self._lock:
            policy = self._held.get(policy_id)
            if policy is not None:
                self._held.move_to_end(policy_id)
            return policy

    def _load(self, digest: str) -> ServedPolicy:
        from solvers.artifact import ArtifactError

        try:
            return load_policy(self._artifacts, digest, self._settings.inference_threads)
        except ArtifactError as error:
            log.error("artifact %s cannot be used: %s", digest, error)
            raise ApiError("artifact-unavailable", f"The artifact {digest} is missing or damaged.") from None

    def _hold(self, policy_id: str, policy: ServedPolicy) -> None:
        with self._lock:
            self._held[policy_id] = policy
            self._loading.pop(policy_id, None)
            while len(self._held) > self._settings.policy_cache:
                self._held.popitem(last=False)
            self._metrics.policies_held.set(len(self._held))
