"""People are told, and answer, through the real process: webhooks, Slack, Teams and mail, at receivers on this machine.

Signatures are made and checked by others' implementations: ``standardwebhooks`` and ``slack_sdk``.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from slack_sdk.signature import SignatureVerifier
from standardwebhooks.webhooks import Webhook

from tests.admin import certificates
from tests.approvals.notify.receivers import Got, MailServer, Receiver
from tests.console.browser import CHROMIUM, chromium, opened
from tests.stores.redis_server import RedisServer

from .harness.gateway import ALL, Gateway, call
from .harness.http1 import Message
from .harness.net import PATIENCE, eventually
from .harness.upstream import Upstream

SECRET = "whsec_" + b64encode(bytes(range(32))).decode()
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
POLICIES = (
    ALL
    + """
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: money}
spec:
  match: {tools: [bank]}
  rules:
    - {name: large, when: 'args.amount > 500', then: approve, message: more than 500}
---
apiVersion: toolgate/v1
kind: Approval
metadata: {name: money}
spec: {hold: 20s, notify: [bot, ops, web-api, teams, mail]}
"""
)


def slack_answers(got: Got) -> tuple[int, dict[str, str], bytes]:
    """As Slack's Web API answers."""
    if got.path.startswith("/api/"):
        return 200, {"Content-Type": "application/json"}, b'{"ok":true,"channel":"C012","ts":"1700000000.000100"}'
    return 200, {}, b"ok"


def channels(receiver: Receiver, mails: MailServer, ca_file: str) -> dict[str, Any]:
    return {
        "bot": {"webhook": {"url": f"{receiver.url}/bot", "secret": SECRET, "approvers": {"u-7": "cleo"}}},
        "ops": {
            "slack": {
                "url": f"{receiver.url}/slack/T000/B000/s3cr3t-of-the-webhook",
                "signing_secret": SLACK_SECRET,
                "approvers": {"U1": "ada", "U2": {"id": "bob", "roles": ["viewer"]}},
            }
        },
        "web-api": {
            "slack": {
                "token": "xoxb-token-of-the-bot",
                "channel": "C012",
                "api": f"{receiver.url}/api",
                "signing_secret": SLACK_SECRET,
                "approvers": {"U1": "ada"},
            }
        },
        "teams": {"teams": {"url": f"{receiver.url}/teams?api-version=1&sig=s3cr3t-of-the-workflow"}},
        "mail": {
            "email": {
                "smtp": mails.address,
                "ca_file": ca_file,
                "user": "toolgate",
                "password": "mail-pass-word",
                "sender": "toolgate@example.org",
                "to": ["dora@example.org", "all@example.org"],
                "approvers": {"dora@example.org": "dora"},
            }
        },
    }


