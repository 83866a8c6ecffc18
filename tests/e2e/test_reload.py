"""A changed policy, configuration or secret takes effect without a restart; a broken one changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .harness import http1
from .harness.gateway import ALL, Gateway, call, problem_of
from .harness.net import Peer, eventually
from .harness.upstream import Upstream

DENY = """
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: closed}
spec: {rules: [{name: all, when: "request.path.startsWith('/x')", then: deny, message: closed for now}]}
"""


@pytest.fixture
def living(tmp_path: Path, upstream: Upstream) -> Iterator[Gateway]:
    """A gateway of one's own, whose files change."""
    secret = tmp_path / "secret"
    secret.write_text("old")
    tool = {
        "url": f"http://127.0.0.1:{upstream.port}",
        "credential": {"header": "Authorization", "value": f"Bearer ${{file:{secret}}}"},
    }
    gateway = Gateway(tmp_path, {"raw": tool}).start()
    yield gateway
    gateway.stop()


def _replace(file: Path, text: str) -> None:
    """As careful editors write: in one step, so that nobody ever reads half of it."""
    beside = file.with_suffix(".new")
    beside.write_text(text)
    beside.rename(file)


def _status(gateway: Gateway) -> int:
    return call(gateway, "GET", "/raw/x").status


def test_an_edited_policy_takes_effect_and_back(living: Gateway, upstream: Upstream) -> None:
    pid = living.running.pid
    with upstream.recording():
        first = living.trace(call(living, "GET", "/raw/x").get("x-toolgate-call"))
        living.policy_file.write_text(ALL + DENY)
        eventually(lambda: _status(living) == 403, what="the new policy is in force")
        answer = call(living, "GET", "/raw/x")
        problem = problem_of(answer, "policy_denied", 403)
        assert problem["detail"].endswith("closed for now")
        second = living.trace(answer.get("x-toolgate-call"))
        assert first["policy_version"] != second["policy_version"]
        living.policy_file.write_text(ALL)
        eventually(lambda: _status(living) == 200, what="the old policy is in force again")
    assert living.running.pid == pid
    assert living.running.poll() is None


def test_a_broken_policy_keeps_the_old_and_says_so(living: Gateway, upstream: Upstream) -> None:
    version = living.ready()["policy_version"]
    with upstream.recording():
        _replace(living.policy_file, ALL + DENY.replace("request.path", "request.pth"))

        def complaint() -> Any:
            return living.ready().get("last_reload_error")

        problems = "\n".join(map(str, eventually(complaint, what="/readyz tells of the mistake")["problems"]))
        assert "all.yaml" in problems
        assert "pth" in problems
        assert living.ask("/readyz")[0] == 200, "the old version serves on"
        assert _status(living) == 200
        assert living.ready()["policy_version"] == version
        assert "pth" in living.output, "the log tells too"
        _replace(living.policy_file, ALL + DENY)
        eventually(lambda: _status(living) == 403, what="the mended policy is in force")
        assert not complaint()


def test_a_changed_secret_is_sent(living: Gateway, upstream: Upstream) -> None:
    def sent() -> bytes | None:
        with upstream.recording() as seen:
            call(living, "GET", "/raw/x")
        return seen.requests[0].get("authorization")

    assert sent() == b"Bearer old"
    (living.folder / "secret").write_text("new\n")
    eventually(lambda: sent() == b"Bearer new", what="the new secret is in use")


def test_a_new_tool_is_reachable(living: Gateway, upstream: Upstream) -> None:
    assert call(living, "GET", "/second/x").status == 404
    config = yaml.safe_load(living.file.read_text())
    config["tools"]["second"] = {"url": f"http://127.0.0.1:{upstream.port}"}
    living.file.write_text(yaml.safe_dump(config))
    with upstream.recording():
        eventually(lambda: call(living, "GET", "/second/x").status == 200, what="the new tool is there")


def test_a_call_keeps_the_policy_that_it_began_with(living: Gateway, upstream: Upstream) -> None:
    may_answer = threading.Event()

    def script(peer: Peer) -> None:
        if http1.read_request(peer).target == b"/slow":
            assert may_answer.wait(15)
        peer.send(http1.response("200 OK"))

    version = living.ready()["policy_version"]
    with upstream.playing(script) as seen, living.connect(timeout=20) as peer:
        peer.send(http1.request("GET", "/raw/slow"))
        eventually(lambda: seen.turns)
        living.policy_file.write_text(ALL + DENY)
        eventually(lambda: _status(living) == 403, what="the new policy is in force")
        may_answer.set()
        answer = http1.read_response(peer)
    assert answer.status == 200
    assert living.trace(answer.get("x-toolgate-call"))["policy_version"] == version


def test_an_open_connection_gets_the_new_policy(living: Gateway, upstream: Upstream) -> None:
    """Keep-alive is no way around a new rule."""
    with upstream.recording(), living.connect() as peer:

        def again() -> int:
            peer.send(http1.request("GET", "/raw/x"))
            return http1.read_response(peer).status

        assert again() == 200
        living.policy_file.write_text(ALL + DENY)
        eventually(lambda: again() == 403, what="the new policy is in force on the old connection")
