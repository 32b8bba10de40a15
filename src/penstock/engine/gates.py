"""Gates: before one, tasks and subflows of a flow run wait that have not begun. And the way out of a flow's code."""

from __future__ import annotations

from ..domain.pauses import Pause
from ..domain.stops import SUSPEND, Signal
from ..ledger.awaited import Awaited


class Gate:
    """`wanted` is the request of somebody outside, until somebody in the run performs it. `opened` happens when the
    gate is gone, `told` when it is to be looked how the pause stands."""

    __slots__ = ("opened", "told", "wanted")

    def __init__(self, wanted: Signal | None = None) -> None:
        self.wanted = wanted
        self.opened = Awaited()
        self.told = Awaited()

    @property
    def suspends(self) -> bool:
        """The run's code is to be left where it calls something next; until then nothing waits."""
        return self.wanted is not None and self.wanted.kind == SUSPEND

    def claim(self) -> Signal | None:
        """The request, for exactly one caller."""
        wanted, self.wanted = self.wanted, None
        return wanted


class Suspending(BaseException):
    """Raised in a flow's code to leave it, and in the code of the flows that called it: the run is entered again when
    it is resumed. `pause` is what it waits for then."""

    def __init__(self, pause: Pause) -> None:
        super().__init__(f"Flow run {pause.flow_run_id} is suspended.")
        self.pause = pause
