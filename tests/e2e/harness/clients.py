"""The HTTP clients that agents use, each behind the same small function."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import requests
from yarl import URL

from .compare import ADDED_TO_REQUEST, ADDED_TO_RESPONSE, OF_THE_HOP


@dataclass(frozen=True)
class Step:
    """One thing a client is told to do. ``streamed``: the body goes out in pieces of unknown total length."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    streamed: bool = False

    def pieces(self) -> Iterator[bytes]:
        body = self.body or b""
        yield from (body[at : at + 7] for at in range(0, len(body), 7))


Got = tuple[int, list[tuple[str, str]], bytes]
Client = Callable[[str, list[Step]], list[Got]]


def with_http_client(base: str, steps: list[Step]) -> list[Got]:
    authority, _, prefix = base.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(authority, timeout=10)
    got = []
    for step in steps:
        connection.request(
            step.method,
            f"/{prefix}{step.target}" if prefix else step.target,
            body=step.pieces() if step.streamed else step.body,
            headers=step.headers,
            encode_chunked=step.streamed,
        )
        answer = connection.getresponse()
        got.append((answer.status, answer.getheaders(), answer.read()))
    connection.close()
    return got


def with_requests(base: str, steps: list[Step]) -> list[Got]:
    got = []
    with requests.Session() as session:
        session.trust_env = False
        for step in steps:
            answer = session.request(
                step.method, base + step.target, headers=step.headers, timeout=10, allow_redirects=False,
                data=step.pieces() if step.streamed else step.body,
            )  # fmt: skip
            got.append((answer.status_code, list(answer.raw.headers.items()), answer.content))
    return got


def with_httpx(base: str, steps: list[Step]) -> list[Got]:
    got = []
    with httpx.Client(trust_env=False, timeout=10) as client:
        for step in steps:
            content = step.pieces() if step.streamed else step.body
            answer = client.request(step.method, base + step.target, headers=step.headers, content=content)
            got.append((answer.status_code, answer.headers.multi_items(), answer.content))
    return got


def with_aiohttp(base: str, steps: list[Step]) -> list[Got]:
    async def run() -> list[Got]:
        got: list[Got] = []
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as session:
            for step in steps:

                async def pieces(step: Step = step) -> Any:
                    for piece in step.pieces():
                        yield piece

                data = pieces() if step.streamed else step.body and io.BytesIO(step.body)
                url = URL(base + step.target, encoded=True)
                async with session.request(step.method, url, headers=step.headers, data=data) as answer:
                    got.append((answer.status, list(answer.headers.items()), await answer.read()))
        return got

    return asyncio.run(run())


def with_curl(base: str, steps: list[Step]) -> list[Got]:
    """One curl for all steps, so that it reuses its connection as it likes."""
    got: list[Got] = []
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        command = ["curl", "-q"]
        for number, step in enumerate(steps):
            command += ["--next"] if number else []
            command += ["-sS", "--max-time", "10", "--path-as-is", "--globoff", "--noproxy", "*"]
            command += ["-D", str(here / f"{number}.head"), "-o", str(here / f"{number}.body")]
            command += ["-I"] if step.method == "HEAD" else ["-X", step.method]
            command += [part for name, value in step.headers.items() for part in ("-H", f"{name}: {value}")]
            if step.body is not None:
                (here / f"{number}.data").write_bytes(step.body)
                command += ["--data-binary", f"@{here / f'{number}.data'}"]
                command += ["-H", "Transfer-Encoding: chunked"] if step.streamed else []
            command.append(base + step.target)
        subprocess.run(command, check=True, timeout=60, capture_output=True)
        for number, step in enumerate(steps):
            lines = (here / f"{number}.head").read_bytes().decode("latin-1").split("\r\n\r\n")[-2].split("\r\n")
            fields = [(line.partition(":")[0], line.partition(":")[2].strip()) for line in lines[1:]]
            body = here / f"{number}.body"
            content = body.read_bytes() if body.exists() and step.method != "HEAD" else b""
            got.append((int(lines[0].split(" ")[1]), fields, content))
    return got


NODE = """
const steps = JSON.parse(require('fs').readFileSync(0, 'utf8'));
(async () => {
  const got = [];
  for (const step of steps) {
    const options = {method: step.method, headers: step.headers, redirect: 'manual'};
    if (step.body !== null) {
      const bytes = Buffer.from(step.body, 'hex');
      options.body = bytes;
      if (step.streamed) {
        options.duplex = 'half';
        options.body = new ReadableStream({start(c) {
          for (let i = 0; i < bytes.length; i += 7) c.enqueue(bytes.subarray(i, i + 7));
          c.close();
        }});
      }
    }
    const answer = await fetch(step.url, options);
    const body = Buffer.from(await answer.arrayBuffer()).toString('hex');
    got.push([answer.status, [...answer.headers], body]);
  }
  console.log(JSON.stringify(got));
})();
"""


def with_node(base: str, steps: list[Step]) -> list[Got]:
    told = [
        {"method": s.method, "url": base + s.target, "headers": s.headers, "streamed": s.streamed,
         "body": None if s.body is None else s.body.hex()}
        for s in steps
    ]  # fmt: skip
    done = subprocess.run(
        ["node", "-e", NODE], input=json.dumps(told).encode(), capture_output=True, timeout=60, check=True
    )
    return [(code, [(n, v) for n, v in fields], bytes.fromhex(body)) for code, fields, body in json.loads(done.stdout)]


CLIENTS: dict[str, Client] = {
    "http.client": with_http_client,
    "requests": with_requests,
    "httpx": with_httpx,
    "aiohttp": with_aiohttp,
    "curl": with_curl,
    "node": with_node,
}


MOVED = {"host", "expect", "transfer-encoding"}
"""Fields that a proxy makes anew: their presence and value count, not their place or case."""


def _fields(pairs: list[tuple[str, str]], dropped: set[str]) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """What is end to end, in order; and beside it what a proxy makes anew."""
    lowered = [(name.lower(), name, value) for name, value in pairs]
    in_order = [(name, value) for key, name, value in lowered if key not in dropped | MOVED]
    return in_order, {key: value for key, _, value in lowered if key in MOVED - dropped}


def comparable(got: Got) -> tuple[Any, ...]:
    """What must not differ between direct and through: without dates and what a proxy adds; echoes opened up."""
    status, headers, body = got
    answer = _fields(headers, ADDED_TO_RESPONSE | OF_THE_HOP | {"date", "content-length"})
    if not body.startswith(b'{"method"'):
        return status, answer, body
    told = json.loads(body)
    # A body that came with the head needs nobody's leave, so Expect may be gone by then.
    asked = _fields(told.pop("fields"), ADDED_TO_REQUEST | OF_THE_HOP | {"expect"})
    return status, answer, told, asked
