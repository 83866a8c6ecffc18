"""A web page must not reach a tool through a gateway on the user's machine."""

from __future__ import annotations

import pytest

from gateway.errors import Refused
from gateway.model import Reason
from gateway.understand.origins import Origins
from tests.builders import request

ORIGINS = Origins(["agents.corp", "inspector.corp:6274"])


def check(host: str | None = "localhost:8080", origin: str | None = None, **rest: object) -> None:
    fields = [] if origin is None else [("Origin", origin)]
    ORIGINS.check(request("POST", rest.pop("target", "/notes"), fields, host=host, **rest))


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8080",
        "notes.localhost",
        "127.0.0.1:1",
        "127.9.9.9",
        "[::1]",
        "[::1]:8080",
        "agents.corp:80",
    ],
)
def test_loopback_names_and_allowed_hosts_may_be_named(host):
    check(host)
    check(origin=f"http://{host}")
    check(host)  # and once more, from memory


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evillocalhost",
        "[::1]evil.example",
        "[::1",
        "10.0.0.1",
        "agents.corp.evil.example",
        "inspector.corp:6275",
        "localhost:80:80",
        "user@localhost",
        "",
    ],
)
def test_every_other_name_is_foreign(host):
    for asked in ({"host": host}, {"origin": f"http://{host}"}):
        with pytest.raises(Refused) as caught:
            check(**asked)
        assert (caught.value.reason, caught.value.status) == (Reason.FOREIGN_ORIGIN, 403)


@pytest.mark.parametrize("origin", ["null", "", "localhost", "file://", "http://localhost/path"])
def test_an_origin_that_is_none_is_foreign(origin):
    with pytest.raises(Refused):
        check(origin=origin)


def test_an_allowed_host_with_a_port_is_allowed_with_that_port_only():
    check(origin="http://inspector.corp:6274")


def test_no_host_at_all_is_foreign():
    with pytest.raises(Refused):
        check(host=None)


def test_from_another_machine_the_host_proves_nothing_but_the_origin_is_checked():
    check("gateway.corp", peer="10.0.0.9")
    with pytest.raises(Refused):
        check("gateway.corp", "http://gateway.corp", peer="10.0.0.9")


def test_a_request_in_absolute_form_is_none_that_a_page_can_make():
    check("api.example", target="http://api.example/mcp")


def test_what_is_remembered_is_bounded():
    for port in range(200):
        check(f"localhost:{port}")
    with pytest.raises(Refused):
        check("evil.example")
