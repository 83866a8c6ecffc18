"""Mail: to each of some people a message of their own, in text and HTML, by SMTP (RFC 5321)."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape

from gateway.approvals.notify.notices import Notice
from gateway.approvals.notify.posting import TIMEOUT, Undelivered
from gateway.approvals.notify.texts import line, unlinked
from gateway.config.authorities import believing
from gateway.config.schema_approvals import EmailChannel

LONGEST_SUBJECT = 120
_NOTE = "Nothing is decided by opening a link: the page asks once more. Do not pass this mail on: its links are yours."


class Mail:
    """Sends notices to the people of one channel. The server is talked to in a thread."""

    def __init__(self, config: EmailChannel, authorities: str | None, timeout: float = TIMEOUT) -> None:
        """``authorities`` are certificates to trust instead of the system's, in PEM."""
        self._config, self._timeout = config, timeout
        self._context = believing(pem=authorities) if config.tls != "off" else None

    async def send(self, notice: Notice, receipt: str, done: set[str]) -> str:  # noqa: ARG002 - mails do not change
        """Send one to each; ``done`` are those who have theirs already, and grows.

        Raises:
            Undelivered: some have not.
        """
        try:
            refused = await asyncio.to_thread(self._deliver, notice, done)
        except smtplib.SMTPAuthenticationError:
            raise Undelivered("the mail server refused the user or the password", again=False) from None
        except smtplib.SMTPResponseException as error:
            raise Undelivered(f"the mail server answered {error.smtp_code}", again=error.smtp_code < 500) from None
        except ssl.SSLCertVerificationError as error:
            raise Undelivered(f"the mail server's certificate: {error.verify_message}", again=False) from None
        except (smtplib.SMTPException, OSError) as error:
            raise Undelivered(f"the mail server cannot be used ({type(error).__name__})", again=True) from None
        if refused:
            raise Undelivered(f"the mail server refused {refused} of the recipients", again=False)
        return "sent"

    def _deliver(self, notice: Notice, done: set[str]) -> int:
        """Write them, which takes a millisecond each, and send them; how many were refused for good."""
        refused = 0
        with self._connected() as server:
            for to in [to for to in self._config.to if to not in done]:
                try:
                    server.send_message(self._mail(notice, to), self._config.sender, [to])
                except smtplib.SMTPRecipientsRefused as error:
                    if any(code < 500 for code, _ in error.recipients.values()):
                        raise
                    refused += 1
                done.add(to)
        return refused

    def _connected(self) -> smtplib.SMTP:
        config, host, port = self._config, self._config.smtp.host, self._config.smtp.port
        if config.tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=self._timeout, context=self._context)
        else:
            server = smtplib.SMTP(host, port, timeout=self._timeout)
        try:
            if config.tls == "starttls":
                server.starttls(context=self._context)
            if config.user is not None and config.password is not None:
                server.login(config.user, config.password)
        except BaseException:
            server.close()
            raise
        return server

    def _mail(self, notice: Notice, to: str) -> EmailMessage:
        return mail_of(notice, self._config.sender, to, personal=to in self._config.approvers)


def mail_of(notice: Notice, sender: str, to: str, *, personal: bool) -> EmailMessage:
    """The mail. ``personal``: its links are good for whoever has this address, who need not log in."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address("Toolgate", addr_spec=sender)
    mail["To"] = Address(addr_spec=to)
    mail["Subject"] = line(notice.title, LONGEST_SUBJECT)
    mail["Date"] = format_datetime(datetime.fromtimestamp(notice.at, UTC))
    domain = sender.partition("@")[2]
    mail["Message-ID"] = f"<{notice.ident}@{domain}>"
    if notice.event != "opened":
        mail["References"] = f"<{notice.approval.id}.opened@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no machine answers it
    links = _links(notice, to if personal else "")
    mail.set_content(_text(notice, links), cte="quoted-printable")
    mail.add_alternative(_html(notice, links), subtype="html", cte="quoted-printable")
    return mail


def _links(notice: Notice, recipient: str) -> dict[str, str]:
    links = {}
    if notice.asks and recipient:
        links = {verb.capitalize(): notice.to.decide(notice.approval, verb, recipient) for verb in notice.verbs}
    return links | {"Open": notice.to.page(notice.approval)}


def _text(notice: Notice, links: dict[str, str]) -> str:
    rows = [unlinked(notice.title), ""]
    rows += [f"{name}: {unlinked(value)}" for name, value in notice.facts]
    if notice.asks:
        rows += ["", *[f"    {row}" for row in unlinked(notice.call).split("\n")]]
    rows += ["", *[f"{name}: {link}" for name, link in links.items()]]
    rows += ["", _NOTE] if len(links) > 1 else []
    return "\n".join(rows) + "\n"


def _html(notice: Notice, links: dict[str, str]) -> str:
    facts = "".join(
        f"<tr><th align='left'>{escape(name)}</th><td>{_shown(value)}</td></tr>" for name, value in notice.facts
    )
    call = f"<pre>{_shown(notice.call)}</pre>" if notice.asks else ""
    buttons = " &nbsp; ".join(f'<a href="{escape(link)}">{escape(name)}</a>' for name, link in links.items())
    note = f"<p>{_NOTE}</p>" if len(links) > 1 else ""
    return (
        f"<!doctype html><html><body><h3>{_shown(notice.title)}</h3>"
        f"<table>{facts}</table>{call}<p>{buttons}</p>{note}</body></html>\n"
    )


def _shown(text: str) -> str:
    return escape(unlinked(text))
