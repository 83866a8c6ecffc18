"""The operator's side over real sockets."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin.server import start
from gateway.errors import ConfigError
from gateway.observe.exposition import Gauges, registry_of
from gateway.observe.metrics import Metrics

STATUS = {
    "ready": True,
    "draining": False,
    "policy_version": "v1",
    "loaded_at": "2026-01-01T00:00:00Z",
    "last_reload_error": None,
    "trace": {"file": "-", "available": True, "unwritten": 0, "dropped": 0, "error": None},
}


@asynccontextmanager
async def serving(**changes):
    """A client session whose base is the admin server, in this state."""
    runner = await start(("127.0.0.1", 0), lambda: {**STATUS, **changes}, registry_of(Metrics(), Gauges()))
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
            yield session
    finally:
        await runner.cleanup()


async def test_health_is_200_while_the_loop_lives_even_when_not_ready():
    async with serving(ready=False) as session, session.get("/healthz") as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
        b"GET http://[::1/ HTTP/1.1\r\nHost: a\r\n",
    ],
    ids=["no Host", "two of them", "a broken address"],
)
async def test_a_malformed_request_is_a_400_and_no_traceback(head, caplog):
    async with serving() as session:
        base = session._base_url
        reader, writer = await asyncio.open_connection(base.host, base.port)
        writer.write(head + b"\r\n")
        assert (await reader.readline()).split()[1] == b"400"
        writer.close()
    assert caplog.records == []


async def test_a_failure_of_our_own_is_in_the_log(caplog):
    runner = await start(("127.0.0.1", 0), dict, registry_of(Metrics(), Gauges()))  # a status without its members
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}/readyz") as answer:
            assert answer.status == 500
    finally:
        await runner.cleanup()
    assert "KeyError" in caplog.text


async def test_nothing_secret_is_shown_and_what_is_shown_arrives_whole():
    told = {**STATUS, "policy_version": "s3cret"}
    hide = lambda page: page.replace(b"s3cret", b"[redacted:longer than that]")  # noqa: E731
    runner = await start(("127.0.0.1", 0), lambda: told, registry_of(Metrics(), Gauges()), hide=hide)
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}/readyz") as answer:
            shown = await answer.json()
    finally:
        await runner.cleanup()
    assert shown["policy_version"] == "[redacted:longer than that]"
    assert shown["trace"]["file"] == "-"


async def test_ready_shows_the_version_in_force():
    async with serving() as session, session.get("/readyz") as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        shown = await answer.json()
    assert shown["status"] == "ready"
    assert shown["policy_version"] == "v1"
    assert shown["trace"]["available"] is True
    assert shown.keys() == {"status", *STATUS} - {"ready"}


@pytest.mark.parametrize(
    ("changes", "word"), [({"draining": True}, "draining"), ({"ready": False}, "not ready")], ids=["draining", "not"]
)
async def test_no_calls_should_come_while_draining_or_before_the_first_version(changes, word):
    async with serving(**changes) as session, session.get("/readyz") as answer:
        assert answer.status == 503
        assert (await answer.json())["status"] == word


async def test_a_failed_reload_is_shown_and_stays_ready():
    failed = {"at": "2026-01-01T00:00:01Z", "problems": ["policies/a.yaml:3:5: unknown key"]}
    async with serving(last_reload_error=failed) as session, session.get("/readyz") as answer:
        assert answer.status == 200
        assert (await answer.json())["last_reload_error"] == failed


async def test_metrics_can_be_parsed_by_prometheus():
    async with serving() as session, session.get("/metrics") as answer:
        assert answer.content_type == "text/plain"
        names = {family.name for family in text_string_to_metric_families(await answer.text())}
    assert "toolgate_build_info" in names


async def test_metrics_are_given_as_openmetrics_when_asked():
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with serving() as session, session.get("/metrics", headers=accept) as answer:
        assert answer.content_type == "application/openmetrics-text"
        assert (await answer.text()).endswith("# EOF\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_changed_here(method):
    async with serving() as session:
        for path in ("/healthz", "/readyz", "/metrics"):
            async with session.request(method, path) as answer:
                assert answer.status == 405


async def test_a_port_in_use_is_an_error_that_says_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
        with pytest.raises(ConfigError, match=r"admin: cannot listen on .*something else listens there.*another port"):
            await start(address, lambda: STATUS, registry_of(Metrics(), Gauges()))


async def test_an_address_of_another_machine_is_an_error_that_says_what_to_do():
    with pytest.raises(ConfigError, match=r"no such address .*such as 127\.0\.0\.1:9090"):
        await start(("192.0.2.1", 0), lambda: STATUS, registry_of(Metrics(), Gauges()))
