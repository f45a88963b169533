"""The table of settings in `docs/configuration.md`, made of the settings themselves.

`python -m tests.packaging.settings_table` writes it into the page.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticUndefined

from service.settings import Settings
from tests.packaging.compose import ROOT

PAGE = ROOT / "docs" / "configuration.md"
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"


def settings_table() -> str:
    """A row for each setting: variable, default, meaning."""
    rows = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "the user's data folder" if field.default is PydanticUndefined else _shown(field.default)
        rows.append(f"| `HERENOW_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def _shown(default: Any) -> str:
    return "" if default == "" else f"`{json.dumps(default) if not isinstance(default, str) else default}`"


def written() -> str:
    """The table as it stands in the page."""
    return PAGE.read_text().split(BEGIN)[1].split(END)[0].strip()


def main() -> None:
    """Write the table into the page."""
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{settings_table()}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
