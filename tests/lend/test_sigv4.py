"""What is signed is what is sent: the head that the tool gets is verified by the specification, written down here once
more, as a server would."""

from __future__ import annotations

import hashlib
import hmac
import logging
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from botocore.credentials import ReadOnlyCredentials

from gateway.execute.forward import Forwarder
from gateway.lend.aws import FRESH, AwsSource, Keys
from gateway.lend.sigv4 import Signer
from gateway.lend.sources import Unavailable
from gateway.model import Lent, Permit
from gateway.model.credentials import Aws
from tests.builders import call, request, tool

KEYS = ReadOnlyCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
SESSION = ReadOnlyCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "canary-session-token")
STRIPPED = frozenset({b"authorization", b"x-amz-date", b"x-amz-security-token", b"x-amz-content-sha256"})


def sent(
    service: str = "execute-api",
    target: str = "/items",
    method: str = "GET",
    fields: list[tuple[str, str]] | None = None,
    body: bytes | None = None,
    keys: ReadOnlyCredentials = KEYS,
    so_far: Lent | None = None,
    length: int | None = None,
    **of_tool: Any,
) -> bytes:
    """The head of a signed request."""
    url = of_tool.pop("url", ("https", "api.example.com", 443))
    to = tool("aws", url, strip=STRIPPED, **of_tool)
    asked = request(method, "/aws" + target, fields or [], length=len(body or b"") if length is None else length)
    made = call(to=to, of=asked, target=target)
    before = so_far or Lent()
    lent = Signer(Aws("eu-central-1", service), Forwarder(to)).sign(made, body, keys, before)
    both = Lent(before.fields + lent.fields, before.query + lent.query)
    return Forwarder(to).head(Permit(made), chunked=False, lent=both)


def verify(head: bytes, body: bytes, *, s3: bool = False, secret: str = KEYS.secret_key) -> dict[str, str]:
    """As the service does, from nothing but the bytes. The fields that were signed."""
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    fields: dict[str, list[str]] = {}
    for line in filter(None, lines):
        name, _, value = line.partition(": ")
        fields.setdefault(name.lower(), []).append(" ".join(value.split()))
    (authorization,) = fields["authorization"]
    told = dict(part.split("=", 1) for part in authorization.removeprefix("AWS4-HMAC-SHA256 ").split(", "))
    path, _, query = target.partition("?")
    if not s3:
        kept: list[str] = []
        for segment in path.split("/"):
            if segment == "..":
                kept = kept[:-1]
            elif segment not in ("", "."):
                kept.append(segment)
        path = quote("/" + "/".join(kept) + ("/" if kept and path.endswith("/") else ""), safe="/-_.~")
    members = sorted(tuple(member.partition("=")[::2]) for member in query.split("&")) if query else []
    signed = told["SignedHeaders"].split(";")
    (digest,) = fields["x-amz-content-sha256"]
    assert digest in (hashlib.sha256(body).hexdigest(), "UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    canonical = "\n".join(
        [
            method,
            path,
            "&".join(f"{name}={value}" for name, value in members),
            *[f"{name}:{','.join(fields[name])}" for name in signed],
            "",
            told["SignedHeaders"],
            digest,
        ]
    )
    (stamp,) = fields["x-amz-date"]
    scope = told["Credential"].partition("/")[2]
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    assert hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest() == told["Signature"]
    amz = {name for name in fields if name.startswith("x-amz-")}
    assert amz | {"host"} <= set(signed), "all x-amz-* fields must be signed"
    return {name: ",".join(fields[name]) for name in signed}


@pytest.mark.parametrize(
    "target",
    [
        *("/", "/items", "/a/b/", "/a%20b", "/a//b", "/a/./b/../c", "/%7Euser", "/a+b", "/a;b=c"),
        *("/x?b=2&a=1", "/x?a=2&a=1", "/x?flag", "/x?a=%2F&A=1", "/x?a=b=c"),
    ],
)
def test_paths_and_queries_are_signed_as_they_are_sent(target: str) -> None:
    verify(sent(target=target), b"")


@pytest.mark.parametrize("target", ["/key", "/a//b", "/a/../b", "/a%20b/%C3%BC", "/k?list-type=2&prefix=a%2F"])
def test_s3_takes_paths_as_they_are(target: str) -> None:
    verify(sent("s3", target), b"", s3=True)


