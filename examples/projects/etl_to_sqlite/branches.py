"""Where the orders come from: three branches of a shop, each with a CSV file. One of them is hard to reach.

In place of this file you have your own source: an FTP server, a bucket, an export of somebody else's program.
"""

from pathlib import Path

FILES = {
    "berlin": """\
order_id,customer,amount,ordered_on
B-1,Ada ,19.90,2026-07-01
B-2,grace,5,2026-07-01
B-2,grace,5,2026-07-01
B-3,,12.50,2026-07-02
""",
    "lyon": """\
order_id,customer,amount,ordered_on
L-1,Edsger,"1 200,50",2026-07-01
L-2,Barbara,not yet known,2026-07-02
L-3,Barbara,80.00,02.07.2026
""",
    "oslo": """\
order_id,customer,amount,ordered_on
O-1,Ole-Johan,45.00,2026-07-01
O-2,Kristen,-45.00,2026-07-02
O-3,Kristen,99.95,2026-07-03
""",
}


class Branches:
    """The exports of all branches. Oslo's line is down for the first two calls."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._refusals = {"oslo": 2}
        folder.mkdir(parents=True, exist_ok=True)
        for branch, text in FILES.items():
            (folder / f"{branch}.csv").write_text(text, encoding="utf-8")

    def names(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob("*.csv"))

    def read(self, branch: str) -> str:
        """The file of a branch. Raises `ConnectionError` while its line is down."""
        if self._refusals.get(branch, 0) > 0:
            self._refusals[branch] -= 1
            raise ConnectionError(f"{branch} does not answer")
        return (self._folder / f"{branch}.csv").read_text(encoding="utf-8")
