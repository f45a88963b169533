"""The planner's face of the workshop: `{"stock": [3, 1], "setup": [0]}` in, a line per machine out."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from models.core import InvalidInput, Issue, pointer
from models.view import Column, Repair, View
from tests.workshop.instance import Workshop
from tests.workshop.simulator import Shop, Work


class WorkshopView(View):
    """State documents ↔ tensors of one workshop; items and machines are numbers."""

    columns = (Column("machine", "Machine"), Column("item", "Item"))
    lines_key = "work"

    def __init__(self, shop: Workshop) -> None:
        self.shop = shop

    def state_schema(self) -> dict[str, Any]:
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}

    def today(self) -> dict[str, Any]:
        return {"stock": [0] * self.shop.items, "setup": [self.shop.items] * self.shop.machines}

    def read_files(self, files: Mapping[str, bytes], options: Mapping[str, str]) -> dict[str, Any]:
        raise InvalidInput([Issue("files", "error", "", "a workshop's state is not read from files")])

    def decode(self, documents: Sequence[Any]) -> tuple[Shop, Tensor]:
        for row, document in enumerate(documents):
            if set(document) != {"stock", "setup"}:
                raise InvalidInput([Issue("state", "error", pointer(row), "needs `stock` and `setup`")])
        stock = torch.tensor([document["stock"] for document in documents], dtype=torch.float64)
        setup = torch.tensor([document["setup"] for document in documents])
        return Shop(stock, setup), torch.zeros(len(documents), dtype=torch.long)

    def decode_columns(self, columns: Mapping[str, Any]) -> tuple[Shop, Tensor]:
        return self.decode([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])

    def encode(self, state: Shop, decision: Work, stage: Tensor) -> list[dict[str, Any]]:
        made = [[int(item) for item in row] for row in decision.item.tolist()]
        return [{"work": [{"machine": k, "item": item} for k, item in enumerate(row)]} for row in made]

    def encode_columns(self, state: Shop, decision: Work, stage: Tensor) -> dict[str, Any]:
        return {"item": decision.item.tolist()}

    def repairs(self, state: Shop, proposed: Work, feasible: Work, stage: Tensor) -> list[list[Repair]]:
        return [[] for _ in range(state.batch)]

    def probes(self, state: Shop) -> Shop | None:
        return None

    def explain(self, state: Shop, decision: Work, stage: Tensor, probed: Sequence[Work | None]) -> list[list[str]]:
        return [[] for _ in range(state.batch)]

    def warnings(self, documents: Sequence[object]) -> list[list[str]]:
        return [[] for _ in documents]
