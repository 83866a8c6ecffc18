"""How much of the docket is each agent's: whoever asks a lot leaves room for others. Quiet."""

from __future__ import annotations

from collections import Counter

from gateway.model import Approval
from gateway.stores.memory_cabinet import MOST

MOST_BYTES = 512 << 20
"""Bytes of payloads of all approvals that are kept."""
MOST_OF_ONE = 4 << 20
"""Bytes of one."""


class Shares:
    """Approvals and bytes by agent.

    An agent may have as much as is left free beside it (dynamic thresholds, Choudhury and Hahne 1998): one that is
    alone at most half of all there is, two a third each, and there is always room for one more.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._count = self._size = 0

    def more(self, approval: Approval) -> None:
        """It is kept from now on."""
        self._change(approval.agent, 1, approval.size)

    def less(self, approval: Approval) -> None:
        """It is kept no more."""
        self._change(approval.agent, -1, -approval.size)

    def refusal(self, agent: str, size: int) -> str:
        """Why one more of this agent, with so many bytes, cannot be kept; empty where it can."""
        if size > MOST_OF_ONE:
            return f"the call has {size} bytes to be shown to a person, at most {MOST_OF_ONE} can be kept"
        if self._counts[agent] >= MOST - self._count or self._bytes[agent] + size > MOST_BYTES - self._size:
            return "too much that this agent has asked of people is kept already"
        return ""

    def _change(self, agent: str, count: int, size: int) -> None:
        self._count += count
        self._size += size
        self._counts[agent] += count
        self._bytes[agent] += size
        if self._counts[agent] <= 0:
            del self._counts[agent], self._bytes[agent]
