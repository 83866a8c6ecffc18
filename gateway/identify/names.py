"""Names that agents may have where others give them."""

from __future__ import annotations

LONGEST = 256
"""Characters of an id or a role."""


def presentable(name: str, longest: int = LONGEST) -> bool:
    """Whether whoever reads the name can tell it from others."""
    return 0 < len(name) <= longest and name.isprintable() and name == name.strip()
