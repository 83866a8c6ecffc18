"""A server of the handshake era without any library, for what a library would not do. Run by tests as a process.

Methods are named for what they make the server do; see ``METHODS``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

RESULT = b'{"n": 1.0, "big":123456789012345678901234567890,"text":"\\u00e9\\/","nested": {"b":1, "a":[ 1,2 ]}}'


def say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def answer(ident: Any, result: bytes) -> None:
    say(b'{"jsonrpc": "2.0", "extra": true, "result": %b, "id": %b}' % (result, json.dumps(ident).encode()))


def initialize(message: dict[str, Any]) -> None:
    version = message["params"]["protocolVersion"]
    answer(message["id"], json.dumps({"protocolVersion": version, "capabilities": {}, "serverInfo": {}}).encode())


def pid(message: dict[str, Any]) -> None:
    answer(message["id"], b'{"pid":%d}' % os.getpid())


def exact(message: dict[str, Any]) -> None:
    answer(message["id"], RESULT)


def noise(message: dict[str, Any]) -> None:
    say(b"starting up...")
    say(b'{"jsonrpc":"2.0","id":"nobody","result":{}}')
    answer(message["id"], b"{}")


def flood(message: dict[str, Any]) -> None:
    say(b'"' + b"x" * (33 << 20) + b'"')
    time.sleep(60)


def announce(message: dict[str, Any]) -> None:
    say(b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}')
    answer(message["id"], b"{}")


def ask(message: dict[str, Any]) -> None:
    """Ask the client something, and answer with what it said."""
    say(b'{"jsonrpc":"2.0","id":"q","method":"roots/list"}')
    said = json.loads(sys.stdin.buffer.readline())
    answer(message["id"], json.dumps({"said": said}).encode())


def crash(message: dict[str, Any]) -> None:
    os._exit(3)


def hold(message: dict[str, Any]) -> None:
    """Say that the request is here, and no more."""
    say(b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}')


def deaf(message: dict[str, Any]) -> None:
    """Answer, and never read again, without ending."""
    os.close(0)
    answer(message["id"], b"{}")
    time.sleep(60)


METHODS = {made.__name__: made for made in (initialize, pid, exact, noise, flood, announce, ask, crash, hold, deaf)}


def main() -> None:
    for line in iter(sys.stdin.buffer.readline, b""):
        received = json.loads(line)
        error = {"code": -32601, "message": "no"}
        if made := METHODS.get(received.get("method")):
            made(received)
        elif "id" in received and "method" in received:
            say(json.dumps({"jsonrpc": "2.0", "id": received["id"], "error": error}).encode())


if __name__ == "__main__":
    main()
