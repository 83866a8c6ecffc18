"""What a writer says it has seen, and what is expected to stand because of that."""

from __future__ import annotations

from enum import Enum

from gateway.model.shelf import read_version, version_of


class Seen(Enum):
    """What is not a version."""

    BLIND = "nothing is said"
    ABSENT = "no value"
    ANY = "a value, whichever"


Expect = Seen | tuple[str, ...]
"""Versions, of which one must stand, or one of the others."""


def one_version(expect: Expect) -> tuple[str, int] | None:
    """Epoch and revision, where one version is expected that can be; None for all else."""
    if isinstance(expect, Seen) or len(expect) != 1:
        return None
    found = read_version(expect[0])
    return found if found is not None and found[1] > 0 and version_of(*found) == expect[0] else None
