"""How people are asked about calls, as it stands in the configuration file: headers that differ, links, channels."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from gateway.config.fields import (
    FreeHeaderName,
    HeaderValue,
    Listed,
    ListenAddress,
    Model,
    SigningKey,
    Url,
)
from gateway.config.schema_admin import Person, Role, is_loopback
from gateway.policy.schema_parts import Duration, Expression, Name

Event = Literal["opened", "escalated", "decided", "expired"]
EVENTS: tuple[Event, ...] = ("opened", "escalated", "decided", "expired")
ASKING: tuple[Event, ...] = ("opened", "escalated")
"""Events that ask somebody to do something; by default those of channels that cannot change what they said."""

_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


# No message here quotes a value: each of these may hold a secret.
def _hook(value: str) -> str:
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if parts.scheme not in ("http", "https") or not host or not re.fullmatch(r"[!-~]+", value) or parts.fragment:
        raise ValueError("not a URL; write https://host[:port]/path?query")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL must not hold a user name or password; what is sent is signed instead")
    return value


def _private_hook(value: str) -> str:
    host = urlsplit(_hook(value)).hostname or ""
    if value.lower().startswith("http:") and not is_loopback(host):
        raise ValueError("the URL itself is a secret, and would be sent in clear text; write https")
    return value


def key_of(secret: str) -> bytes:
    """The key that a secret of Standard Webhooks stands for. Raises ValueError."""
    if not secret.startswith("whsec_"):
        raise ValueError('it must begin with whsec_; make one with: echo "whsec_$(openssl rand -base64 32)"')
    try:
        key = b64decode(secret.removeprefix("whsec_"), validate=True)
    except NotBase64:
        raise ValueError(
            'what follows whsec_ is no base64; make one with: echo "whsec_$(openssl rand -base64 32)"'
        ) from None
    if not 24 <= len(key) <= 64:
        raise ValueError('it stands for 24 to 64 bytes; make one with: echo "whsec_$(openssl rand -base64 32)"')
    return key


def _webhook_secret(value: str) -> str:
    key_of(value)
    return value


def _mail(value: str) -> str:
    if not _MAIL.fullmatch(value):
        raise ValueError("not a mail address; write name@example.org")
    return value


HookUrl = Annotated[str, AfterValidator(_hook), WithJsonSchema({"type": "string", "pattern": "^https?://[^#]+$"})]
PrivateUrl = Annotated[
    str, AfterValidator(_private_hook), WithJsonSchema({"type": "string", "pattern": "^https?://[^#]+$"})
]
WebhookSecret = Annotated[
    str, AfterValidator(_webhook_secret), WithJsonSchema({"type": "string", "pattern": "^(whsec_|.*[$][{])"})
]
Mail = Annotated[str, AfterValidator(_mail), WithJsonSchema({"type": "string", "pattern": "^.+@.+$"})]


class ApproverConfig(Model):
    """A person as the gateway knows them."""

    id: Person = Field(description="As the admin side knows them; what the record will say.")
    roles: Listed[Role] | None = Field(
        default=None,
        description="Their roles, as who of an Approval asks for them. By default those of admin.users with this name,"
        " or else approver.",
    )


def _approver(value: object) -> object:
    return {"id": value} if isinstance(value, str) else value


Approvers = dict[
    Annotated[str, Field(min_length=1, max_length=254)],
    Annotated[ApproverConfig, BeforeValidator(_approver)],
]


class WebhookChannel(Model):
    """A program of your own is told, as Standard Webhooks has it."""

    url: HookUrl = Field(description="Where it is told: POST with a JSON body.")
    secret: WebhookSecret = Field(description="Signs what is sent, and what comes back: whsec_ and a key in base64.")
    events: Listed[Event] = Field(default=EVENTS, min_length=1, description="What it is told.")
    approvers: Approvers = Field(
        default={}, description="Who may decide through it: the user that it names, and who that is here."
    )


class SlackChannel(Model):
    """A channel in Slack: by an incoming webhook (url), or by the Web API (token and channel)."""

    url: PrivateUrl | None = Field(default=None, description="The app's incoming webhook.")
    token: HeaderValue | None = Field(default=None, description="The app's bot token; lets messages be changed later.")
    channel: Annotated[str, Field(pattern=r"^[#A-Za-z0-9_-]+$")] | None = Field(
        default=None, description="Id of the channel, with token."
    )
    signing_secret: HeaderValue | None = Field(
        default=None, description="The app's signing secret: without it there are no buttons, only a link."
    )
    approvers: Approvers = Field(
        default={}, description="Who may decide by a button: ids of Slack users, and who they are here."
    )
    events: Listed[Event] = Field(default=EVENTS, min_length=1, description="What is told.")
    api: PrivateUrl = Field(default="https://slack.com/api", description="Where the Web API is.")

    @model_validator(mode="after")
    def _one_way(self) -> SlackChannel:
        if (self.url is None) == (self.token is None):
            raise ValueError("give either url (an incoming webhook), or token and channel")
        if (self.token is None) != (self.channel is None):
            raise ValueError("token and channel go together; give both, or url instead")
        if self.approvers and self.signing_secret is None:
            raise ValueError("approvers have no effect without signing_secret, by which Slack's clicks are known")
        return self


class TeamsChannel(Model):
    """A channel or chat in Microsoft Teams."""

    url: PrivateUrl = Field(description="Of the workflow that posts to it when a webhook request is received.")
    events: Listed[Event] = Field(default=ASKING, min_length=1, description="What is told.")


class EmailChannel(Model):
    """Mail to each of some people."""

    smtp: ListenAddress = Field(description="The mail server: host:port.")
    tls: Literal["starttls", "tls", "off"] = Field(
        default="starttls", description="starttls (mostly port 587), tls from the beginning (465), or off."
    )
    ca_file: str | None = Field(
        default=None, min_length=1, description="PEM file of the authorities to trust instead of the system's."
    )
    user: str | None = Field(default=None, min_length=1, description="Name at the mail server.")
    password: str | None = Field(default=None, min_length=1, description="Password at the mail server.")
    sender: Mail = Field(description="The address that mails come from.")
    to: Listed[Mail] = Field(min_length=1, max_length=50, description="Who gets them, each a mail of their own.")
    approvers: Approvers = Field(
        default={}, description="Who may decide by a link without logging in: addresses of to, and who they are here."
    )
    events: Listed[Event] = Field(default=ASKING, min_length=1, description="What is told.")

    @model_validator(mode="after")
    def _consistent(self) -> EmailChannel:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together; give both or none")
        if self.password is not None and self.tls == "off":
            raise ValueError("the password would be sent in clear text; write tls: starttls")
        if strangers := set(self.approvers) - set(self.to):
            raise ValueError(f"approvers has {len(strangers)} addresses that are not among to; add them there")
        return self


class Channel(Model):
    """One way to tell people: exactly one of the keys."""

    webhook: WebhookChannel | None = Field(default=None, description="A program of your own.")
    slack: SlackChannel | None = Field(default=None, description="Slack.")
    teams: TeamsChannel | None = Field(default=None, description="Microsoft Teams.")
    email: EmailChannel | None = Field(default=None, description="Mail.")

    @model_validator(mode="after")
    def _one(self) -> Channel:
        if len([given for given in (self.webhook, self.slack, self.teams, self.email) if given is not None]) != 1:
            raise ValueError("give exactly one of webhook, slack, teams and email; each channel has a name of its own")
        return self


class CanaryConfig(Model):
    """A call that must be denied, by which it is seen whether people look."""

    operation: Annotated[str, Field(min_length=1, max_length=2048)] = Field(
        description="It is put beside approvals of this operation, of any tool unless tool is given."
    )
    tool: str | None = Field(default=None, description="Only beside approvals of this tool.")
    args: dict[str, Any] = Field(description="Its arguments, in place of those of the call that it is put beside.")
    message: Annotated[str, Field(max_length=1000)] = Field(
        default="", description="Why it is held, as people are told; by default what the rule says."
    )
    expect: Literal["deny"] = Field(default="deny", description="The right answer.")


class Approvals(Model):
    """How people are asked about calls. On which terms is said by policy documents of kind Approval."""

    ignore_headers: Listed[FreeHeaderName] = Field(
        default=(),
        description="Headers that differ each time an agent makes the same call; all others are part of what is"
        " approved.",
    )
    keep_alive: Duration = Field(
        default=5.0,
        le=60,
        description="Calls of MCP and streams of models that wait for a person get a sign of life as often as that; 0"
        " is never.",
    )
    url: Url | None = Field(
        default=None, description="Where people reach the console, for links in messages: https://toolgate.example.org."
    )
    elicitation: bool = Field(
        default=True,
        description="Clients of MCP that open pages (elicitation of mode url) are sent to url where a call waits.",
    )
    key: SigningKey | None = Field(
        default=None, description="Signs links in messages. Without it one is made, and kept with the state."
    )
    channels: dict[Name, Channel] = Field(
        default={}, description="Where people are told, by the names that notify of an Approval uses."
    )
    priority: Expression | None = Field(
        default=None,
        description="A CEL expression over risk, uncertainty, waiting, impact, deny_rate, age, expires_in, seconds and"
        " connected: the highest is shown first. By default risk * uncertainty * waiting / seconds.",
    )
    canaries: Listed[CanaryConfig] = Field(
        default=(),
        max_length=100,
        description="Calls that must be denied, put beside the share canary of an Approval's calls.",
    )

    @model_validator(mode="after")
    def _reachable(self) -> Approvals:
        if self.channels and self.url is None:
            raise ValueError("channels need url, where people reach the console: messages link to it")
        return self


def secrets_of(channel: Channel) -> Iterator[str]:
    """What nobody should read of a channel; of the addresses that are secrets also the part that makes them so."""
    if channel.webhook is not None:
        yield channel.webhook.secret
    if channel.slack is not None:
        yield from filter(None, (channel.slack.token, channel.slack.signing_secret))
        yield from _parts_of(channel.slack.url)
    if channel.teams is not None:
        yield from _parts_of(channel.teams.url)
    if channel.email is not None and channel.email.password is not None:
        yield channel.email.password


def _parts_of(url: str | None) -> Iterator[str]:
    if url is not None:
        parts = urlsplit(url)
        yield url
        yield from [part for part in (parts.path.rpartition("/")[2], *parts.query.split("&")) if len(part) >= 16]
