"""The table of a run, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence

from . import checks
from .checks import Difference, Explained, Results


class Report:
    """Gathers comparisons. ``explained`` are the differences that do not fail the run."""

    def __init__(self, explained: Sequence[Explained]) -> None:
        self._explained = explained
        self._rows: list[tuple[str, str, str, str, str]] = []
        self._faults: list[str] = []

    @property
    def good(self) -> bool:
        """Whether nothing failed so far."""
        return not self._faults

    def add(self, what: str, direct: Results, through: Results) -> list[Difference]:
        """Compare two runs of the same; what differs without being explained."""
        differences = checks.compare(direct, through)
        unknown = [difference for difference in differences if not self._covered(difference)]
        self._row(what, direct, through, str(len(differences) - len(unknown)), str(len(unknown)))
        self._faults += [f"{what}: {difference}" for difference in unknown]
        if not any(direct.values()):
            self._faults.append(f"{what}: the suite made no checks at all")
        return unknown

    def control(self, what: str, direct: Results, spoiled: Results, *, harmless: bool) -> None:
        """Compare with a proxy that is bad on purpose, or plain: the comparison must say which it was."""
        differences = checks.compare(direct, spoiled)
        self._row(what, direct, spoiled, "-", str(len(differences)))
        if harmless and differences:
            self._faults += [f"{what}, which breaks nothing: {difference}" for difference in differences]
        if not harmless and not differences:
            self._faults.append(f"{what}: the comparison did not see what this proxy breaks")

    def table(self) -> str:
        """One row for each comparison, as Markdown."""
        head = ("what", "direct", "through", "explained", "not explained")
        widths = [max(map(len, column)) for column in zip(head, *self._rows, strict=True)]
        rows = (head, tuple("-" * width for width in widths), *self._rows)
        lines = [" | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows]
        return "\n".join(f"| {line} |" for line in lines)

    def show(self) -> None:
        """Print the table, the explanations that were used, and what failed."""
        print(self.table())
        for explained in self._explained:
            if explained.seen:
                print(f"\nexplained ({len(explained.seen)}): {explained.scenario} {explained.check} {explained.place}")
                print(f"  {explained.why}\n  e.g. {explained.seen[0]}")
        for fault in self._faults:
            print(f"\nDIFFERS: {fault}")
        print("\nthe same through the gateway" if self.good else f"\n{len(self._faults)} things differ or failed")

    def _covered(self, difference: Difference) -> bool:
        return any(explained.covers(difference) for explained in self._explained)

    def _row(self, what: str, one: Results, other: Results, explained: str, unknown: str) -> None:
        self._rows.append((what, _counted(one), _counted(other), explained, unknown))


def _counted(results: Results) -> str:
    passed, failed = checks.count(results)
    return f"{passed} passed, {failed} failed"
