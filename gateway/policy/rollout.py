"""Gradual rollout: a policy is enforced for a stable share of runs or agents, and only recorded for the rest."""

from __future__ import annotations

import re
from hashlib import blake2b

from msgspec import Struct

from gateway.model import Call

_ALL = 2**64


class Rollout(Struct, frozen=True):
    """Whom the policy of this name is enforced for: ``percent`` of the runs (or of the agents), and ``agents`` always.

    Which ones depends on names alone, so it is the same in every process and after every restart; who is in at 10
    percent still is at 25. The policy's name counts, so that it is not always the same runs that go first.
    """

    policy: str
    percent: float
    by_run: bool
    agents: tuple[re.Pattern[str], ...] = ()

    def covers(self, call: Call) -> bool:
        """Whether the policy is enforced for this call."""
        if any(pattern.fullmatch(call.agent.id) for pattern in self.agents):
            return True
        name = (call.run.id if self.by_run else "") or call.agent.id
        return share(self.policy, name) < self.percent


def share(policy: str, name: str) -> float:
    """Where a run or agent stands in a policy's rollout: a number from 0 up to, not including, 100."""
    digest = blake2b(f"{policy}\0{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * 100.0 / (_ALL >> 11)
