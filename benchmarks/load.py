"""The cases, what a right answer is, and the load: wrk, for a bounded time."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Site, Unavailable, wrapped

GIB = 1 << 30
MIB = 1 << 20
ANSWER_ID = b"chatcmpl-1"


@dataclass(frozen=True)
class Case:
    """One kind of call: ``path`` behind the contestant's prefix, and the body that is sent (None: a GET)."""

    name: str
    path: str
    about: str
    body: bytes | None = None
    content_type: str = ""


@dataclass(frozen=True)
class Target:
    """Where a contestant is reached: a loopback port, a path prefix, headers that every call carries."""

    port: int
    prefix: str
    headers: Mapping[str, str]
    own_body: bytes | None = None
    own_path: str | None = None
    wraps: bool = False
    """For peers with a protocol of their own: what is posted, and where, in place of the case's own body and path, and
    whether they wrap the tool's answer, so that it can only be looked for."""

    def body(self, case: Case) -> bytes | None:
        return case.body if self.own_body is None else self.own_body

    def path(self, case: Case) -> str:
        return self.prefix + case.path if self.own_path is None else self.own_path

    def fields(self, case: Case) -> dict[str, str]:
        return {**self.headers, **({"Content-Type": case.content_type} if case.content_type else {})}


@dataclass(frozen=True)
class Load:
    """What one wrk run gave. Latencies in ms; ``cpu_seconds`` is wrk's own."""

    calls: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_seconds: float


def _json_body() -> bytes:
    body = {
        "recipient": "DE89370400440532013000",
        "amount": 120.5,
        "currency": "EUR",
        "items": [{"sku": f"A-{n}", "count": n} for n in range(6)],
        "note": "",
    }
    body["note"] = "x" * (512 - len(json.dumps(body)))
    return json.dumps(body).encode()


CASES = {
    case.name: case
    for case in (
        Case("json", "json", "POST 512 B of JSON, 1 KB of JSON back", _json_body(), "application/json"),
        Case("sse", "sse", "GET, 50 server-sent events, 1 ms apart"),
        Case("upload", "upload", "POST 1 MiB, 2 bytes back", b"x" * MIB, "application/octet-stream"),
        Case("blob", "blob", "GET, 1 MiB back"),
    )
}


def tools() -> str:
    """The path of wrk; Unavailable where it is missing."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise Unavailable("wrk makes the load and is missing: apt-get install wrk")
    return wrk


def fetch(target: Target, case: Case, timeout: float = 15) -> tuple[int, bytes]:
    """Status and body of one call."""
    link = http.client.HTTPConnection("127.0.0.1", target.port, timeout=timeout)
    try:
        body = target.body(case)
        link.request("GET" if body is None else "POST", target.path(case), body, target.fields(case))
        answer = link.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"{case.name}: no answer ({error!r})") from error
    finally:
        link.close()


def verify(target: Target, case: Case, expected: bytes) -> None:
    """Unavailable unless three calls in a row give 200 and ``expected`` (or, wrapped, the id that stands in it)."""
    for _ in range(3):
        status, body = fetch(target, case)
        right = ANSWER_ID in body if target.wraps else body == expected
        if status != 200 or not right:
            digest = hashlib.sha256(body).hexdigest()[:12]
            raise Unavailable(
                f"{case.name}: wrong answer, {status} with {len(body)} bytes (sha256 {digest}): {body[:160]!r}"
            )


def run(site: Site, target: Target, case: Case, connections: int, seconds: float) -> Load:
    """Loads ``target`` for ``seconds`` (wrk takes whole ones) over ``connections`` kept alive, from the load core."""
    body = target.body(case)
    env = {**os.environ, "BENCH_METHOD": "GET" if body is None else "POST"}
    env["BENCH_HEADERS"] = "\n".join(f"{name}: {value}" for name, value in target.fields(case).items())
    if body is not None:
        env["BENCH_BODY"] = str(site.folder / "wrk.body")
        (site.folder / "wrk.body").write_bytes(body)
    url = f"http://127.0.0.1:{target.port}{target.path(case)}"
    script = str(Path(__file__).with_name("wrk.lua"))
    duration = max(1, round(seconds))
    command = [*wrapped(site.load_core), tools(), "-t1", f"-c{connections}", f"-d{duration}s", "--timeout", "10s"]
    before = os.times()
    done = subprocess.run(
        [*command, "-s", script, url], env=env, capture_output=True, text=True, timeout=duration + 30, check=False
    )
    after = os.times()
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            found = json.loads(line.removeprefix("RESULT "))
            return Load(
                found["calls"],
                found["microseconds"] / 1e6,
                found["p50_us"] / 1e3,
                found["p99_us"] / 1e3,
                found["errors"],
                after.children_user + after.children_system - before.children_user - before.children_system,
            )
    raise RuntimeError(f"wrk gave no figures (status {done.returncode}): {done.stdout[-500:]}{done.stderr[-500:]}")


def _head(target: Target, line: str, more: str = "") -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in target.headers.items())
    return f"{line} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n{fields}{more}\r\n".encode()


def download_gib(target: Target, stall: float) -> float:
    """Reads 1 GiB, first pausing for ``stall`` seconds, so that a proxy has to hold the upstream back. Seconds."""
    buffer = bytearray(MIB)
    with socket.create_connection(("127.0.0.1", target.port), timeout=60) as link:
        started = time.monotonic()
        link.sendall(_head(target, f"GET {target.prefix}gib"))
        got = link.recv_into(buffer)
        if not buffer.startswith(b"HTTP/1.1 200"):
            raise Unavailable(f"1 GiB down: {bytes(buffer[:160])!r}")
        time.sleep(stall)
        while got < GIB:
            count = link.recv_into(buffer)
            if not count:
                raise Unavailable(f"1 GiB down: the connection closed after {got} bytes")
            got += count
        return time.monotonic() - started


def upload_gib(target: Target) -> float:
    """Sends 1 GiB and awaits the answer. Seconds."""
    block = memoryview(bytes(MIB))
    more = f"Content-Type: application/octet-stream\r\nContent-Length: {GIB}\r\n"
    with socket.create_connection(("127.0.0.1", target.port), timeout=60) as link:
        started = time.monotonic()
        link.sendall(_head(target, f"POST {target.prefix}upload", more))
        for _ in range(GIB // MIB):
            link.sendall(block)
        answer = link.recv(4096)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise Unavailable(f"1 GiB up: {answer[:160]!r}")
        return time.monotonic() - started