def test_the_base_path_and_what_else_is_lent_are_signed_too() -> None:
    lent = Lent(((b"X-Amz-User", b"a"),), (("key", "a b/c"),))
    head = sent(target="/x?key=agents&a=1", base_path="/prod", so_far=lent)
    assert head.startswith(b"GET /prod/x?a=1&key=a%20b%2Fc HTTP/1.1\r\n")
    verify(head, b"")


def test_what_the_agent_signed_itself_is_gone() -> None:
    own = [("Authorization", "AWS4-HMAC-SHA256 agents"), ("X-Amz-Date", "x"), ("X_Amz_Date", "y")]
    own += [("X-Amz-Security-Token", "z"), ("X-Amz-Content-SHA256", "0"), ("X-Amz-Target", "Tables.List")]
    own += [("X-Amz-Meta-A", "one  two"), ("X-Amz-Meta-A", "three"), ("Content-Type", "application/json")]
    head = sent(method="POST", fields=own, body=b"{}", keys=SESSION)
    signed = verify(head, b"{}")
    assert signed["x-amz-target"] == "Tables.List"
    assert signed["x-amz-meta-a"] == "one two,three"
    assert signed["x-amz-security-token"] == SESSION.token
    assert head.lower().count(b"authorization:") == head.lower().count(b"x-amz-date:") == 1
    assert b"agents" not in head


def test_fields_that_do_not_reach_the_tool_are_not_signed() -> None:
    head = sent(fields=[("Connection", "x-amz-secret"), ("X-Amz-Secret", "1")])
    assert "x-amz-secret" not in verify(head, b"")


def test_the_host_that_the_agent_asked_for_is_signed_where_it_is_passed_on() -> None:
    assert verify(sent(preserve_host=True), b"")["host"] == "127.0.0.1:8080"
    assert verify(sent(url=("http", "127.0.0.1", 9000)), b"")["host"] == "127.0.0.1:9000"


def test_a_body_that_could_not_be_read_goes_unsigned_to_s3_over_tls_only() -> None:
    assert verify(sent("s3", method="PUT", length=1 << 30), b"", s3=True)["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    for service, url in (("execute-api", ("https", "a", 443)), ("s3", ("http", "a", 80))):
        with pytest.raises(Unavailable, match="could not be read to sign it") as raised:
            sent(service, method="PUT", length=1 << 30, url=url)
        assert raised.value.status == 413


def test_bodies_in_pieces() -> None:
    trailed = [
        ("X-Amz-Content-SHA256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("X-Amz-Trailer", "x-amz-checksum"),
    ]
    verify(sent("s3", method="PUT", fields=trailed, body=b"2\r\nab\r\n0\r\n"), b"", s3=True)
    with pytest.raises(Unavailable, match="signed the body in pieces"):
        sent("s3", method="PUT", fields=[("X-Amz-Content-SHA256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")], body=b"x")


def test_the_signer_logs_nothing_of_what_it_signs(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        sent(keys=SESSION)
    assert not caplog.text


async def test_keys_that_are_found_are_looked_for_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    now, learnt = [0.0], list[str]()
    file.write_text("[gate]\naws_access_key_id = one\naws_secret_access_key = canary-1\n")
    keys = Keys("gate", lambda: now[0], learnt.append)
    first = keys.get()
    assert not isinstance(first, ReadOnlyCredentials)
    assert (await first).access_key == "one"
    assert keys.get().access_key == "one"  # type: ignore[union-attr]
    file.write_text("[gate]\naws_access_key_id = two\naws_secret_access_key = canary-2\n")
    now[0] += FRESH
    assert keys.get().access_key == "one", "the old keys serve meanwhile"  # type: ignore[union-attr]
    assert keys._finding is not None
    await keys._finding
    assert keys.get().access_key == "two"  # type: ignore[union-attr]
    assert learnt == ["canary-1", "canary-2"]
    await keys.close()


async def test_no_keys_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    source = AwsSource(Aws("r", "s", profile="nobody"), Forwarder(tool()), lambda: 0.0, lambda secret: None)
    waits = source.lend(call(), None, Lent())
    assert not isinstance(waits, Lent)
    with pytest.raises(Unavailable, match=r"keys cannot be had \(ProfileNotFound\)"):
        await waits
    with pytest.raises(Unavailable):
        source.lend(call(), None, Lent())
    await source.close()
