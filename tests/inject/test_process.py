"""The real injector over real TLS: its own certificate, somebody else's, and what changes while it runs."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from gateway.cli.health import health
from tests.e2e.harness.authority import Authority
from tests.e2e.harness.net import eventually

from . import pods
from .cluster import HOST, SECRET, SERVICE, WEBHOOK, Objects, Server
from .process import Injector

REVIEW = (pods.FIXTURES / "review-generated-name.json").read_bytes()


def images(answer: dict[str, Any]) -> list[str]:
    """Of the containers that are added by a review."""
    patch = json.loads(b64decode(answer["response"]["patch"]))
    return [one["value"]["image"] for one in patch if one["path"] == "/spec/initContainers/0"]


async def test_two_replicas_start_at_once_with_nothing_but_the_api_server(tmp_path: Path) -> None:
    server = Server(tmp_path, Objects())
    environment = await server.start()
    own = {"secret": SECRET, "service": SERVICE, "webhook": WEBHOOK, "account": str(server.account)}
    written = {**pods.WRITTEN, "uid": 20001, "tls": {"self": own}}
    replicas = [Injector(tmp_path / name, written, environment) for name in ("one", "other")]
    try:
        for replica in replicas:
            await asyncio.to_thread(replica.wait)
            answer = await asyncio.to_thread(replica.review, REVIEW, server.objects.bundle.decode(), HOST)
            assert answer["response"]["uid"] == json.loads(REVIEW)["request"]["uid"]
            assert images(answer) == [pods.IMAGE]
        assert [line for line in server.objects.written if line.startswith("create")] != []
        assert len(server.objects.written) <= 3, "one creates, and one or both tell the API server"
        result = await asyncio.to_thread(
            CliRunner().invoke, health, ["--admin", f"http://127.0.0.1:{replicas[0].probes}"]
        )
        assert (result.exit_code, result.output) == (0, "ready\n")
    finally:
        codes = [await asyncio.to_thread(replica.stop) for replica in replicas]
        await server.close()
    assert codes == [0, 0]
    told = [line for line in replicas[0].lines if line["message"] == "pod"]
    assert [(line["namespace"], line["pod"], line["outcome"]) for line in told] == [("agents", "fx-", "injected")]
    assert replicas[0].lines[-1]["message"] == "ended"


def test_certificate_and_settings_change_while_it_runs(tmp_path: Path) -> None:
    """As cert-manager and a ConfigMap do it; a version that cannot be used leaves the one before in force."""
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    certificate, key = old.sign("webhook", dns=[HOST], address="127.0.0.1")
    files = {"cert_file": certificate, "key_file": key}
    injector = Injector(tmp_path / "one", {**pods.WRITTEN, "uid": 20001, "tls": {"files": files}})
    try:
        injector.wait()
        assert images(injector.review(REVIEW, old.file.read_text(), HOST)) == [pods.IMAGE]

        Path(certificate).write_text("half of a certif")
        injector.write({**injector.settings, "uid": "20001", "images": "x"})
        eventually(lambda: len(json.loads(injector.ask("/readyz")[1])["troubles"]) == 2, what="it is told")
        assert injector.ready()
        assert images(injector.review(REVIEW, old.file.read_text(), HOST)) == [pods.IMAGE]
        troubles = json.loads(injector.ask("/readyz")[1])["troubles"]
        assert "images" in troubles["settings"]
        assert 'toolgate_inject_failures_total{what="settings"} 0.0' not in injector.ask("/metrics")[1]

        new.sign("webhook", dns=[HOST], address="127.0.0.1")
        injector.write({**injector.settings, "image": "toolgate:2"})
        eventually(lambda: json.loads(injector.ask("/readyz")[1])["troubles"] == {}, what="both are in force")
        assert images(injector.review(REVIEW, new.file.read_text(), HOST)) == ["toolgate:2"]
        assert 'toolgate_inject_reviews_total{outcome="injected"} 3.0' in injector.ask("/metrics")[1]
    finally:
        code = injector.stop()
    assert code == 0
