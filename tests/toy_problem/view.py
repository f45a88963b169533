"""The planner's face of the stand: `{"stock": 3}` in, one line out."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from models.core import InvalidInput, Issue, pointer
from models.view import Column, Repair, View
from tests.toy_problem.instance import Newsstand
from tests.toy_problem.simulator import Order, Stock


class NewsstandView(View):
    """State documents ↔ tensors of one stand."""

    columns = (Column("item", "Item"), Column("copies", "Order", "copies"))
    lines_key = "orders"

    def __init__(self, stand: Newsstand) -> None:
        self.stand = stand

    def state_schema(self) -> dict[str, Any]:
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "additionalProperties": False,
            "required": ["stock"],
            "properties": {"stock": {"type": "number", "minimum": 0, "maximum": 1e6, "description": "Stock [copies]."}},
        }

    def today(self) -> dict[str, Any]:
        return {"stock": self.stand.stock}

    def read_files(self, files: Mapping[str, bytes], options: Mapping[str, str]) -> dict[str, Any]:
        raise InvalidInput([Issue("files", "error", "", "a stand's state is not read from files")])

    def decode(self, documents: Sequence[object]) -> tuple[Stock, Tensor]:
        issues: list[Issue] = []
        for row, document in enumerate(documents):
            if not isinstance(document, dict) or set(document) != {"stock"}:
                issues.append(Issue("state", "error", pointer(row), "needs `stock` and nothing else"))
            else:
                issues += _wrong(document["stock"], row, "stock")
        if issues:
            raise InvalidInput(issues)
        return _tensors([document["stock"] for document in documents])  # type: ignore[index]

    def decode_columns(self, columns: Mapping[str, object]) -> tuple[Stock, Tensor]:
        stock = columns.get("stock")
        if set(columns) != {"stock"} or not isinstance(stock, list):
            raise InvalidInput([Issue("state", "error", "/stock", "needs a list `stock` and nothing else")])
        issues = [issue for row, value in enumerate(stock) for issue in _wrong(value, "stock", row)]
        if issues:
            raise InvalidInput(issues)
        return _tensors(stock)

    def encode(self, state: Stock, decision: Order, stage: Tensor) -> list[dict[str, Any]]:
        return [{"orders": [{"item": "paper", "copies": round(value, 3)}]} for value in decision.copies.tolist()]

    def encode_columns(self, state: Stock, decision: Order, stage: Tensor) -> dict[str, Any]:
        return {"paper": [round(value, 3) for value in decision.copies.tolist()]}

    def repairs(self, state: Stock, proposed: Order, feasible: Order, stage: Tensor) -> list[list[Repair]]:
        pairs = zip(proposed.copies.tolist(), feasible.copies.tolist(), strict=True)
        return [[Repair("paper", a, b, "no returns")] if abs(a - b) > 1e-6 else [] for a, b in pairs]

    def probes(self, state: Stock) -> Stock | None:
        return None

    def explain(self, state: Stock, decision: Order, stage: Tensor, probed: Sequence[Order | None]) -> list[list[str]]:
        levels = (state.copies + decision.copies).tolist()
        return [[f"After the order there are {level:.1f} copies."] for level in levels]

    def warnings(self, documents: Sequence[object]) -> list[list[str]]:
        return [[] for _ in documents]


def _wrong(value: object, *where: str | int) -> list[Issue]:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e6:
        return []
    return [Issue("stock", "error", pointer(*where), "must be a number from 0 to 1,000,000")]


def _tensors(stock: Sequence[float]) -> tuple[Stock, Tensor]:
    return Stock(torch.tensor(stock, dtype=torch.float64)), torch.zeros(len(stock), dtype=torch.long)