class Scene:
    """A gateway, its receivers, and what comes to them of one approval."""

    def __init__(self, gateway: Gateway, receiver: Receiver, mails: MailServer, tool: Upstream) -> None:
        self.gateway, self.receiver, self.mails, self.tool = gateway, receiver, mails, tool

    def pay(self, amount: int, **more: Any) -> Held:
        return Held(self, {"amount": amount, **more})

    def told(self, path: str, ident: str, event: str = "") -> Got:
        """What a receiver was sent about this approval."""

        def found() -> Got | None:
            return next(
                (one for one in self.receiver.at(path) if ident in one.body.decode() and event in one.body.decode()),
                None,
            )

        return eventually(found, what=f"{path} is told of {ident}")

    def mail(self, ident: str, to: str) -> Any:
        return eventually(
            lambda: next(
                (mail for rcpt, mail in self.mails.mails if rcpt == (to,) and ident in str(mail["Message-ID"])), None
            ),
            what=f"{to} has a mail of {ident}",
        )

    def ask(self, method: str, path: str, body: bytes = b"", fields: dict[str, str] | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.admin, timeout=PATIENCE)
        try:
            connection.request(method, path, body, fields or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def click(self, user: str, token: str, message: str = "", **changes: Any) -> tuple[int, str]:
        """As Slack sends a click on a button."""
        payload = {
            "type": "block_actions",
            "user": {"id": user, "username": "somebody"},
            "actions": [{"type": "button", "action_id": "approve", "block_id": "x", "value": token}],
            "state": {"values": {"message": {"message": {"type": "plain_text_input", "value": message or None}}}},
            "response_url": f"{self.receiver.url}/reply",
            **changes.pop("payload", {}),
        }
        body = urlencode({"payload": json.dumps(payload)})
        at = str(changes.get("at", int(time())))
        signature = SignatureVerifier(changes.get("secret", SLACK_SECRET)).generate_signature(timestamp=at, body=body)
        fields = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": at,
            "X-Slack-Signature": changes.get("signature", signature),
        }
        return self.ask("POST", "/callbacks/slack", body.encode(), fields)

    def pass_on(self, user: str, token: str, **changes: Any) -> tuple[int, str]:
        """As a program passes a verdict on."""
        body = json.dumps({"token": token, "user": user, **changes.get("more", {})})
        at = datetime.fromtimestamp(changes.get("at", time()), UTC)
        fields = {
            "Content-Type": "application/json",
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(changes.get("secret", SECRET)).sign("msg_1", at, body),
        }
        return self.ask("POST", f"/callbacks/webhooks/{changes.get('name', 'bot')}", body.encode(), fields)

    def reply(self, text: str) -> Got:
        """What whoever clicked is told."""
        return eventually(
            lambda: next((one for one in self.receiver.at("/reply") if text in one.body.decode()), None), what=text
        )


class Held:
    """A call that waits for a person, on a connection of its own, and the approval at which it waits."""

    def __init__(self, scene: Scene, args: dict[str, Any]) -> None:
        self.scene, self.args = scene, args
        self.answers: list[Message] = []
        before = {one.headers["webhook-id"] for one in scene.receiver.at("/bot")}
        self._thread = threading.Thread(target=self._call)
        self._thread.start()
        self.webhook: Got = eventually(
            lambda: next(
                (
                    one
                    for one in scene.receiver.at("/bot")
                    if one.headers["webhook-id"] not in before and b'"approval.opened"' in one.body
                ),
                None,
            ),
            what="the webhook is told",
        )
        data = self.webhook.json()["data"]
        self.id, self.tokens = data["approval"]["id"], data["tokens"]

    def _call(self) -> None:
        fields = [("Content-Type", "application/json")]
        self.answers.append(call(self.scene.gateway, "POST", "/bank/pay", fields, json.dumps(self.args).encode()))

    def answer(self) -> Message:
        self._thread.join(PATIENCE)
        assert self.answers, "the call still waits"
        return self.answers[0]

    def state(self) -> str:
        status, body = self.scene.ask("GET", f"/api/approvals/{self.id}")
        assert status == 200, body
        found = json.loads(body)
        return str(found.get("state") or found["approval"]["state"])

    def buttons(self, path: str) -> dict[str, str]:
        """Values of the buttons of the message in Slack."""
        message = self.scene.told(path, self.id).json()
        actions = next(block for block in message["blocks"] if block["type"] == "actions")
        return {one["action_id"]: one.get("value", one.get("url", "")) for one in actions["elements"]}

    def end(self) -> None:
        """Deny it, so that nothing waits after the test."""
        self.scene.pass_on("u-7", self.tokens["deny"])
        self._thread.join(PATIENCE)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("channels")
    certificate = certificates.write(folder)
    receiver, mails = Receiver(slack_answers), MailServer(certificate)
    tool = Upstream()
    gateway = Gateway(
        folder / "gateway",
        {"bank": {"url": f"http://127.0.0.1:{tool.port}"}},
        POLICIES,
        approvals={
            "url": "https://toolgate.example.org",
            "channels": channels(receiver, mails, str(certificate[0])),
        },
    ).start()
    yield Scene(gateway, receiver, mails, tool)
    gateway.stop()
    assert "Traceback" not in gateway.output, gateway.output
    for secret in (SECRET, SLACK_SECRET, "xoxb-token", "s3cr3t-of", "mail-pass-word"):
        assert secret not in gateway.output
    receiver.close()
    mails.close()
    tool.close()


