"""What most tests need: nouns with sensible values, of which a test names only those that matter to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.model import (
    Agent,
    Call,
    CircuitClaim,
    CircuitSettings,
    Fields,
    Mode,
    Origin,
    PoolClaim,
    PoolSettings,
    RateClaim,
    Request,
    Run,
    SlotClaim,
    Spoke,
    Tool,
    Treated,
    Verdict,
)

ANYBODY = Agent("report-1", ("analyst",), "header")


def tool(name: str = "github", url: tuple[str, str, int] = ("https", "api.github.com", 443), **rest: Any) -> Tool:
    """A tool; ``url`` is scheme, host and port."""
    return Tool(name, Origin(*url), **rest)


def request(
    method: str = "GET",
    target: str = "/github/user",
    fields: Iterable[tuple[str, str]] = (),
    *,
    host: str | None = "127.0.0.1:8080",
    length: int = 0,
    peer: str = "127.0.0.1",
    version: str = "1.1",
) -> Request:
    """A request as the wire makes it: ``lookup`` is built from the fields the way the wire builds it."""
    given = [*([("Host", host)] if host is not None else []), *fields]
    encoded: Fields = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in given)
    lookup: dict[bytes, bytes] = {}
    for name, value in encoded:
        low = name.lower()
        lookup[low] = lookup[low] + b", " + value if low in lookup else value
    loopback = peer.startswith("127.") or peer == "::1"
    return Request(method, target, version, encoded, lookup, length, peer, loopback)


def call(
    operation: str = "GET /user",
    *,
    to: Tool | None = None,
    agent: Agent = ANYBODY,
    run: Run | None = None,
    args: Mapping[str, Any] | None = None,
    of: Request | None = None,
    target: str = "/user",
    host: str = "127.0.0.1:8080",
) -> Call:
    """A call that has been understood."""
    path, _, query = target.partition("?")
    return Call(
        "call-1",
        agent,
        run or Run(),
        to or tool(),
        operation,
        args or {},
        {},
        of or request(target="/github" + target),
        target,
        path,
        query,
        host,
    )


TREATING = (Verdict.STRIP, Verdict.WRAP, Verdict.TRUNCATE)
"""What changes values in other ways than by a mask."""


def spoke(verdict: Verdict = Verdict.DENY, mode: Mode = Mode.ENFORCE, message: str = "no", error: str = "") -> Spoke:
    """What a rule said."""
    fields = ("args.iban",) if verdict is Verdict.REDACT else ()
    treats = (Treated("args.note", verdict.value),) if verdict in TREATING else ()
    return Spoke("payments", f"{verdict.value}-rule", verdict, mode, message, error, "", fields, treats=treats)


def redacting(*fields: str, mode: Mode = Mode.ENFORCE) -> Spoke:
    """What a rule said that wants these fields masked."""
    return Spoke("payments", "redact-rule", Verdict.REDACT, mode, fields=fields)


def labelling(label: str, mode: Mode = Mode.ENFORCE) -> Spoke:
    """What a rule said that marks the run."""
    return Spoke("payments", "label-rule", Verdict.LABEL, mode, label=label)


def rate(capacity: float = 2, per_second: float = 1, *, key: str = "report-1", wait: float = 0) -> RateClaim:
    """A claim of one token."""
    return RateClaim("per-agent", ("per-agent", key), capacity, per_second, 1.0, wait)


def slot(capacity: int = 1, key: str = "github") -> SlotClaim:
    """A claim of one place."""
    return SlotClaim("concurrency", ("concurrency", key), capacity)


def pool(key: str = "github", agent: str = "report-1", **settings: Any) -> PoolClaim:
    """A claim of one place in a pool."""
    return PoolClaim("shared", ("shared", key), agent, 1.0, 0, PoolSettings(**{"concurrency": 1, **settings}))


def circuit(key: str = "github", **settings: Any) -> CircuitClaim:
    """A claim of passage through a breaker."""
    return CircuitClaim("fragile", ("fragile", key), CircuitSettings(**settings))


class Book:
    """Stands in for the compiled policies (gateway/policy/book.py): says what it was told to say."""

    def __init__(
        self,
        *,
        grant: str | None = "everybody",
        spoke: Sequence[Spoke] = (),
        limits: Sequence[Any] = (),
        breakers: Sequence[Any] = (),
    ) -> None:
        self._grant, self._spoke = grant, tuple(spoke)
        self._limits, self._breakers = tuple(limits), tuple(breakers)

    def grant(self, agent: Agent, tool: str, operation: str) -> str | None:
        return self._grant

    def rules(self, tool: str, operation: str, *, implied: bool = False) -> Book:
        return self

    def judge(self, call: Call) -> tuple[Spoke, ...]:
        return self._spoke

    def limits(self, tool: str, operation: str, *, implied: bool = False) -> tuple[Any, ...]:
        return self._limits

    def breakers(self, tool: str, operation: str, *, implied: bool = False) -> tuple[Any, ...]:
        return self._breakers
