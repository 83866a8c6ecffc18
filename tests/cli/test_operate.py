"""Commands that ask a running gateway: how they find it, what they print, what they say where they cannot."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.columns import span, table
from gateway.cli.operate import gateway_at
from gateway.cli.root import toolgate

QUARANTINE = {
    "scope": "run", "key": ["a", "r\u202e1"], "reason": "ran wild", "by": "ada", "since": 0.0, "until": 1.0,
    "seconds_left": 3725.0, "cut": True,
}  # fmt: skip
BREAKER = {
    "name": "fragile", "key": ["bank"], "state": "held open", "by_itself": "closed", "failures": 2, "probe_in": 0.0,
    "word": {"state": "open", "reason": "upgrade", "by": "ada", "since": 0.0, "until": None},
}  # fmt: skip
RUN = {
    "agent": "a", "run": "r", "steps": 7, "errors_in_row": 1, "cost_usd": 0.25, "labels": ["pii"], "age": 65.0,
    "idle": 5.0, "quarantined": True,
}  # fmt: skip


class Asked:
    """A stand-in for a gateway: what it was asked, and what it answers."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], Any]] = []
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {
            ("GET", "/api/quarantines"): (200, {"quarantines": [QUARANTINE]}),
            ("POST", "/api/quarantines"): (201, {**QUARANTINE, "stored": True}),
            ("DELETE", "/api/quarantines"): (200, {"stored": False}),
            ("GET", "/api/breakers"): (200, {"breakers": [BREAKER]}),
            ("POST", "/api/breakers"): (200, {"breakers": [BREAKER], "stored": True}),
            ("GET", "/api/runs"): (200, {"runs": [RUN], "known": 3}),
        }
        asked = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                asked.seen.append((self.command, self.path, dict(self.headers), body))
                status, told = asked.answers[self.command, self.path.partition("?")[0]]
                data = told if isinstance(told, bytes) else json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def port(self) -> int:
        return self.server.server_address[1]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    monkeypatch.delenv("TOOLGATE_ADMIN_TOKEN", raising=False)
    stand_in = Asked()
    yield stand_in
    stand_in.server.shutdown()
    stand_in.server.server_close()


def run(asked: Asked, *arguments: str) -> Result:
    return CliRunner().invoke(toolgate, [*arguments, "--admin", f"127.0.0.1:{asked.port}"])


def test_adding_says_who_what_why_and_how_long(asked: Asked) -> None:
    done = run(asked, "quarantine", "add", "run", "a", "r", "--for", "2h", "--reason", "ran wild", "--cut")
    assert done.exit_code == 0
    assert done.stdout == "run a r\\u202e1 is quarantined for 1h2m\n"
    method, path, fields, body = asked.seen[0]
    assert (method, path, fields["X-Toolgate-Admin"]) == ("POST", "/api/quarantines", "1")
    assert body.pop("by")
    assert body == {"scope": "run", "key": ["a", "r"], "seconds": 7200.0, "reason": "ran wild", "cut": True}


def test_lifting(asked: Asked) -> None:
    done = run(asked, "quarantine", "lift", "run", "a b", "r&s")
    assert done.stdout == "run a b r&s may make calls again\n"
    assert "holds on this replica only" in done.stderr, "the state could not be reached"
    assert asked.seen[0][1].startswith("/api/quarantines?scope=run&key=a+b&key=r%26s&by=")


def test_lists_are_tables_in_which_nothing_is_hidden(asked: Asked) -> None:
    head, line = run(asked, "quarantine", "list").stdout.splitlines()
    assert head.split() == ["SCOPE", "KEY", "LEFT", "SINCE", "BY", "CUT", "REASON"]
    assert "a r\\u202e1" in line
    assert "1h2m" in line
    assert json.loads(run(asked, "quarantine", "list", "--json").stdout) == [QUARANTINE]
    _, line = run(asked, "breakers").stdout.splitlines()
    assert line.split() == ["fragile", "bank", "held", "open", "2", "-", "ada:", "upgrade"]
    assert json.loads(run(asked, "breakers", "list", "--json").stdout) == [BREAKER]
    done = run(asked, "runs", "live", "--agent", "a", "--limit", "1")
    assert done.stdout.splitlines()[1].split() == ["a", "r", "7", "1", "0.2500", "1m5s", "5s", "quarantined", "pii"]
    assert "1 of 3" in done.stderr
    assert asked.seen[-1][1] == "/api/runs?limit=1&agent=a"


@pytest.mark.parametrize(("command", "state"), [("open", "open"), ("close", "closed"), ("auto", "auto")])
def test_a_word_on_a_breaker(asked: Asked, command: str, state: str) -> None:
    assert run(asked, "breakers", command, "fragile", "bank", "GET /x").exit_code == 0
    body = asked.seen[0][3]
    assert (body["name"], body["key"], body["state"], body["seconds"]) == ("fragile", ["bank", "GET /x"], state, 0.0)