def test_everybody_is_told_and_a_click_lets_the_held_call_go_on(scene: Scene) -> None:
    held = scene.pay(900, to="acme")
    told = Webhook(SECRET).verify(held.webhook.body, held.webhook.headers)
    assert told["data"]["approval"]["rules"] == ["money/large"]
    assert told["data"]["call"]["args"] == {"amount": 900, "to": "acme"}
    assert told["data"]["links"]["open"] == f"https://toolgate.example.org/approvals/{held.id}"
    card = scene.told("/teams", held.id).json()["attachments"][0]["content"]
    assert card["actions"][0]["url"] == f"https://toolgate.example.org/approvals/{held.id}"
    assert scene.told("/api/chat.postMessage", held.id).headers["authorization"] == "Bearer xoxb-token-of-the-bot"
    assert scene.mail(held.id, "all@example.org")["From"] == "Toolgate <toolgate@example.org>"
    assert scene.mails.encrypted[-1]

    assert scene.click("U1", held.buttons("/slack")["approve"]) == (200, "")
    assert held.answer().body == b"ok"
    reply = scene.reply("approved by ada").json()
    assert reply["replace_original"] is True
    updated = scene.told("/api/chat.update", held.id).json()
    assert (updated["channel"], updated["ts"]) == ("C012", "1700000000.000100")
    assert "Approved by ada" in updated["text"]
    assert [block["type"] for block in updated["blocks"]] == ["header", "section", "actions"]
    assert scene.told("/bot", held.id, "approval.decided").json()["data"]["approval"]["by"] == ["ada"]
    metric = 'toolgate_notifications_total{channel="mail",event="opened",outcome="sent"}'
    assert eventually(lambda: scene.gateway.metric(metric), what="the mails are counted") >= 1
    assert scene.gateway.ready()["channels"]["ops"] == {"waiting": 0, "error": None}


def test_a_denial_in_slack_says_to_the_model_what_was_written_beside_it(scene: Scene) -> None:
    held = scene.pay(901)
    token = held.buttons("/api/chat.postMessage")["deny"]
    payload = {"actions": [{"action_id": "deny", "value": token}]}
    assert scene.click("U1", token, "take the other account", payload=payload)[0] == 200
    problem = held.answer().json()
    assert (problem["reason"], held.answer().status) == ("approval_denied", 403)
    assert "take the other account" in problem["detail"]


def test_a_link_in_a_mail_decides_only_when_its_page_is_sent(scene: Scene) -> None:
    held = scene.pay(902)
    text = scene.mail(held.id, "dora@example.org").get_body(("plain",)).get_content()
    links = dict(re.findall(r"^(Approve|Deny|Open): (\S+)\s*$", text, re.MULTILINE))
    address = urlsplit(links["Approve"])
    for _ in range(2):  # scanners open every link, and some more than once
        status, body = scene.ask("GET", f"{address.path}?{address.query}")
        assert status == 200
        assert "Approve as dora" in body
    assert held.state() == "waiting"
    token = re.search(r'name="token" value="([^"]+)"', body)
    assert token is not None
    form = urlencode({"token": token[1]}).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    other = {**kind, "Origin": "https://evil.example"}
    assert scene.ask("POST", "/decide", form, other)[0] == 403
    assert held.state() == "waiting"
    status, body = scene.ask("POST", "/decide", form, kind)
    assert (status, "approved by dora" in body) == (200, True)
    assert held.answer().body == b"ok"
    status, body = scene.ask("POST", "/decide", form, kind)
    assert (status, "used this link already" in body) == (403, True)


