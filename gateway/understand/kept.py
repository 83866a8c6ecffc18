"""What is remembered of MCP servers and their clients while versions of configuration and policies come and go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from gateway.model import Origin, Tool
from gateway.policy.pins import Pinning

if TYPE_CHECKING:  # loaded where some tool speaks MCP: 4 MB
    from gateway.understand.catalogue import ServerCatalogue
    from gateway.understand.mcp_elicitation import Openers
    from gateway.understand.pins import Change


class Kept:
    """What outlives reloads: the tools that each MCP server has offered so far, and what its clients can."""

    def __init__(self) -> None:
        self._catalogues: dict[str, ServerCatalogue] = {}
        self._servers: dict[str, tuple[Origin, str]] = {}
        self._openers: Openers | None = None

    def openers(self) -> Openers:
        """Clients of MCP that open URLs."""
        if self._openers is None:
            from gateway.understand.mcp_elicitation import Openers

            self._openers = Openers()
        return self._openers

    def catalogue(self, tool: Tool, pins: Pinning) -> ServerCatalogue:
        """The catalogue of a server, held to these pins from now on; a new one where the tool is at another address."""
        server = (tool.origin, tool.base_path)
        catalogue = self._catalogues.get(tool.name)
        if catalogue is None or self._servers[tool.name] != server:
            from gateway.understand.catalogue import ServerCatalogue

            catalogue = self._catalogues[tool.name] = ServerCatalogue(tool.name, pins)
            self._servers[tool.name] = server
        else:
            catalogue.repin(pins)
        return catalogue

    def keep(self, tools: Iterable[Tool]) -> None:
        """Only these tools are left."""
        names = {tool.name for tool in tools}
        for name in [name for name in self._catalogues if name not in names]:
            del self._catalogues[name], self._servers[name]

    def changes(self) -> tuple[Change, ...]:
        """The tools of all servers that are not as approved, or new."""
        return tuple(change for catalogue in self._catalogues.values() for change in catalogue.changes())

    def unapproved(self) -> Iterator[tuple[str, str, int]]:
        """Server, state, and how many of its tools are in it; servers without any have 0 changed."""
        for tool, catalogue in self._catalogues.items():
            counts = Counter(change.state for change in catalogue.changes())
            yield from ((tool, state, counts[state]) for state in ("changed", "new"))

    @property
    def revision(self) -> int:
        """Grows whenever ``changes`` are others than before."""
        return sum(catalogue.revision for catalogue in self._catalogues.values())


__all__ = ["Kept"]
