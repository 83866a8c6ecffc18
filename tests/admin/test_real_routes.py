"""Every route of the real admin address, whatever parts it comes to have: who may use it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web

from gateway import parts
from gateway.admin.api import APPROVERS
from gateway.app import App
from gateway.config.load import load
from tests.admin.people import KEYS, bearer, users
from tests.config.support import CONFIG, written

OPEN = {"/healthz", "/livez", "/readyz", "/metrics", "/login", "/login/oidc", "/login/callback", "/logout"}
"""What asks nobody who they are: probes, and the ways to say it."""
SIGNED = ("/callbacks/", "/decide")
"""Signed by the channel that sends it, or a link that was signed for one person (``callbacks.py``, ``decide.py``)."""
ENDLESS = re.compile(r"stream|feed")


def of_their_own(path: str) -> bool:
    """Static files are the same for all, and what is signed has proofs of its own."""
    return path.startswith(("/static/", *SIGNED))


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[web.AppRunner, aiohttp.ClientSession]]:
    """The admin address of a whole gateway, and a client at it."""
    admin = yaml.safe_dump({"admin": {"listen": "127.0.0.1:0", "users": users("ada", "bob", "eve")}})
    path = written(tmp_path, f"listen: 127.0.0.1:0\n{admin}trace: {{file: {tmp_path / 'trace.jsonl'}}}\n{CONFIG}")
    loaded = load(path)
    app = App(str(path), loaded, parts.redactor_of(loaded))
    runner = await app.operators.serve()
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession(f"http://{host}:{port}", cookie_jar=aiohttp.DummyCookieJar()) as client:
            yield runner, client
    finally:
        await runner.cleanup()
        app.core.flush()


def routes(runner: web.AppRunner) -> Iterator[tuple[str, str, str]]:
    """Method, pattern, and a path that fits it, of every route."""
    assert runner.app is not None
    for resource in runner.app.router.resources():
        for route in resource:
            pattern = route.resource.canonical if route.resource is not None else ""
            yield route.method, pattern, re.sub(r"\{[^}]*\}", "x", pattern)


async def status_of(client: aiohttp.ClientSession, method: str, path: str, fields: dict[str, str]) -> int:
    async with client.request(method, path, headers=fields, allow_redirects=False) as response:
        return response.status


async def test_nothing_is_shown_or_changed_without_a_login(served) -> None:
    runner, client = served
    seen = 0
    for method, pattern, path in routes(runner):
        if pattern in OPEN or of_their_own(pattern):
            continue
        status = await status_of(client, method, path, {"X-Toolgate-Admin": "1"})
        assert status == 401 or (status == 303 and not pattern.startswith("/api")), (method, pattern, status)
        seen += 1
    assert seen > 30


async def test_viewers_change_nothing_and_approvers_only_what_is_about_approvals(served) -> None:
    runner, client = served
    refused = {"eve": 0, "bob": 0}
    for method, pattern, path in routes(runner):
        if method in ("GET", "HEAD") or pattern in OPEN or of_their_own(pattern):
            continue
        assert pattern.startswith("/api/"), f"{method} {pattern}: what changes something belongs below /api/"
        for name in refused:
            status = await status_of(client, method, path, bearer(KEYS[name]))
            if name == "eve" or not pattern.startswith(APPROVERS):
                assert status == 403, (name, method, pattern, status)
                refused[name] += 1
            else:
                assert status not in (401, 500), (name, method, pattern, status)
    assert refused["eve"] > refused["bob"] >= 3


async def test_what_is_signed_is_refused_without_a_signature_whoever_sends_it(served) -> None:
    runner, client = served
    found = [(method, path) for method, pattern, path in routes(runner) if pattern.startswith(SIGNED)]
    assert found
    for method, path in found:
        for fields in ({}, bearer(KEYS["ada"])):
            assert await status_of(client, method, path, fields) in (400, 401, 403, 404, 415), (method, path)


async def test_viewers_see_every_page(served) -> None:
    runner, client = served
    for method, pattern, path in routes(runner):
        if method == "GET" and pattern not in OPEN and not ENDLESS.search(pattern) and not of_their_own(pattern):
            status = await status_of(client, method, path, bearer(KEYS["eve"]))
            assert status not in (401, 403, 500), (pattern, status)


async def test_pages_say_who_one_is_and_offer_only_what_one_may_do(served) -> None:
    _, client = served
    for name, offered in (("ada", True), ("eve", False), ("bob", False)):
        async with client.get("/tools/github", headers=bearer(KEYS[name])) as response:
            text = await response.text()
        assert f">{name}</span>" in text
        assert ("/api/quarantines" in text) == offered
        assert "Your name" not in text, "the gateway knows it"


async def test_every_answer_has_the_fields_that_keep_browsers_in_bounds(served) -> None:
    _, client = served
    for path in ("/", "/login", "/tools", "/api/runs", "/readyz", "/static/console.js"):
        async with client.get(path, headers=bearer(KEYS["eve"])) as response:
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "Referrer-Policy" in response.headers
            if not path.startswith(("/api", "/readyz")):
                assert "base-uri 'none'" in policy
                assert "form-action 'self'" in policy
                assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
