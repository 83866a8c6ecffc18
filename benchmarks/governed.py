"""What ``benchmarks.governors`` compares: the usual configuration, with governors added."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks import configs

AMPLE = 1_000_000
"""So many, or so much, that nothing is refused."""

_EVERYWHERE = "match: {tools: [up]}"
_DOCUMENTS = {
    "run": f"Run {{{_EVERYWHERE}, steps: {AMPLE}, depth: 20, fan_out: 20, duration: 1h}}",
    "loop": f"Loop {{{_EVERYWHERE}}}",
    "retry": f"Retry {{{_EVERYWHERE}}}",
    "pool": f"Pool {{{_EVERYWHERE}, concurrency: 1024}}",
    "budget": f"Budget {{{_EVERYWHERE}, per: [agent], window: day, usd: {AMPLE}, calls: {AMPLE}00, warn: 80%}}",
}
"""Kind and spec of each document, by name."""


@dataclass(frozen=True)
class Variant:
    """A gateway to measure: ``documents`` by name; ``traces``: calls are traced through the tool; ``costs``: each call
    has a price; ``quarantined``: a quarantine of somebody else stands."""

    name: str
    documents: tuple[str, ...] = ()
    traces: bool = False
    costs: bool = False
    quarantined: bool = False

    def config(self, port: int, admin: int, upstream: int) -> str:
        """Its configuration."""
        text = configs.toolgate(port, admin, upstream, full=True)
        if self.costs:
            text = text.replace("    limits: {concurrency", "    cost: 0.001\n    limits: {concurrency", 1)
        return f"{text}lineage: {{propagate: {'always' if self.traces else 'never'}}}\n"

    def policies(self) -> str:
        """Its policies."""
        documents = [configs.policies()]
        for name in self.documents:
            kind, _, spec = _DOCUMENTS[name].partition(" ")
            documents.append(f"apiVersion: toolgate/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
        return "---\n".join(documents)


OFF = Variant("off")
ALL = Variant("all", tuple(_DOCUMENTS), traces=True, costs=True, quarantined=True)
VARIANTS = (
    OFF,
    Variant("run", ("run",)),
    Variant("lineage", traces=True),
    Variant("loop", ("loop",)),
    Variant("retry", ("retry",)),
    Variant("loop+retry", ("loop", "retry")),
    Variant("pool", ("pool",)),
    Variant("price", costs=True),
    Variant("budget", ("budget",), costs=True),
    Variant("quarantine", quarantined=True),
    ALL,
)
