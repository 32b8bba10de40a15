"""docs/telemetry.md says of metrics what a server says."""

from __future__ import annotations

import re
from pathlib import Path

from ..api.kit import Server

PAGE = Path(__file__).parents[2] / "docs" / "telemetry.md"


def test_every_metric_is_on_the_page_and_no_other(tmp_path: Path, penstock_home: Path) -> None:
    server = Server(penstock_home)
    try:
        text = server.ask("GET", "/metrics", root=True).body.decode()
    finally:
        server.close()
    said = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith(("| `penstock_", "| `process_"))]
    shown: set[str] = set()
    for row in rows:
        names = re.findall(r"`(\w+)`", row.split("|")[1])
        shown.update(name if not name.startswith("_") else names[0].removesuffix("_slots") + name for name in names)
    # (Counters of what is reported begin with the first report.)
    shown -= {"penstock_ingested_task_runs_total", "penstock_ingested_lines_total"}
    assert shown == said
