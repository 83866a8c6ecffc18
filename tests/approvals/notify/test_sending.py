"""What is sent reaches real receivers, and what goes wrong is told apart: for later, or for good."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.approvals.notify.generic import Webhook
from gateway.approvals.notify.mail import Mail
from gateway.approvals.notify.posting import MOST_ANSWER, Poster, Undelivered
from gateway.approvals.notify.slack import Slack
from gateway.config.schema_approvals import EmailChannel, SlackChannel, WebhookChannel
from tests.admin import certificates
from tests.approvals.notify.receivers import MailServer, Receiver
from tests.approvals.notify.told import notice
from tests.e2e.harness.net import free_port

SECRET = "whsec_" + "A" * 44


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()


async def posted(
    receiver: Receiver, status: int, fields: dict[str, str] | None = None, body: bytes = b""
) -> Undelivered:
    """What becomes of a message that is answered so."""
    receiver.answering = lambda _: (status, fields or {}, body)
    poster = Poster()
    channel = Webhook(WebhookChannel(url=f"{receiver.url}/x?secret=s3cret", secret=SECRET), poster)
    try:
        with pytest.raises(Undelivered) as raised:
            await channel.send(notice(), "", set())
    finally:
        await poster.close()
    assert "s3cret" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize(
    ("status", "again"), [(500, True), (503, True), (429, True), (408, True), (404, False), (410, False)]
)
async def test_what_an_answer_means(receiver: Receiver, status: int, again: bool) -> None:
    error = await posted(receiver, status, {"Retry-After": "7"})
    assert (error.again, error.wait) == (again, 7.0)


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "soon", "Wed, 21 Oct 2026 07:28:00 GMT"])
async def test_a_retry_after_that_says_nothing(receiver: Receiver, text: str) -> None:
    assert (await posted(receiver, 429, {"Retry-After": text})).wait == 0.0


async def test_nobody_is_led_elsewhere(receiver: Receiver) -> None:
    error = await posted(receiver, 307, {"Location": f"{receiver.url}/elsewhere"})
    assert not error.again
    assert receiver.at("/elsewhere") == []


async def test_who_is_not_there_is_tried_again_and_who_is_slow_too(receiver: Receiver) -> None:
    with pytest.raises(Undelivered) as away:
        await Poster().post(f"http://127.0.0.1:{free_port()}/", b"", {})
    assert away.value.again
    free = threading.Event()
    receiver.answering = lambda _: (200 if free.wait(5) else 500, {}, b"")
    poster = Poster(timeout=0.05)
    try:
        with pytest.raises(Undelivered) as slow:
            await poster.post(receiver.url, b"", {})
    finally:
        free.set()
        await poster.close()
    assert slow.value.again


async def test_the_proxy_of_the_environment_is_asked_but_for_this_machine(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", receiver.url)
    monkeypatch.setenv("no_proxy", "inside.example")
    poster = Poster()
    try:
        await poster.post("http://bot.example/x", b"", {})
        await poster.post(f"{receiver.url}/here", b"", {})
        with pytest.raises(Undelivered):
            await poster.post("http://inside.example:1/x", b"", {})
    finally:
        await poster.close()
    assert [got.path for got in receiver.got] == ["http://bot.example/x", "/here"]


async def test_a_long_answer_is_not_read_to_its_end(receiver: Receiver) -> None:
    receiver.answering = lambda _: (200, {}, b"x" * (4 * MOST_ANSWER))
    poster = Poster()
    try:
        assert len((await poster.post(receiver.url, b"", {})).body) <= MOST_ANSWER
    finally:
        await poster.close()


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (b'{"ok":false,"error":"ratelimited"}', True),
        (b'{"ok":false,"error":"channel_not_found"}', False),
        (b"<html>", True),
    ],
)
async def test_slack_says_no_with_a_200(receiver: Receiver, answer: bytes, again: bool) -> None:
    receiver.answering = lambda _: (200, {}, answer)
    poster = Poster()
    channel = Slack(SlackChannel(token="xoxb-s3cret", channel="C1", api=receiver.url), poster)
    try:
        with pytest.raises(Undelivered) as raised:
            await channel.send(notice(), "", set())
    finally:
        await poster.close()
    assert raised.value.again is again
    assert "s3cret" not in str(raised.value)


# -- mail -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[MailServer]:
    made = MailServer()
    yield made
    made.close()


def mail(address: str, authorities: str | None = None, **more: Any) -> Mail:
    settings = {"smtp": address, "tls": "off", "sender": "gate@example.org", "to": ["a@b.de", "c@d.de"], **more}
    return Mail(EmailChannel.model_validate(settings), authorities)


async def test_each_gets_a_mail_of_their_own(server: MailServer) -> None:
    assert await mail(server.address).send(notice(), "", set()) == "sent"
    assert [to for to, _ in server.mails] == [("a@b.de",), ("c@d.de",)]
    assert [message["To"] for _, message in server.mails] == ["a@b.de", "c@d.de"]


async def test_who_has_theirs_does_not_get_it_again(server: MailServer) -> None:
    server.busy = 1
    done: set[str] = set()
    channel = mail(server.address)
    with pytest.raises(Undelivered) as raised:
        await channel.send(notice(), "", done)
    assert raised.value.again
    await channel.send(notice(), "", done)
    assert [to for to, _ in server.mails] == [("a@b.de",), ("c@d.de",)]
    await channel.send(notice(), "", done)
    assert len(server.mails) == 2


async def test_one_who_is_not_there_keeps_it_from_nobody_else(server: MailServer) -> None:
    server.unknown.add("a@b.de")
    with pytest.raises(Undelivered, match="1 of the recipients") as raised:
        await mail(server.address).send(notice(), "", set())
    assert not raised.value.again
    assert [to for to, _ in server.mails] == [("c@d.de",)]


async def test_a_server_that_nobody_vouches_for_gets_neither_password_nor_mail(tmp_path: Path) -> None:
    server = MailServer(certificates.write(tmp_path))
    login = {"tls": "starttls", "user": "toolgate", "password": "mail-pass-word"}
    try:
        with pytest.raises(Undelivered, match="certificate") as raised:
            await mail(server.address, **login).send(notice(), "", set())
        assert not raised.value.again
        authorities = (tmp_path / "cert.pem").read_text()
        with pytest.raises(Undelivered, match="password") as raised:
            await mail(server.address, authorities, **{**login, "password": "wrong-pass-word"}).send(
                notice(), "", set()
            )
        assert not raised.value.again
        assert server.mails == []
        await mail(server.address, authorities, **login).send(notice(), "", set())
        assert server.encrypted == [True, True]
    finally:
        server.close()


async def test_a_server_without_starttls_gets_nothing_in_clear_text(server: MailServer) -> None:
    with pytest.raises(Undelivered):
        await mail(server.address, tls="starttls").send(notice(), "", set())
    assert server.mails == []


async def test_a_mail_server_that_is_away_is_tried_again() -> None:
    with pytest.raises(Undelivered) as raised:
        await mail(f"127.0.0.1:{free_port()}").send(notice(), "", set())
    assert raised.value.again