def test_who_has_no_name_here_gets_no_link_that_decides(scene: Scene) -> None:
    held = scene.pay(903)
    mail = scene.mail(held.id, "all@example.org")
    for part in ("plain", "html"):
        text = mail.get_body((part,)).get_content()
        assert re.findall(r"https?://[^\s\"<]+", text)[0] == f"https://toolgate.example.org/approvals/{held.id}"
        assert "decide?" not in text
    held.end()


def test_a_program_passes_verdicts_on(scene: Scene) -> None:
    held = scene.pay(904)
    status, body = scene.pass_on("u-7", held.tokens["approve"])
    assert (status, json.loads(body)["state"]) == (200, "approved")
    assert held.answer().body == b"ok"


def test_strangers_and_those_without_the_role_decide_nothing(scene: Scene) -> None:
    held = scene.pay(905)
    buttons = held.buttons("/slack")
    assert scene.click("U-stranger", buttons["approve"])[0] == 200
    assert "ephemeral" in scene.reply("U-stranger").json()["response_type"]
    assert scene.click("U2", buttons["approve"])[0] == 200
    assert scene.reply("bob is no approver").json()["response_type"] == "ephemeral"
    assert scene.pass_on("u-8", held.tokens["approve"])[0] == 403
    assert held.state() == "waiting"
    held.end()


def test_no_forged_replayed_or_borrowed_click_decides(scene: Scene) -> None:
    """The buttons of one approval, channel, verb and recipient are good for nothing else."""
    held, other = scene.pay(906), scene.pay(907)
    token = held.buttons("/slack")["approve"]
    refused = [
        scene.click("U1", token, secret="0" * 32),
        scene.click("U1", token, signature="v0=" + "0" * 64),
        scene.click("U1", token, signature=""),
        scene.click("U1", token, at=int(time()) - 301),
        scene.click("U1", token, at=int(time()) + 301),
        scene.pass_on("u-7", held.tokens["approve"], secret="whsec_" + b64encode(b"x" * 32).decode()),
        scene.pass_on("u-7", held.tokens["approve"], at=time() - timedelta(minutes=6).total_seconds()),
    ]
    assert {status for status, _ in refused} == {401}
    text = scene.mail(held.id, "dora@example.org").get_body(("plain",)).get_content()
    personal = re.findall(r"token=(\S+)", text)[0]
    turned = "".join(chr(ord(token[-1]) ^ 1) if at == len(token) - 1 else one for at, one in enumerate(token))
    for wrong in ("", "x" * 5000, token[:-2], turned, token + "=", personal, held.tokens["approve"]):
        assert scene.click("U1", wrong)[0] == 200
    assert scene.pass_on("u-7", token)[0] == 403  # of another channel
    assert scene.pass_on("u-7", personal)[0] == 403
    assert scene.pass_on("u-7", held.tokens["approve"], name="ops")[0] == 404
    form = urlencode({"token": token}).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert scene.ask("POST", "/decide", form, kind)[0] == 403  # says nobody's name
    assert scene.ask("GET", f"/decide?token={quote(turned)}")[0] == 403
    assert (held.state(), other.state()) == ("waiting", "waiting")

    assert scene.pass_on("u-7", other.tokens["deny"])[0] == 200
    assert other.answer().status == 403
    assert held.state() == "waiting"
    held.end()


def test_what_an_agent_writes_is_no_markup_no_mention_and_no_link(scene: Scene) -> None:
    evil = "<!channel> <https://evil.example|Approve> [x](https://evil.example) </pre><script>1</script>\r\nBcc: x@y.z"
    held = scene.pay(908, to=evil)
    message = scene.told("/slack", held.id).body.decode()
    assert "<!channel>" in json.dumps(held.webhook.json())  # programs get what it is
    blocks = json.loads(message)["blocks"]
    assert all(
        text.get("type") != "mrkdwn" for block in blocks for text in [block.get("text", {}), *block.get("fields", [])]
    )
    for body in (message, scene.told("/teams", held.id).body.decode()):
        assert "https://evil" not in body
    mail = scene.mail(held.id, "dora@example.org")
    assert mail["Bcc"] is None
    for part in ("plain", "html"):
        text = mail.get_body((part,)).get_content()
        assert "://evil" not in text
        assert "<script>" not in text or part == "plain"
    held.end()


