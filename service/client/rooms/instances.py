"""A planner's data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import calls
from ..calls import Call, Files
from ..operations import Room, W, listing, operation
from ..record import Page
from ..records import Figures, FitView, InstanceCreated, InstanceSummary, InstanceView, Issues, ScenarioSchema

ONE = "/v1/instances/{instance_id}"


class Instances(Room[W]):
    """Instances: one planner's data for one problem, stored once per content."""

    @operation
    def create(self, document: Mapping[str, Any], *, idempotency_key: str | None = None) -> Call[InstanceCreated]:
        """Store an instance; the same content gives the same id."""
        return calls.create("/v1/instances", InstanceCreated, document, idempotency_key)

    @operation
    def import_files(
        self,
        problem: str,
        format: str,
        files: Files,
        options: Mapping[str, str] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Call[InstanceCreated]:
        """Make an instance of files (`Problems.get` lists the formats): contents or paths, by the name of the part."""
        words = {"problem": problem, "format": format, **(options or {})}
        return calls.upload("/v1/instances/import", InstanceCreated, files, words, idempotency_key)

    @operation
    def validate(self, document: Any) -> Call[Issues]:
        """What is wrong with a document; nothing is stored."""
        return calls.ask("/v1/instances/validate", Issues, document)

    @listing
    def list(
        self,
        *,
        problem: str | None = None,
        name: str | None = None,
        search: str | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> Call[Page[InstanceSummary]]:
        """The instances, newest first."""
        query = {"problem": problem, "name": name, "search": search, "limit": page_size, "cursor": cursor}
        return calls.get("/v1/instances", Page[InstanceSummary], query)

    @operation
    def get(self, instance_id: str) -> Call[InstanceView]:
        """One instance with its document."""
        return calls.get(ONE, InstanceView, instance_id=instance_id)

    @operation
    def delete(self, instance_id: str) -> Call[None]:
        """Delete an instance that nothing refers to."""
        return calls.delete(ONE, instance_id=instance_id)

    @operation
    def figures(self, instance_id: str) -> Call[Figures]:
        """The instance drawn: maps, tables, series."""
        return calls.get(f"{ONE}/figures", Figures, instance_id=instance_id)

    @operation
    def fit(self, instance_id: str) -> Call[FitView]:
        """Which solvers serve the instance with their defaults, and why not the others."""
        return calls.get(f"{ONE}/fit", FitView, instance_id=instance_id)

    @operation
    def scenario_schema(self, instance_id: str) -> Call[ScenarioSchema]:
        """What scenarios of your own look like for the instance."""
        return calls.get(f"{ONE}/scenario-schema", ScenarioSchema, instance_id=instance_id)
