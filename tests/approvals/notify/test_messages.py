"""What each medium gets: valid in it, and nothing that an agent wrote is more than text."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import b64encode
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block
from slack_sdk.signature import Clock, SignatureVerifier
from standardwebhooks.webhooks import Webhook as Standard
from standardwebhooks.webhooks import WebhookVerificationError

from gateway.approvals.notify import generic, slack, teams
from gateway.approvals.notify.mail import mail_of
from gateway.approvals.notify.notices import DECIDED
from gateway.config.schema_approvals import SlackChannel, key_of
from gateway.model import ApprovalState, Vote
from tests.approvals.asked import NOW
from tests.approvals.notify.told import notice, texts_of

EVIL = (
    "<!channel> <!here> <@U123> <https://evil.example|Approve> @everyone [a](https://evil.example) *b* _c_ `d` &lt;"
    " <at>all</at> <script>alert(1)</script> </td></pre><a href='https://evil.example'>e</a>"
    "\r\nBcc: victim@example.org\r\n\r\nanother body http://evil.example www.evil.example"
)
DENIED = {"state": ApprovalState.DENIED, "votes": (Vote("ann", "deny", NOW, "no"),), "message": "no"}


def wicked() -> Any:
    return notice(args={EVIL: EVIL}, agent=EVIL, operation=EVIL, tool=EVIL)


# -- Slack ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("buttons", [True, False])
@pytest.mark.parametrize("told", [notice(), notice(DECIDED, **DENIED), wicked()])
def test_slack_blocks_are_what_slack_takes(told: Any, buttons: bool) -> None:
    message = slack.message_of(told, buttons=buttons)
    for block in message["blocks"]:
        parsed = Block.parse(block)
        assert parsed is not None
        parsed.validate_json()
    actions = message["blocks"][-1]["elements"]
    wanted = ["approve", "deny", "open"] if told.asks and buttons else ["open"]
    assert [one["action_id"] for one in actions] == wanted
    assert all(len(one.get("value", "")) <= 2000 for one in actions)


def test_in_slack_nothing_of_a_call_is_markup() -> None:
    message = slack.message_of(wicked(), buttons=True)
    assert '"mrkdwn"' not in texts_of(message["blocks"])
    assert not re.search(r"<[!@#h]", message["text"])
    assert message["mrkdwn"] is False
    assert "http" not in texts_of(message).replace("https://gate.example.org", "").replace("https[:]", "").replace(
        "http[:]", ""
    )


def test_slack_vouches_for_what_it_signs() -> None:
    class Fixed(Clock):
        def now(self) -> float:
            return NOW

    body = "payload=%7B%7D"
    at = str(int(NOW))
    signed = SignatureVerifier("secret", Fixed()).generate_signature(timestamp=at, body=body)
    fields = {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": signed}
    assert slack.vouches("secret", fields, body.encode(), NOW)
    assert slack.vouches("secret", fields, body.encode(), NOW + 300)
    assert not slack.vouches("secret", fields, body.encode(), NOW + 301)
    assert not slack.vouches("secret", fields, body.encode(), NOW - 301)
    assert not slack.vouches("other", fields, body.encode(), NOW)
    assert not slack.vouches("secret", fields, body.encode() + b"x", NOW)
    for wrong in ({}, {**fields, "X-Slack-Request-Timestamp": "1e9"}, {**fields, "X-Slack-Signature": "v0=\udcff"}):
        assert not slack.vouches("secret", wrong, body.encode(), NOW)


def test_clicks_that_decide_nothing_are_no_clicks() -> None:
    def of(**payload: Any) -> slack.Click | None:
        return slack.click_of(json.dumps({"type": "block_actions", "user": {"id": "U1"}, **payload}))

    assert of(actions=[{"action_id": "open"}]) is None
    assert of(actions=[]) is None
    assert of(type="view_submission", actions=[{"action_id": "approve", "value": "t"}]) is None
    assert of(actions=[{"action_id": "approve", "value": "t"}]) == slack.Click("U1", "t", "", "")
    for wrong in ("", "[]", "{}", '{"type":"block_actions"}', '"\udc80"'):
        with pytest.raises(ValueError):
            slack.click_of(wrong)


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("https://hooks.slack.com/actions/T/1/x", True),
        ("https://hooks.slack-gov.com/actions/T/1/x", True),
        ("http://hooks.slack.com/actions", False),
        ("https://hooks.slack.com.evil.example/", False),
        ("https://hooks.slack.com@evil.example/", False),
        ("http://169.254.169.254/latest", False),
        ("", False),
    ],
)
def test_answers_to_clicks_go_to_slack_alone(address: str, may: bool) -> None:
    config = SlackChannel(url="https://hooks.slack-gov.com/services/T/B/x", signing_secret="s")
    assert slack.may_reply(config, address) is may


# -- Teams ----------------------------------------------------------------------------------------------------------


def test_in_teams_nothing_of_a_call_is_markdown() -> None:
    message = teams.message_of(wicked())
    card = message["attachments"][0]["content"]
    assert message["attachments"][0]["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert {row["type"] for row in card["body"]} == {"RichTextBlock"}
    assert {run["type"] for row in card["body"] for run in row["inlines"]} == {"TextRun"}
    assert "entities" not in card["msteams"]
    assert all(action["type"] == "Action.OpenUrl" for action in card["actions"])
    assert len(texts_of(message)) < teams.MOST_BYTES


# -- programs -------------------------------------------------------------------------------------------------------

SECRET = "whsec_" + b64encode(bytes(range(32))).decode()


def test_programs_are_told_all_but_what_nobody_may_know() -> None:
    body = generic.body_of(notice(canary=True, roles=("clerk",)))
    assert body["type"] == "approval.opened"
    assert body["data"]["approval"]["operation"] == "pay"
    assert body["data"]["call"]["args"] == {"amount": 900, "to": "acme"}
    assert "canary" not in texts_of(body)
    assert sorted(body["data"]["tokens"]) == ["approve", "deny"]
    assert generic.body_of(notice(DECIDED, **DENIED))["data"]["tokens"] == {}


@given(st.binary(max_size=200), st.integers(0, 10**9))
def test_signatures_are_those_of_standard_webhooks(body: bytes, at: int) -> None:
    signed = generic.signature(key_of(SECRET), "msg_1", str(at), body)
    expected = hmac.new(bytes(range(32)), b"msg_1.%d.%b" % (at, body), hashlib.sha256).digest()
    assert signed == "v1," + b64encode(expected).decode()


def test_only_what_is_signed_and_fresh_is_vouched_for() -> None:
    signed = generic.signature(key_of(SECRET), "msg_1", str(int(NOW)), b"{}")
    fields = {"webhook-id": "msg_1", "webhook-timestamp": str(int(NOW)), "webhook-signature": f"v1a,x {signed}"}
    key = key_of(SECRET)
    assert generic.vouches(key, fields, b"{}", NOW + 299)
    assert not generic.vouches(key, fields, b"{}", NOW + 301)
    assert not generic.vouches(key, fields, b"{ }", NOW)
    assert not generic.vouches(key, {**fields, "webhook-id": "msg_2"}, b"{}", NOW)
    assert not generic.vouches(b"x" * 32, fields, b"{}", NOW)
    assert not generic.vouches(key, {**fields, "webhook-signature": "v1, \udcff"}, b"{}", NOW)
    with pytest.raises(WebhookVerificationError):
        Standard(SECRET).verify(b"{}", fields)  # it is old by that library's clock


# -- mail -----------------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]


def parts(told: Any, *, personal: bool = True) -> tuple[Any, str, str]:
    mail = mail_of(told, "gate@example.org", "dora@example.org", personal=personal)
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    return mail, plain.get_content(), html.get_content()


def test_a_mail_has_no_field_no_tag_and_no_link_of_an_agents_making() -> None:
    mail, plain, html = parts(wicked())
    raw = mail.as_bytes()
    head = raw.partition(b"\r\n\r\n")[0]
    assert b"\nBcc" not in head
    assert {name.lower() for name in mail} == {
        *("from", "to", "subject", "date", "message-id", "auto-submitted", "mime-version", "content-type"),
    }
    tags = Tags()
    tags.feed(html)
    assert not {"script", "img"} & set(tags.tags)
    assert len(tags.links) == 3
    assert all(link.startswith("https://gate.example.org/") for link in tags.links)
    for text in (plain, html):
        assert all(link.startswith("https://gate.example.org/") for link in re.findall(r"https?://\S+", text))


@pytest.mark.parametrize("personal", [True, False])
def test_only_personal_mails_have_links_that_decide(personal: bool) -> None:
    _, plain, html = parts(notice(), personal=personal)
    assert ("/decide?token=" in plain) is personal
    assert ("/decide?token=" in html) is personal


def test_mails_of_one_approval_belong_together() -> None:
    opened = notice()
    decided = notice(DECIDED, **{**DENIED, "id": opened.approval.id})
    mail, plain, _ = parts(decided)
    assert mail["References"] == parts(opened)[0]["Message-ID"]
    assert "/decide" not in plain