def test_secrets_reach_no_message(scene: Scene) -> None:
    held = scene.pay(909, password="hunter2hunter2", key="ghp_" + "a1B2" * 9)
    everything = held.webhook.body + b"".join(scene.told(path, held.id).body for path in ("/slack", "/teams", "/api"))
    everything += scene.mail(held.id, "dora@example.org").as_bytes()
    for secret in (b"hunter2hunter2", b"ghp_a1B2"):
        assert secret not in everything
    held.end()


def test_replicas_tell_each_thing_once(tmp_path: Path) -> None:
    """Two gateways on one Redis, and a receiver that is away at first."""
    refusing = [503, 503]

    def answers(_: Got) -> tuple[int, dict[str, str], bytes]:
        return (refusing.pop() if refusing else 200), {}, b""

    redis, receiver, tool = RedisServer(), Receiver(answers), Upstream()
    policies = POLICIES.replace("notify: [bot, ops, web-api, teams, mail]", "notify: [bot]")
    approvals = {
        "url": "https://toolgate.example.org",
        "channels": {
            "bot": {"webhook": {"url": f"{receiver.url}/bot", "secret": SECRET, "approvers": {"u-7": "cleo"}}}
        },
    }
    tools = {"bank": {"url": f"http://127.0.0.1:{tool.port}"}}
    both = [
        Gateway(tmp_path / name, tools, policies, state=redis.url, approvals=approvals).start() for name in ("a", "b")
    ]
    try:
        scenes = [Scene(gateway, receiver, None, tool) for gateway in both]  # type: ignore[arg-type]
        held = scenes[0].pay(900)
        eventually(lambda: len(receiver.at("/bot")) == 3, what="it is told at the third try")
        assert scenes[1].pass_on("u-7", held.tokens["approve"])[0] == 200  # the other replica knows the key of links
        assert held.answer().body == b"ok"
        eventually(lambda: len(receiver.at("/bot")) == 4, what="the decision is told")
        told = [(one.json()["type"], one.headers["webhook-id"]) for one in receiver.at("/bot")]
        assert told[:3] == [("approval.opened", f"msg_{held.id}.opened")] * 3
        assert told[3:] == [("approval.decided", f"msg_{held.id}.decided")]
    finally:
        for gateway in both:
            gateway.stop()
            assert "Traceback" not in gateway.output, gateway.output
        redis.stop()
        receiver.close()
        tool.close()


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_a_person_in_a_browser_denies_by_a_link_and_says_why(scene: Scene) -> None:
    held = scene.pay(911, to="<b onclick=x>acme</b>")
    text = scene.mail(held.id, "dora@example.org").get_body(("plain",)).get_content()
    address = urlsplit(re.findall(r"^Deny: (\S+)", text, re.MULTILINE)[0])
    with chromium() as browser, opened(browser) as (page, complaints):
        page.goto(f"http://127.0.0.1:{scene.gateway.admin}{address.path}?{address.query}")
        assert "<b onclick=x>acme</b>" in page.inner_text("pre")
        page.fill("input[name=message]", "ask for less")
        page.click("text=Deny as dora")
        page.wait_for_selector("text=denied by dora")
        assert complaints == []
    assert "ask for less" in held.answer().json()["detail"]


def test_who_only_guesses_is_slowed_down_and_locks_nobody_out(scene: Scene) -> None:
    """Last in this file, since all tests are one peer."""
    held = scene.pay(910)
    token = held.buttons("/slack")["approve"]
    statuses = [scene.click("U1", token, secret="0" * 32)[0] for _ in range(30)]
    assert set(statuses) == {401, 429}
    assert {scene.ask("GET", "/decide?token=guess")[0] for _ in range(30)} == {403, 429}
    assert held.state() == "waiting"
    assert scene.click("U1", token)[0] == 200
    assert held.answer().body == b"ok"
