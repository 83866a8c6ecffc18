"""``toolgate health``: where it asks, what it says, how it exits."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.root import toolgate
from tests.e2e.harness.net import free_port

READY = (200, json.dumps({"status": "ready", "draining": False}).encode())
DRAINING = (503, json.dumps({"status": "draining", "draining": True}).encode())


class Probed:
    """A stand-in for a gateway's probes: what it was asked; it answers with each of ``answers``, then with the last."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str | None]] = []
        self.answers = [READY]
        probed = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                probed.seen.append((self.path, self.headers.get("Authorization")))
                status, data = probed.answers.pop(0) if len(probed.answers) > 1 else probed.answers[0]
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def probed() -> Iterator[Probed]:
    stand_in = Probed()
    yield stand_in
    stand_in.server.shutdown()
    stand_in.server.server_close()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOOLGATE_CONFIG", raising=False)
    monkeypatch.delenv("TOOLGATE_ADMIN_TOKEN", raising=False)


def health(*arguments: object) -> Result:
    return CliRunner().invoke(toolgate, ["health", *map(str, arguments)])


def written(folder: Path, admin: str) -> Path:
    """A configuration with this ``admin``, and nothing else that it needs: health looks at no more."""
    file = folder / "config.yaml"
    file.write_text(f"admin: {admin}\n")
    return file


def test_ready_is_0_and_draining_is_1(probed: Probed) -> None:
    done = health("--admin", f"127.0.0.1:{probed.port}")
    assert (done.exit_code, done.stdout) == (0, "ready\n")
    probed.answers = [DRAINING]
    done = health("--admin", f"127.0.0.1:{probed.port}")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"http://127.0.0.1:{probed.port}/readyz answers 503: draining\n"


def test_alive_is_another_question(probed: Probed) -> None:
    probed.answers = [(200, b"ok\n")]
    done = health("--admin", f"127.0.0.1:{probed.port}", "--live")
    assert (done.exit_code, done.stdout, probed.seen) == (0, "alive\n", [("/livez", None)])


def test_probes_of_the_configuration_come_before_its_admin_address(probed: Probed, tmp_path: Path) -> None:
    file = written(tmp_path, f'{{listen: "127.0.0.1:1", token: "{"t" * 40}", probes: "127.0.0.1:{probed.port}"}}')
    assert health("-c", file).exit_code == 0
    assert probed.seen == [("/readyz", None)], "probes are open: the token stays here"


def test_an_address_that_means_all_is_asked_on_this_machine(probed: Probed, tmp_path: Path) -> None:
    file = written(tmp_path, f'{{listen: "127.0.0.1:1", probes: "0.0.0.0:{probed.port}"}}')
    assert health("-c", file).exit_code == 0


def test_the_environment_names_the_configuration(
    probed: Probed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLGATE_CONFIG", str(written(tmp_path, f'"127.0.0.1:{probed.port}"')))
    assert health().exit_code == 0
    assert probed.seen == [("/readyz", None)]


def test_where_nothing_answers(tmp_path: Path) -> None:
    port = free_port()
    done = health("-c", written(tmp_path, f'"127.0.0.1:{port}"'))
    assert done.exit_code == 1
    assert done.stderr.startswith(f"no gateway answers at http://127.0.0.1:{port}: ")


def test_something_else_that_answers_is_no_gateway(probed: Probed) -> None:
    probed.answers = [(404, b"<html>")]
    assert health("--admin", f"127.0.0.1:{probed.port}").exit_code == 1


def test_it_waits_until_it_is(probed: Probed) -> None:
    probed.answers = [DRAINING, DRAINING, READY]
    assert health("--admin", f"127.0.0.1:{probed.port}", "--wait", "30").exit_code == 0
    assert len(probed.seen) == 3


@pytest.mark.parametrize(
    ("admin", "said"),
    [
        ('"127.0.0.1:0"', "lets the system choose the admin port"),
        ("[1]", "config.yaml:1:8"),
        ('"unix:/x"', "host:port"),
    ],
)
def test_a_configuration_that_tells_no_address_is_2(tmp_path: Path, admin: str, said: str) -> None:
    """Not 1: an engine would restart the container again and again, and never show why."""
    done = health("-c", written(tmp_path, admin))
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_run_without_the_configuration_that_the_environment_names_says_what_to_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLGATE_CONFIG", str(tmp_path / "config.yaml"))
    done = CliRunner().invoke(toolgate, ["run"])
    assert done.exit_code == 1
    assert f"-v ./toolgate:{tmp_path}:ro" in done.stderr
