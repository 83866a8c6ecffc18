"""What passes without the gateway passes with it: one exchange directly, one through, and the comparison of both."""

from __future__ import annotations

from dataclasses import dataclass

from . import http1
from .gateway import Gateway
from .http1 import Fields, Message
from .net import connect
from .upstream import Script, Seen, Upstream

ADDED_TO_REQUEST = {"via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded"}
ADDED_TO_RESPONSE = {"via", "server-timing", "x-toolgate-call"}
OF_THE_HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding"}
"""Made anew by each hop: their place among the others may change."""


def end_to_end(fields: Fields, added: set[str]) -> Fields:
    """The fields that a proxy has no business with, in order."""
    return tuple((name, value) for name, value in fields if name.decode().lower() not in added | OF_THE_HOP)


@dataclass
class Exchange:
    """One exchange: what the tool saw, and what the client got."""

    seen: Seen
    answer: Message

    @property
    def request(self) -> Message:
        assert not self.seen.errors, self.seen.errors
        assert len(self.seen.requests) == 1, self.seen.requests
        return self.seen.requests[0]


class Pair:
    """Plays the same exchange twice."""

    def __init__(self, gateway: Gateway, upstream: Upstream) -> None:
        self.gateway, self.upstream = gateway, upstream

    def _once(self, port: int, raw: bytes, script: Script | bytes) -> Exchange:
        playing = self.upstream.recording(script) if isinstance(script, bytes) else self.upstream.playing(script)
        with playing as seen, connect(port) as peer:
            peer.send(raw)
            return Exchange(seen, http1.read_response(peer, raw.split(b" ", 1)[0].decode()))

    def play(
        self,
        method: str,
        target: str,
        fields: list[tuple[str, str]] | None = None,
        body: bytes = b"",
        answer: Script | bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ) -> tuple[Exchange, Exchange]:
        """The exchange (direct, through the gateway), each with the Host that a client would send."""
        host = f"127.0.0.1:{self.upstream.port}"
        direct = self._once(self.upstream.port, http1.request(method, target, fields, body, host), answer)
        prefixed = "/raw" + target if target.startswith("/") else target
        through = self._once(self.gateway.port, http1.request(method, prefixed, fields, body), answer)
        return direct, through

    def same_request(self, *args: object, **options: object) -> tuple[Exchange, Exchange]:
        """Plays, and asserts that the tool saw the same request but for what a proxy adds."""
        direct, through = self.play(*args, **options)  # type: ignore[arg-type]
        one, other = direct.request, through.request
        assert other.line == one.line
        assert end_to_end(other.fields, ADDED_TO_REQUEST) == end_to_end(one.fields, ADDED_TO_REQUEST)
        assert (other.chunked, other.body) == (one.chunked, one.body)
        assert other.trailers == one.trailers
        return direct, through

    def same_response(self, *args: object, **options: object) -> tuple[Exchange, Exchange]:
        """Plays, and asserts that the client got the same answer but for what a proxy adds."""
        direct, through = self.play(*args, **options)  # type: ignore[arg-type]
        one, other = direct.answer, through.answer
        assert other.line == one.line
        assert end_to_end(other.fields, ADDED_TO_RESPONSE) == end_to_end(one.fields, ADDED_TO_RESPONSE)
        assert (other.chunked, other.body) == (one.chunked, one.body)
        assert other.trailers == one.trailers
        return direct, through
