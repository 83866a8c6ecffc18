"""Which namespaces there are, and for whom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from gateway.config.schema_memory import Namespace
from gateway.memory.caller import Caller
from gateway.memory.wrong import Wrong
from gateway.policy.globs import glob_regex
from gateway.policy.guards import short

_ROLE = "role:"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FEW = 20
"""Names that an answer tells."""


class Place:
    """A configured namespace, or a glob of namespaces."""

    def __init__(self, pattern: str, settings: Namespace) -> None:
        self.pattern, self.settings = pattern, settings
        self.limits = settings.limits
        self.is_glob = "*" in pattern
        self._regex = glob_regex(pattern)
        self._readers, self._writers = _Members(settings.readers), _Members(settings.writers)

    def fits(self, name: str) -> bool:
        """Whether a namespace may be called so by this."""
        return self._regex.fullmatch(name) is not None

    def is_read_by(self, caller: Caller) -> bool:
        """Whether this agent may read."""
        return self._readers.have(caller)

    def is_written_by(self, caller: Caller) -> bool:
        """Whether this agent may write."""
        return self._writers.have(caller)


class _Members:
    def __init__(self, globs: Iterable[str]) -> None:
        roles = [glob.removeprefix(_ROLE) for glob in globs if glob.startswith(_ROLE)]
        self._agents = [glob_regex(glob) for glob in globs if not glob.startswith(_ROLE)]
        self._roles = [glob_regex(glob) for glob in roles]

    def have(self, caller: Caller) -> bool:
        if any(glob.fullmatch(caller.agent) for glob in self._agents):
            return True
        return any(glob.fullmatch(role) for glob in self._roles for role in caller.roles)


class Namespaces:
    """Those of one version of the configuration."""

    def __init__(self, configured: Mapping[str, Namespace]) -> None:
        places = [Place(name, settings) for name, settings in configured.items()]
        self._named = {place.pattern: place for place in places if not place.is_glob}
        self._globs = [place for place in places if place.is_glob]

    @property
    def names(self) -> Iterable[str]:
        """As they are configured."""
        return (*self._named, *(place.pattern for place in self._globs))

    def of(self, name: str) -> Place | None:
        """The namespace of this name; None where nobody has configured it."""
        found = self._named.get(name)
        if found is None and _NAME.fullmatch(name):
            found = next((place for place in self._globs if place.fits(name)), None)
        return found

    def readable(self, name: str, caller: Caller) -> Place:
        """The namespace, for who wants to read it.

        Raises:
            Wrong: 404, there is none; 403, not for this agent.
        """
        place = self._known(name, caller)
        if not place.is_read_by(caller):
            raise _forbidden(name, "readers", caller)
        return place

    def writable(self, name: str, caller: Caller) -> Place:
        """As ``readable``, for who wants to write, and is shown what stands in the way: so it must read, too."""
        place = self.readable(name, caller)
        if not place.is_written_by(caller):
            raise _forbidden(name, "writers", caller)
        return place

    def for_agent(self, caller: Caller) -> list[tuple[str, bool]]:
        """Names and globs that this agent may read, and whether it may write there."""
        places = [place for place in (*self._named.values(), *self._globs) if place.is_read_by(caller)]
        return [(place.pattern, place.is_written_by(caller)) for place in places]

    def _known(self, name: str, caller: Caller) -> Place:
        place = self.of(name)
        if place is not None:
            return place
        mine = [pattern for pattern, _ in self.for_agent(caller)]
        use = f"use {' or '.join(mine[:_FEW])}; " if mine else ""
        advice = f"{use}an operator adds namespaces under memory.namespaces in the configuration"
        raise Wrong(404, "no_namespace", f"there is no namespace {short(name)!r}", advice)


def _forbidden(name: str, whom: str, caller: Caller) -> Wrong:
    detail = f"{short(caller.agent)} is not among the {whom} of {name}"
    return Wrong(403, "not_allowed", detail, f"go on without it; an operator sets memory.namespaces.{name}.{whom}")
