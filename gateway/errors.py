"""The error types, each with the status it hints at and whose fault it is."""

from __future__ import annotations

from gateway.model import Fields, Reason, Refusal


class ToolgateError(Exception):
    """Base of all errors that Toolgate raises on purpose."""


class Problem:
    """One mistake in a file, with its place and the fix. ``line`` and ``column`` count from 1; 0 means unknown.

    ``kind`` is the kind of mistake, for machines: ``unknown-key``, ``expression``, ``argument-unknown``."""

    __slots__ = ("column", "file", "hint", "kind", "line", "message")

    def __init__(
        self, file: str, line: int, column: int, message: str, hint: str = "", *, kind: str = "unreadable"
    ) -> None:
        self.file, self.line, self.column, self.message, self.hint = file, line, column, message, hint
        self.kind = kind

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}" + (f" ({self.hint})" if self.hint else "")

    def __repr__(self) -> str:
        return f"Problem({str(self)!r})"


class ConfigError(ToolgateError):
    """The configuration or a policy cannot be used. Carries every problem found, not only the first."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class Refused(ToolgateError):  # noqa: N818 - a verdict, not a fault
    """A step cannot go on with a call; it becomes a refusal (``refusal_of``). The agent's fault unless 5xx."""

    def __init__(
        self,
        reason: Reason,
        status: int,
        detail: str,
        advice: str = "",
        fields: Fields = (),
        retry_after: float = 0.0,
        rule: str = "",
    ) -> None:
        super().__init__(detail)
        self.reason, self.status, self.detail, self.advice = reason, status, detail, advice
        self.fields, self.retry_after, self.rule = fields, retry_after, rule


def refusal_of(refused: Refused) -> Refusal:
    """What becomes of a call with which a step cannot go on."""
    return Refusal(
        refused.reason,
        refused.status,
        refused.detail,
        refused.rule,
        retry_after=refused.retry_after,
        retryable=refused.retry_after > 0,
        advice=refused.advice,
        fields=refused.fields,
    )


class UpstreamError(ToolgateError):
    """The tool could not be reached, or what it said cannot be used. The tool's fault.

    ``unsent``: there was no connection yet, so that nothing of the call can have reached the tool.
    """

    unsent = False

    def __init__(self, reason: Reason, status: int, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.status, self.detail = reason, status, detail


class CutShort(UpstreamError):  # noqa: N818 - a verdict, not a fault
    """An answer ends here, by the policies' word, with these last bytes of its body."""

    def __init__(self, reason: Reason, detail: str, last: bytes) -> None:
        super().__init__(reason, 403, detail)
        self.last = last


class ClientGone(ToolgateError):  # noqa: N818 - an event
    """The agent closed its connection before the call ended."""


class StoreUnavailable(ToolgateError):  # noqa: N818 - a state of the world
    """The shared store cannot be reached now. Nobody's fault here; what follows is said where it is caught."""


class BusyError(ToolgateError):
    """Another call is writing this key of a memory."""


class MovedError(ToolgateError):
    """A key of a memory does not stand any more as a write was decided upon."""


class OverQuota(ToolgateError):  # noqa: N818 - a verdict, not a fault
    """A namespace of the shared memory would hold more than it may. ``what``: items, size, value, keys_per_agent,
    namespaces; ``limit`` is how much of it there may be."""

    def __init__(self, what: str, limit: int, detail: str) -> None:
        super().__init__(detail)
        self.what, self.limit, self.detail = what, limit, detail


class Forgotten(ToolgateError):  # noqa: N818 - a state of the world
    """A namespace of the shared memory cannot be shown as of this revision: that is too long ago, or has not been."""

    def __init__(self, namespace: str, revision: int, latest: int) -> None:
        why = "is not kept any more" if revision <= latest else "has not been"
        super().__init__(f"revision {revision} of {namespace} {why}; it is at {latest}")
        self.revision, self.latest = revision, latest
