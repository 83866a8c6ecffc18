"""No credential that the gateway holds can be read anywhere, however agents and tools repeat it."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from .harness import http1
from .harness.gateway import ALL, Gateway, call
from .harness.net import eventually
from .harness.upstream import Upstream, answering

TOKEN = "canary-Tq7/f3K+Lw0TTz9=="
PASSWORD = "canary-pass&word"
BASIC = base64.b64encode(f"svc:{PASSWORD}".encode()).decode()
AGENT_KEY = "canary-agent-key-123456"
SHAPED = "ghp_" + "CaNa" * 9
"""Nobody's credential, but it looks like one."""
HELD = (TOKEN, PASSWORD, BASIC)
SECRETS = (*HELD, SHAPED)

RULES = """
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: talkative}
spec:
  match: {tools: [bank], operations: ["POST *"]}
  rules:
    - {name: told, when: 'has(args.note)', then: warn, messageExpression: '"noted: " + args.note'}
    - {name: stop, when: 'has(args.stop)', then: deny, messageExpression: '"not " + args.stop'}
---
apiVersion: toolgate/v1
kind: Breaker
metadata: {name: by-operation}
spec: {per: [tool, operation], failures: 1}
---
apiVersion: toolgate/v1
kind: Retry
metadata: {name: retries}
spec: {match: {tools: [bank]}}
"""


@pytest.fixture
def gateway(tmp_path: Path, upstream: Upstream) -> Iterator[Gateway]:
    url = f"http://127.0.0.1:{upstream.port}"
    secret = tmp_path / "token"
    secret.write_text(TOKEN + "\n")
    tools: dict[str, Any] = {
        "bank": {
            "url": url,
            "ambiguous_paths": "forward",
            "credential": [
                {"header": "Authorization", "value": f"Bearer ${{file:{secret}}}"},
                {"header": "X-Basic", "value": f"Basic {BASIC}"},
            ],
        },
        "gone": {"url": "http://127.0.0.1:1", "credential": {"header": "X-Token", "value": TOKEN}},
    }
    process = Gateway(tmp_path, tools, ALL + RULES, log={"level": "debug"}, audit={})
    process.config["identify"] = [
        {"api_key": {"header": "x-agent-key", "keys": [{"sha256": digest(AGENT_KEY), "agent": "keyed"}]}},
        {"header": "x-agent"},
        {"anonymous": "tester"},
    ]
    process.config["trace"] |= {"args": True, "redact": [], "headers": ["x-note", "x-agent-key"], "store": {}}
    process.start()
    yield process
    process.stop()


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def forms(secret: str) -> list[bytes]:
    raw = secret.encode()
    stable = len(raw) * 8 // 6
    once = quote(secret, safe="")
    written = [secret, once, quote(once, safe=""), json.dumps(secret)[1:-1], raw.hex()]
    return [form.encode() for form in written] + [base64.b64encode(raw)[:stable]]


def leaked(where: dict[str, bytes], secrets: tuple[str, ...]) -> list[str]:
    return [
        f"{name}: {form!r} in ...{data[max(0, data.find(form) - 80) :][:200]!r}"
        for name, data in where.items()
        for secret in secrets
        for form in forms(secret)
        if form in data
    ]


def test_nothing_that_is_secret_can_be_read_anywhere(gateway: Gateway, upstream: Upstream) -> None:
    agents: dict[str, bytes] = {}
    told: dict[str, bytes] = {}
    broken = answering(f"HTTP/1.1 {TOKEN} {PASSWORD}\r\n\r\n".encode(), close=True)
    for number, secret in enumerate(SECRETS):
        in_url = quote(secret, safe="")
        texts = [("X-Note", secret), ("X-Run-Id", f"run-{in_url}"), ("Agent-Why", f"reason={in_url}")]
        texts += [("X-Agent", f"agent {in_url}"), ("Baggage", f"toolgate.why.goal={in_url}")]
        body = json.dumps({"note": f"see {secret}", "list": [secret, {secret: 1}]}).encode()
        keyed = [("X-Agent-Key", AGENT_KEY), ("X-Note", AGENT_KEY)]
        json_type = ("Content-Type", "application/json")

        def ask(name: str, *asked: Any, number: int = number, **options: Any) -> None:
            answer = call(gateway, *asked, **options)
            agents[f"{name} {number}"] = bytes(answer.body) + repr(answer.fields).encode()

        with upstream.recording(http1.response("200 OK", body=b"{}")):
            ask("warned", "POST", f"/bank/{in_url}?q={in_url}", [*texts, json_type], body)
            ask("keyed", "POST", f"/bank/x/{AGENT_KEY}", [*keyed, json_type], body)
            ask("denied", "POST", "/bank/x", [*texts, json_type], json.dumps({"stop": secret}).encode())
            ask("unknown", "GET", f"/{in_url}/x", texts)
            ask("unread", "POST", f"/bank/{in_url}//..", [*texts, json_type], b"{" + secret.encode())
        with upstream.recording(http1.response("500 X", body=secret.encode())):
            call(gateway, "GET", f"/bank/fails/{in_url}", texts)
            ask("open", "GET", f"/bank/fails/{in_url}", texts)
            twice = quote(in_url, safe="")  # as it comes to the key of a breaker
            names = [("X-Run-Id", twice), ("X-Agent", twice)]
            call(gateway, "GET", f"/bank/fails/{quote(twice, safe='')}", names)
        with upstream.playing(broken):
            ask("broken", "GET", f"/bank/broken/{in_url}", texts)
        ask("gone", "GET", f"/gone/{in_url}", texts)
    impose = [("X-Toolgate-Admin", "1"), ("Content-Type", "application/json")]
    _admin(
        gateway, "POST", "/api/quarantines", impose, {"scope": "agent", "key": [TOKEN], "reason": TOKEN, "by": PASSWORD}
    )
    calls = 10 * len(SECRETS)
    eventually(lambda: len(gateway.traces()) >= calls, what="every call is recorded")
    for page in ("/metrics", "/readyz", "/api/runs", "/api/breakers", "/api/quarantines", "/api/budgets", "/api/pools"):
        status, told[page] = gateway.ask(page)
        assert status == 200, (page, told[page])
    gateway.stop()
    for file in (*gateway.folder.iterdir(), *(gateway.folder / "audit").iterdir()):
        if file.name.startswith(("output", "trace", "audit-", "salts-")):
            told[file.name] = file.read_bytes()
    assert {"output.log", "trace.jsonl", "traces.db", "audit-00000001.jsonl", "salts-00000001.jsonl"} <= told.keys()
    assert not leaked(told, SECRETS)
    assert not leaked({name: data for name, data in told.items() if name.startswith("trace")}, (AGENT_KEY,))
    assert not leaked(agents, HELD), "what an agent sent itself it may be told"
    assert b"[redacted:credential:bank]" in told["trace.jsonl"]
    assert b"[redacted:github]" in told["trace.jsonl"]
    assert b"[redacted:key]" in told["trace.jsonl"]
    assert b"[redacted:credential:bank]" in told["output.log"], "a quarantine is logged with its reason"


def _admin(gateway: Gateway, method: str, path: str, fields: list[tuple[str, str]], body: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.admin, timeout=5)
    connection.request(method, path, json.dumps(body), dict(fields))
    answer = connection.getresponse()
    assert answer.status == 201, answer.read()
    connection.close()
