"""A small TCP balancer in front of replicas, as a Service is: each new connection goes to one that is in rotation."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading

from .net import Peer, connect, listen


class Balancer:
    """Joins clients' connections to replicas'. Those that stand go on when their replica is taken out."""

    def __init__(self, *ports: int) -> None:
        self._ports = list(ports)
        self._turn = itertools.count()
        self._listener = listen()
        self._changing = threading.Lock()
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def take_out(self, port: int) -> None:
        """No new connection goes there."""
        with self._changing:
            self._ports = [one for one in self._ports if one != port]

    def put_in(self, port: int) -> None:
        """New connections go there too."""
        with self._changing:
            self._ports = [*self._ports, port]

    def connect(self) -> Peer:
        """A client's connection."""
        return connect(self.port)

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._changing:
                port = self._ports[next(self._turn) % len(self._ports)]
                replica = socket.create_connection(("127.0.0.1", port))
            for source, target in ((client, replica), (replica, client)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=_pass, args=(source, target), daemon=True).start()


def _pass(source: socket.socket, target: socket.socket) -> None:
    """Bytes one way, and their end."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
