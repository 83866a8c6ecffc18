"""Where a value comes from, as it is told to rules and people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

_LONGEST_WHY = 120


class Origin(Struct, frozen=True):
    """Where one value, or each of several, comes from."""

    sources: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    trusted: bool = False
    linked: bool = False
    """It is trusted, or a whole field of a record that the user named by another of its fields."""
    verbatim: bool = False
    """It stands in what was heard exactly as it is."""
    why: str = ""
    """What stands around it, where it was found first."""
    pointed: bool = False
    """It is linked, or an address within a text of a record that the user named."""
    delegated: bool = False
    """It stands in a document that the user named."""

    def shown(self) -> dict[str, Any]:
        """For rules."""
        return {
            "sources": list(self.sources),
            "labels": list(self.labels),
            "trusted": self.trusted,
            "seen": bool(self.sources),
            "linked": self.linked,
            "pointed": self.linked or self.pointed,
            "delegated": self.linked or self.delegated,
            "verbatim": self.verbatim,
            "why": self.why[:_LONGEST_WHY],
        }


NOWHERE = Origin()
PERSON = Origin(("person",), (), True, True, False, "a person has endorsed it in this run")
SELF_EVIDENT = Origin(trusted=True, linked=True)
"""Of what says nothing by itself: true, false, nothing at all."""


def both(found: Sequence[Origin]) -> Origin:
    """Of several values: as good as the worst of them."""
    if not found:
        return SELF_EVIDENT
    if len(found) == 1:
        return found[0]
    return Origin(
        tuple(dict.fromkeys([source for one in found for source in one.sources])),
        tuple(sorted({label for one in found for label in one.labels})),
        all(one.trusted for one in found),
        all(one.linked for one in found),
        all(one.verbatim for one in found),
        next((one.why for one in found if not one.trusted and one.why), found[0].why),
        all(one.linked or one.pointed for one in found),
        all(one.linked or one.delegated for one in found),
    )
