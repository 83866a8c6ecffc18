"""A tool that does exactly what a test's script says, and remembers every byte it was sent."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from . import http1
from .net import Ended, Peer, listen

Script = Callable[[Peer], None]
"""Plays one request on a connection. Closing the peer ends the connection; returning keeps it for the next."""


def answering(raw: bytes, *, close: bool = False) -> Script:
    """Reads one whole request, then sends these bytes."""

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        peer.send(raw)
        if close:
            peer.close()

    return script


class Seen:
    """What the upstream saw while one script was playing."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.peers: list[Peer] = []
        self.requests: list[http1.Message] = []
        self.turns = 0
        """How often bytes came in for a new request."""
        self.errors: list[BaseException] = []
        self._starts: dict[int, int] = {}

    def begin(self, peer: Peer) -> None:
        self.turns += 1
        if id(peer) not in self._starts:
            self.peers.append(peer)
            self._starts[id(peer)] = len(peer.raw) - len(peer.buffer)

    @property
    def raw(self) -> bytes:
        """Every byte received since the script began, connection after connection."""
        return b"".join(bytes(peer.raw[self._starts[id(peer)] :]) for peer in self.peers)


class Upstream:
    """A listening thread, and one thread for each connection; whichever script plays serves the next request."""

    def __init__(self) -> None:
        self._listener = listen()
        self.port: int = self._listener.getsockname()[1]
        self._seen = Seen(answering(http1.response("200 OK", body=b"ok")))
        self.accepted = 0
        self.open: set[Peer] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @contextlib.contextmanager
    def playing(self, script: Script) -> Iterator[Seen]:
        """While the context lasts, this script serves every request."""
        before, self._seen = self._seen, Seen(script)
        try:
            yield self._seen
        finally:
            self._seen = before

    @contextlib.contextmanager
    def recording(self, answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") -> Iterator[Seen]:
        """Every request is read strictly, kept in ``requests`` and answered the same."""

        def script(peer: Peer) -> None:
            current.requests.append(http1.read_request(peer))
            peer.send(answer)

        with self.playing(script) as current:
            yield current

    def drop_connections(self) -> None:
        """Close every open connection, as a tool does that was restarted."""
        for peer in list(self.open):
            peer.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_connections()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.accepted += 1
                threading.Thread(target=self._serve, args=(Peer(sock, 60.0),), daemon=True).start()

    def _serve(self, peer: Peer) -> None:
        self.open.add(peer)
        try:
            while peer.wait_for_bytes():
                seen = self._seen
                seen.begin(peer)
                try:
                    seen.script(peer)
                except Exception as error:
                    seen.errors.append(error)
                    break
                if peer.sock.fileno() < 0:
                    break
        except (OSError, Ended):
            pass
        finally:
            self.open.discard(peer)
            peer.close()
