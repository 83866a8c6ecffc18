"""The real process: ``python -m gateway inject -c FILE``."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.harness.net import eventually, free_port

PATIENCE = 20.0


class Injector:
    """One process, with its settings in ``folder``."""

    def __init__(self, folder: Path, settings: dict[str, Any], environment: dict[str, str] | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.port, self.probes = free_port(), free_port()
        self.file, self._log = folder / "inject.yaml", folder / "output.log"
        self.settings = {**settings, "listen": f"127.0.0.1:{self.port}", "probes": f"127.0.0.1:{self.probes}"}
        self.write(self.settings)
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "inject", "--config", str(self.file)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd=Path(__file__).parents[2], env={**os.environ, **(environment or {})},
            )  # fmt: skip

    def write(self, settings: dict[str, Any]) -> None:
        """Other settings, in the place of the old ones at once."""
        made = self.file.with_suffix(".new")
        made.write_text(yaml.safe_dump(settings))
        made.replace(self.file)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it has logged: nothing that is not JSON."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def ask(self, path: str) -> tuple[int, str]:
        """GET of a probe."""
        connection = http.client.HTTPConnection("127.0.0.1", self.probes, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def ready(self) -> bool:
        """Whether it is."""
        assert self.process.poll() is None, self._log.read_text()
        try:
            return self.ask("/readyz")[0] == 200
        except OSError:
            return False

    def wait(self) -> None:
        """Until it is ready."""
        eventually(self.ready, PATIENCE, "the injector is ready")

    def review(self, body: bytes, authorities: str, name: str) -> dict[str, Any]:
        """What it answers to an API server that believes these authorities, and knows it by ``name``."""
        tls = ssl.create_default_context(cadata=authorities)
        tls.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as API servers, which are written in Go
        connection = http.client.HTTPSConnection(name, self.port, context=tls, timeout=PATIENCE)
        connection._create_connection = lambda address, *rest: _connect(self.port)  # type: ignore[attr-defined]
        try:
            connection.request("POST", "/mutate?timeout=10s", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            told: dict[str, Any] = json.load(answer)
            return told
        finally:
            connection.close()

    def stop(self) -> int:
        """End it; its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE)
