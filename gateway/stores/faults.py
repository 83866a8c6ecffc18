"""Calls that failed by the caller's own fault, remembered for a while: the same call would fail again. Quiet."""

from __future__ import annotations

from collections import OrderedDict

from gateway.model import Outcome

MOST = 8
"""Faults of one run that are remembered."""


class Fault:
    """One such call: what the tool answered (``status``, 200 where only the result says that it failed), what it
    complained of, when, and how often the agent has been told of it since."""

    __slots__ = ("at", "complaint", "status", "told")

    def __init__(self, outcome: Outcome, now: float) -> None:
        self.status, self.complaint, self.at = outcome.upstream, outcome.found.complaint, now
        self.told = 0


class Faults:
    """Those of one run, by intent."""

    __slots__ = ("_faults",)

    def __init__(self) -> None:
        self._faults: OrderedDict[str, Fault] = OrderedDict()

    def of(self, intent: str, now: float, remember: float) -> Fault | None:
        """What the same call came to, at most ``remember`` seconds ago."""
        fault = self._faults.get(intent)
        return fault if fault is not None and now - fault.at <= remember else None

    def add(self, intent: str, outcome: Outcome, now: float) -> None:
        """The call has failed by its caller's fault."""
        self._faults[intent] = Fault(outcome, now)
        self._faults.move_to_end(intent)
        if len(self._faults) > MOST:
            self._faults.popitem(last=False)

    def forget(self, intent: str) -> None:
        """The call has not failed so any more."""
        self._faults.pop(intent, None)
