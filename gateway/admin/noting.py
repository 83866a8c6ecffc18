"""What people do at the admin side goes to the log, and to the audit where one is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gateway.policy.visible import visible

audit = logging.getLogger("toolgate.audit")

Noted = Callable[[str, str, str, str], None]
"""Is told of each thing that somebody does: who, from where, what, and why."""


def unnoted(by: str, peer: str, what: str, why: str) -> None:
    """Nobody keeps an audit."""


def note(noted: Noted, by: str, peer: str, what: str, why: str) -> None:
    """Log it, and tell the audit."""
    told = (by, peer, what, why)
    noted(*told)
    audit.info("admin: by %s from %s: %s (%s)", *[visible(part).replace("\n", "\\n") for part in told])
