"""Channels in the configuration: what may be written, and what is said of what may not."""

from __future__ import annotations

import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from gateway import parts
from gateway.config.load import attempt
from gateway.config.schema_approvals import EmailChannel, SlackChannel, TeamsChannel, WebhookChannel
from tests.admin import certificates
from tests.config.support import GRANT, written

KEY = b64encode(bytes(32)).decode()
WEBHOOK = {"url": "https://bot.example.org/x", "secret": f"whsec_{KEY}"}
MAIL = {"smtp": "127.0.0.1:25", "tls": "off", "sender": "a@b.de", "to": ["c@d.de"]}
APPROVAL = """
apiVersion: toolgate/v1
kind: Approval
metadata: {name: money}
spec:
  notify: [ops]
  escalate:
    - {after: 5m, notify: [boss]}
"""


def attempted(folder: Path, channels: dict[str, Any], approval: str = "", **approvals: Any) -> Any:
    settings = {"url": "https://gate.example.org", "channels": channels, **approvals}
    config = {"tools": {"bank": {"url": "http://bank"}}, "approvals": settings}
    policies = {"grants": GRANT, **({"approvals": approval.lstrip()} if approval else {})}
    return attempt(written(folder, yaml.safe_dump(config), **policies))


def told(made: Any) -> list[str]:
    return [str(problem) for problem in made.errors]


@pytest.mark.parametrize(
    ("channel", "says"),
    [
        ({}, "exactly one of webhook, slack, teams and email"),
        ({"webhook": WEBHOOK, "email": MAIL}, "exactly one of webhook, slack, teams and email"),
        ({"webhook": {**WEBHOOK, "secret": "hunter2hunter2"}}, "must begin with whsec_"),
        ({"webhook": {**WEBHOOK, "secret": "whsec_***"}}, "no base64"),
        ({"webhook": {**WEBHOOK, "secret": "whsec_aHVudGVyMg=="}}, "24 to 64 bytes"),
        ({"webhook": {**WEBHOOK, "url": "ftp://hunter2"}}, "not a URL"),
        ({"webhook": {**WEBHOOK, "url": "https://a:hunter2@b/"}}, "must not hold a user name or password"),
        ({"webhook": {**WEBHOOK, "events": ["hunter2"]}}, "opened, escalated, decided or expired"),
        ({"webhook": {**WEBHOOK, "approvers": {"u": "admin"}}}, "a name that the gateway itself gives"),
        ({"slack": {}}, "either url (an incoming webhook), or token and channel"),
        ({"slack": {"url": "https://h/x", "token": "hunter2", "channel": "C1"}}, "either url"),
        ({"slack": {"token": "hunter2"}}, "token and channel go together"),
        ({"slack": {"url": "https://h/hunter2", "approvers": {"U1": "ada"}}}, "no effect without signing_secret"),
        ({"slack": {"url": "http://h.example.org/hunter2"}}, "write https"),
        ({"teams": {"url": "http://h.example.org/?sig=hunter2"}}, "write https"),
        ({"email": {**MAIL, "to": ["c@d.de\nBcc: x@y.de"]}}, "not a mail address"),
        ({"email": {**MAIL, "user": "u", "password": "hunter2"}}, "in clear text"),
        ({"email": {**MAIL, "user": "u"}}, "user and password go together"),
        ({"email": {**MAIL, "approvers": {"x@y.de": "ada"}}}, "not among to"),
        ({"email": {**MAIL, "ca_file": "nowhere.pem"}}, "cannot read"),
        ({"email": {**MAIL, "ca_file": "toolgate.yaml"}}, "no certificate"),
    ],
)
def test_a_mistake_is_told_with_its_fix_and_without_the_secret(
    channel: dict[str, Any], says: str, tmp_path: Path
) -> None:
    problems = attempted(tmp_path, {"ops": channel}).errors
    assert len(problems) == 1, told(attempted(tmp_path, {"ops": channel}))
    (problem,) = problems
    assert says in str(problem)
    assert problem.line
    assert "hunter2" not in str(problem) + getattr(problem, "excerpt", "")


def test_channels_need_an_address_to_link_to(tmp_path: Path) -> None:
    assert "channels need url" in told(attempted(tmp_path, {"ops": {"webhook": WEBHOOK}}, url=None))[0]


def test_a_policy_names_channels_that_are_there(tmp_path: Path) -> None:
    made = attempted(tmp_path, {"opps": {"webhook": WEBHOOK}}, APPROVAL)
    first, second = made.errors
    assert (first.line, first.column) == (5, 12)
    assert "there is no channel ops in the configuration (did you mean opps?)" in str(first)
    assert (second.line, "write it under approvals.channels: boss" in str(second)) == (7, True)
    both = {"ops": {"webhook": WEBHOOK}, "boss": {"email": MAIL}}
    assert told(attempted(tmp_path, both, APPROVAL)) == []


def test_channels_make_no_other_version_and_their_secrets_are_known_as_such(tmp_path: Path) -> None:
    url = "https://hooks.slack.com/services/T0/B0/a1b2c3d4e5f6g7h8i9"
    first = attempted(tmp_path, {"ops": {"slack": {"url": url, "signing_secret": "signs-clicks"}}}, key="k" * 32)
    second = attempted(tmp_path, {"ops": {"webhook": WEBHOOK}}, key="k" * 32)
    assert first.loaded.version == second.loaded.version
    held = {secret for _, secret in parts.credentials(first.loaded)}
    assert {url, "a1b2c3d4e5f6g7h8i9", "signs-clicks", "k" * 32} <= held
    assert f"whsec_{KEY}" in {secret for _, secret in parts.credentials(second.loaded)}
    sig = "sig=0123456789abcdef"
    teams = attempted(tmp_path, {"ops": {"teams": {"url": f"https://flow.example.org/x?v=1&{sig}"}}})
    assert sig in {secret for _, secret in parts.credentials(teams.loaded)}


def test_certificates_of_mail_servers_are_read_with_the_configuration(tmp_path: Path) -> None:
    certificate, _ = certificates.write(tmp_path)
    mail = {**MAIL, "tls": "starttls", "ca_file": certificate.name}
    made = attempted(tmp_path, {"ops": {"email": mail}})
    assert made.loaded.mail_authorities == {"ops": certificate.read_text()}
    assert certificate in made.loaded.files


PAGE = (Path(__file__).parents[2] / "docs" / "approvals-channels.md").read_text()


@pytest.mark.parametrize(
    ("heading", "model"),
    [("Webhooks", WebhookChannel), ("Slack", SlackChannel), ("Teams", TeamsChannel), ("Mail", EmailChannel)],
)
def test_every_key_of_a_channel_has_a_row_and_every_row_is_a_key(heading: str, model: type[BaseModel]) -> None:
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [
        name for row in re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ]
    assert set(rows) == set(model.model_fields)


def test_the_example_of_the_page_loads(tmp_path: Path) -> None:
    config, policy = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    for name, secret in (("bot", f"whsec_{KEY}"), ("teams-url", "https://flow.example.org/x?sig=1")):
        config = config.replace(f"${{file:/run/secrets/{name}}}", secret)
    config = re.sub(r"\$\{file:[^}]+\}", "xoxb-and-so-on", config)
    tools = "tools: {bank: {url: 'http://bank'}, github: {url: 'http://github'}}\n"
    made = attempt(written(tmp_path, tools + config, grants=GRANT, approvals=policy))
    assert [str(problem) for problem in [*made.errors, *made.warnings]] == []
