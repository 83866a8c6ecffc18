"""What is wrong with a policy document, and where."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gateway.policy.engine import CelError

PathPart = str | int
Path = tuple[PathPart, ...]


class Complaint(Struct, frozen=True):
    """One mistake. ``path`` leads to the value in the document; ``line_in_scalar`` and ``column_in_scalar`` count from
    1 inside that value where it is an expression, and are 0 where the value as a whole is meant."""

    document_index: int
    path: Path
    message: str
    hint: str = ""
    line_in_scalar: int = 0
    column_in_scalar: int = 0
    severity: Literal["error", "warning"] = "error"
    kind: str = "policy"
    """The kind of mistake, for machines: lower-case words with hyphens."""


class Complaints:
    """Collects complaints."""

    def __init__(self) -> None:
        self.all: list[Complaint] = []

    def error(self, document: int, path: Path, message: str, hint: str = "", kind: str = "policy") -> None:
        """The document cannot be used."""
        self.all.append(Complaint(document, path, message, hint, kind=kind))

    def warning(self, document: int, path: Path, message: str, hint: str = "", kind: str = "policy") -> None:
        """The document can be used, but hardly does what was meant."""
        self.all.append(Complaint(document, path, message, hint, severity="warning", kind=kind))

    def cel(self, document: int, path: Path, error: CelError) -> None:
        """The expression at ``path`` cannot be used."""
        place = error.line, error.column
        self.all.append(Complaint(document, path, error.message, error.hint, *place, kind="expression"))