def test_what_the_gateway_says_against_it_is_told(asked: Asked) -> None:
    asked.answers["POST", "/api/quarantines"] = (400, {"detail": "no tool is called 'x'", "advice": "there are\x1b y"})
    done = run(asked, "quarantine", "add", "tool", "x")
    assert (done.exit_code, done.stderr) == (1, "Error: no tool is called 'x'; there are\\u001b y\n")
    asked.answers["POST", "/api/quarantines"] = (401, {"detail": "the admin token is missing or wrong"})
    assert "TOOLGATE_ADMIN_TOKEN" in run(asked, "quarantine", "add", "all").stderr
    asked.answers["POST", "/api/quarantines"] = (404, b"<html>")
    assert "is no gateway's admin address (status 404)" in run(asked, "quarantine", "add", "all").stderr


@pytest.mark.parametrize("time", ["soon", "0", "-5m"])
def test_a_time_that_is_none(asked: Asked, time: str) -> None:
    done = run(asked, "quarantine", "add", "all", "--for", time)
    assert done.exit_code == 2
    assert "--for" in done.stderr
    assert not asked.seen


@pytest.mark.parametrize("name", ["quarantine", "breakers"])
def test_without_a_command_it_lists(asked: Asked, name: str) -> None:
    assert run(asked, name).stdout == run(asked, name, "list").stdout != ""


@pytest.mark.parametrize("command", [("quarantine", "{}", "add", "all"), ("breakers", "{}", "open", "fragile")])
def test_options_before_a_command_are_no_silent_mistake(asked: Asked, command: tuple[str, ...]) -> None:
    """The kill switch of another gateway would be thrown."""
    done = CliRunner().invoke(toolgate, [part.format("--admin=gateway.internal:9090") for part in command])
    assert done.exit_code == 2 and f"put the options behind '{command[2]}'" in done.output


def test_where_nothing_listens(asked: Asked) -> None:
    asked.server.shutdown()
    asked.server.server_close()
    done = run(asked, "quarantine", "list")
    assert done.exit_code == 1
    assert done.stderr == (
        f"Error: no gateway answers at http://127.0.0.1:{asked.port}: Connection refused; is it running? "
        "Its address comes from -c FILE or --admin URL\n"
    )


def test_a_configuration_tells_where_and_the_token_whatever_else_is_wrong_in_it(asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef\n")
    path = tmp_path / "toolgate.yaml"
    path.write_text(
        f"admin: {{listen: '0.0.0.0:{asked.port}', token: '${{file:token}}'}}\n"
        "tools: {a: {url: nowhere, secret: '${env:NOT_SET_ANYWHERE}'}}\nnonsense: 1\n"
    )
    done = CliRunner().invoke(toolgate, ["quarantine", "list", "-c", str(path)])
    assert done.exit_code == 0, done.stderr
    assert asked.seen[0][2]["Authorization"] == "Bearer 0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("admin: nowhere\n", "toolgate.yaml:1:8: admin: not an address: 'nowhere' (write host:port"),
        ("admin: 127.0.0.1:0\n", "lets the system choose the admin port"),
        ("- a\n", "is no configuration"),
        ("admin: {listen: ':1', token: '${env:NOT_SET_ANYWHERE}'}\n", "admin.token"),
    ],
)
def test_a_configuration_that_does_not_say_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "toolgate.yaml"
    path.write_text(text)
    done = CliRunner().invoke(toolgate, ["breakers", "-c", str(path)])
    assert done.exit_code == 1
    assert said in done.stderr
    assert "--admin" in done.stderr


@pytest.mark.parametrize(
    ("admin", "url"),
    [
        ("localhost:9", "http://localhost:9"),
        ("https://gw.test/", "https://gw.test"),
        ("http://[::1]:9", "http://[::1]:9"),
    ],
)
def test_addresses(admin: str, url: str) -> None:
    assert gateway_at(None, admin).url == url


def test_by_default_it_is_asked_at_the_usual_address() -> None:
    assert gateway_at(None, None).url == "http://127.0.0.1:9090"


@pytest.mark.parametrize("admin", ["foo://x", "http://", "http://x:99999", "http://x/path", "[", "http://x:0"])
def test_addresses_that_are_none(admin: str) -> None:
    done = CliRunner().invoke(toolgate, ["breakers", "--admin", admin])
    assert (done.exit_code, "write http(s)://host:port" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.4, "0s"), (59, "59s"), (60, "1m"), (3725, "1h2m"), (7200, "2h"), (100_000, "1d3h"), (90, "1m30s")],
)
def test_spans(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def test_a_table_has_no_tricks_in_it() -> None:
    assert list(table(("A", "B"), [("x\ny", "1"), ("\x1b[31m", "2")])) == [
        "A           B",
        "x\\ny        1",
        "\\u001b[31m  2",
    ]
