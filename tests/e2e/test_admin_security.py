"""The admin side of a real gateway: TLS, people and roles, what is on record of them, and a login in a real browser."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.admin import certificates
from tests.admin.people import KEYS, users
from tests.console.browser import CHROMIUM
from tests.e2e.harness.gateway import Gateway
from tests.e2e.harness.net import eventually, free_port
from tests.e2e.harness.upstream import Upstream

ROOT = Path(__file__).parents[2]
TOKEN = "0123456789abcdef-secret"
Answer = tuple[int, http.client.HTTPMessage, bytes]


class Guarded:
    """A gateway with TLS on its admin address ``port``, and an address for probes (``gateway.admin``)."""

    def __init__(self, folder: Path, upstream: Upstream) -> None:
        folder.mkdir()
        self.gateway = Gateway(folder, {"raw": {"url": f"http://127.0.0.1:{upstream.port}"}})
        self.port = free_port()
        certificates.write(folder)
        self.admin: dict[str, Any] = {
            "listen": f"0.0.0.0:{self.port}",
            "probes": f"127.0.0.1:{self.gateway.admin}",
            "tls": {"cert_file": "cert.pem", "key_file": "key.pem"},
            "token": TOKEN,
            "users": users("ada", "bob", "eve"),
        }
        self.gateway.config |= {"admin": self.admin, "audit": {"key": "k" * 40, "sync": "100ms"}}
        self.gateway.start()

    def ask(self, path: str, who: str = "", method: str = "GET", body: Any = None, **fields: str) -> Answer:
        context = ssl.create_default_context(cafile=str(self.gateway.folder / "cert.pem"))
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=context)
        if who:
            fields["Authorization"] = f"Bearer {KEYS.get(who, who)}"
        try:
            sent = body if body is None or isinstance(body, str) else json.dumps(body)
            kind = "application/x-www-form-urlencoded" if isinstance(body, str) else "application/json"
            connection.request(method, path, sent, {"Content-Type": kind, **fields})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def status(self, *args: Any, **more: Any) -> int:
        return self.ask(*args, **more)[0]

    def command(self, *args: str, token: str = "", **environment: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *args], capture_output=True, text=True, timeout=30, cwd=ROOT, check=False,
            env=os.environ | {"TOOLGATE_ADMIN_TOKEN": token} | environment,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def changes(self) -> list[tuple[str, str]]:
        """Who did what, as the audit has it."""
        lines = b"".join(path.read_bytes() for path in sorted((self.gateway.folder / "audit").glob("audit-*.jsonl")))
        found = [json.loads(line)["record"] for line in lines.split(b"\n") if line]
        return [(one["by"], one["what"]) for one in found if one.get("kind", one.get("event")) == "change"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Guarded]:
    started = Guarded(tmp_path_factory.mktemp("admin") / "one", upstream)
    yield started
    started.gateway.stop()
    assert "Traceback" not in started.gateway.output, started.gateway.output
    for secret in (TOKEN, *KEYS.values()):
        assert secret not in started.gateway.output


QUARANTINE = {"scope": "agent", "key": ["mallory"], "reason": "incident 41", "by": "somebody else"}


def test_people_are_known_over_tls_and_changes_are_on_record_in_their_name(guarded: Guarded) -> None:
    assert guarded.status("/api/quarantines") == 401
    assert guarded.status("/api/quarantines", "eve") == 200
    for who in ("eve", "bob"):
        assert guarded.status("/api/quarantines", who, "POST", QUARANTINE) == 403
    status, _, body = guarded.ask("/api/quarantines", "ada", "POST", QUARANTINE)
    assert (status, json.loads(body)["by"]) == (201, "ada")
    assert guarded.status("/api/quarantines", "no-such-token") == 401
    status, headers, _ = guarded.ask("/login", method="POST", body=f"token={KEYS['bob']}")
    assert status == 303
    assert "__Host-toolgate_console=" in headers["Set-Cookie"]
    cookie = headers["Set-Cookie"].partition(";")[0]
    assert guarded.status("/logout", method="POST", Cookie=cookie) == 303
    assert guarded.status("/api/quarantines", Cookie=cookie) == 401
    assert guarded.status("/api/quarantines?scope=agent&key=mallory&by=bob", "ada", "DELETE") == 200
    wanted = [
        ("ada", "quarantine agent mallory until it is lifted"),
        ("unknown", "failed login"),
        ("bob", "login"),
        ("bob", "logout"),
        ("ada", "lift the quarantine of agent mallory"),
    ]
    assert eventually(lambda: guarded.changes() == wanted and wanted, 10, "all of it in the audit")


def test_the_address_of_probes_has_nothing_else(guarded: Guarded) -> None:
    assert [guarded.gateway.ask(path)[0] for path in ("/livez", "/readyz", "/healthz", "/metrics")] == [200] * 4
    assert guarded.gateway.ready().keys() == {"status", "draining", "policy_version"}
    for path in ("/", "/login", "/api/quarantines", "/decide", "/static/console.js", "/callbacks/slack"):
        assert guarded.gateway.ask(path)[0] == 404


def test_health_is_asked_over_tls_where_there_are_no_probes(guarded: Guarded) -> None:
    folder = guarded.gateway.folder
    assert guarded.command("health", "-c", str(guarded.gateway.file)) == (0, "ready\n")
    without = {key: value for key, value in guarded.admin.items() if key != "probes"}
    (folder / "health.yaml").write_text(json.dumps({"admin": without}))
    assert guarded.command("health", "-c", str(folder / "health.yaml")) == (0, "ready\n")
    (folder / "other").mkdir()
    certificates.write(folder / "other")
    without["tls"] = {"cert_file": "other/cert.pem", "key_file": "other/key.pem"}
    (folder / "health.yaml").write_text(json.dumps({"admin": without}))
    code, said = guarded.command("health", "-c", str(folder / "health.yaml"))
    assert (code, "certificate" in said.lower()) == (1, True), "whoever else listens there does not count"


def test_the_command_line_believes_the_certificate_of_its_configuration_and_no_other(
    guarded: Guarded, tmp_path: Path
) -> None:
    file, url = str(guarded.gateway.file), f"https://127.0.0.1:{guarded.port}"
    assert guarded.command("quarantine", "list", "-c", file)[0] == 0
    assert guarded.command("quarantine", "list", "--admin", url, token=KEYS["eve"])[0] != 0, "vouched for by nobody"
    authority = {"TOOLGATE_ADMIN_CA": str(guarded.gateway.folder / "cert.pem")}
    assert guarded.command("quarantine", "list", "--admin", url, token=KEYS["eve"], **authority)[0] == 0
    code, said = guarded.command("quarantine", "add", "agent", "x", "--admin", url, token=KEYS["eve"], **authority)
    assert code == 1
    assert "eve is no admin" in said
    certificates.write(tmp_path, "other")
    other = tmp_path / "toolgate.yaml"
    other.write_text(guarded.gateway.file.read_text())
    code, said = guarded.command("quarantine", "list", "-c", str(other))
    assert code == 1
    assert "certificate" in said.lower()


def test_users_and_certificates_change_without_a_restart(guarded: Guarded) -> None:
    status, headers, _ = guarded.ask("/login", method="POST", body=f"token={KEYS['eve']}")
    assert status == 303
    cookie = headers["Set-Cookie"].partition(";")[0]
    version = guarded.gateway.ready()["policy_version"]
    guarded.gateway.config["admin"] = {**guarded.admin, "users": users("ada", "bob")}
    guarded.gateway.file.write_text(json.dumps(guarded.gateway.config))
    eventually(lambda: guarded.status("/api/quarantines", "eve") in (401, 429), 15, "eve is gone")
    assert guarded.status("/api/quarantines", Cookie=cookie) == 401, "and so is her session"
    assert guarded.status("/api/quarantines", "bob") == 200
    assert guarded.gateway.ready()["policy_version"] == version, "what waits for a person stays good"

    certificates.write(guarded.gateway.folder, "new")

    def believed() -> bool:
        try:
            return guarded.status("/api/quarantines", "bob") == 200
        except ssl.SSLError:
            return False

    eventually(believed, 15, "the new certificate is shown")


@pytest.mark.parametrize(
    ("admin", "told"),
    [
        ("0.0.0.0:0", "nobody would be asked who they are"),
        ({"listen": "0.0.0.0:0", "token": TOKEN}, "tokens would pass unencrypted"),
    ],
)
def test_a_gateway_does_not_start_with_an_open_admin_address(tmp_path: Path, admin: Any, told: str) -> None:
    gateway = Gateway(tmp_path / "open", {"raw": {"url": "http://127.0.0.1:1"}})
    gateway.config["admin"] = admin
    with pytest.raises(AssertionError, match=told):
        gateway.start()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: install it, or name one in TOOLGATE_CHROMIUM")
def test_somebody_logs_in_at_an_identity_provider_in_a_real_browser(tmp_path: Path) -> None:
    """The provider is another site (localhost, not 127.0.0.1): what comes from there gets no SameSite=Strict cookie."""
    from playwright.sync_api import ConsoleMessage, expect, sync_playwright

    gateway, provider = Gateway(tmp_path / "one", {"raw": {"url": "http://127.0.0.1:1"}}), free_port()
    gateway.config["admin"] = {
        "listen": f"127.0.0.1:{gateway.admin}",
        "oidc": {
            "issuer": f"http://localhost:{provider}",
            "client_id": "toolgate",
            "client_secret": "secret",
            "redirect_uri": f"http://127.0.0.1:{gateway.admin}/login/callback",
            "roles": {"admin": ["sre"]},
        },
    }
    claims = json.dumps({"sub": "ada", "groups": ["sre"]})
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "-p", str(provider), "--user-claims", claims],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    gateway.start()
    try:
        with sync_playwright() as playwright:
            rules = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", rules])
            page = browser.new_page(base_url=f"http://127.0.0.1:{gateway.admin}")
            complaints: list[str] = []

            def heard(message: ConsoleMessage) -> None:
                if "//127.0.0.1:" in message.location["url"]:  # the provider's pages are its own affair
                    complaints.append(message.text)

            page.on("console", heard)
            page.goto("/tools")
            page.get_by_role("link", name="identity provider").click()
            page.wait_for_url(f"http://localhost:{provider}/**")
            page.get_by_role("button", name="ada").click()
            page.wait_for_url(f"http://127.0.0.1:{gateway.admin}/")
            expect(page.get_by_role("banner")).to_contain_text("ada")
            page.goto("/tools/raw")
            page.get_by_text("nobody may call it").click()
            page.get_by_label("Why").fill("a try")
            page.get_by_role("button", name="Quarantine").click()
            expect(page.locator(".notice", has_text="is quarantined")).to_contain_text("by ada")
            page.get_by_role("button", name="Log out").click()
            page.wait_for_url("**/login")
            page.goto("/tools")
            expect(page).to_have_url(f"http://127.0.0.1:{gateway.admin}/login")
            assert complaints == []
            browser.close()
    finally:
        process.terminate()
        process.wait(10)
        gateway.stop()
    assert "Traceback" not in gateway.output, gateway.output
