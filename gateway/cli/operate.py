"""The admin API of a running gateway, as commands use it. Nothing of the policies is read: what stops agents must work
also where they are broken."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode, urlsplit

import click

from gateway.cli.shared import CONFIG_VARIABLE

if TYPE_CHECKING:
    from http.client import HTTPConnection
    from ssl import SSLContext

    from gateway.config.fields import Address
    from gateway.config.schema_admin import Admin

F = TypeVar("F", bound=Callable[..., Any])

_TOKEN = "TOOLGATE_ADMIN_TOKEN"  # noqa: S105 - its name
_AUTHORITIES = "TOOLGATE_ADMIN_CA"
PATIENCE = 10.0
"""Seconds for an answer."""
_MOST_OF_A_PROBE = 65536
SILENCE = 40.0
"""Seconds without a sign of life after which a stream is taken to have ended."""


class Gateway:
    """Where a gateway is asked: ``url`` is http(s)://host:port. ``certificate`` is the file of its very certificate."""

    def __init__(self, url: str, token: str | None, certificate: Path | None = None) -> None:
        self.url, self._token, self._certificate = url, token, certificate

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: list[tuple[str, str]] | None = None
    ) -> Any:
        """The JSON that it answers.

        Raises:
            click.ClickException: it does not run there, or cannot do as asked, and why.
        """
        from http.client import HTTPException

        fields = {"X-Toolgate-Admin": "1", "Content-Type": "application/json"}
        if self._token:
            fields["Authorization"] = f"Bearer {self._token}"
        target = path + (f"?{urlencode(query)}" if query else "")
        connection = self._connection()
        try:
            connection.request(method, target, None if body is None else json.dumps(body), fields)
            response = connection.getresponse()
            data = response.read()
        except (OSError, HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise click.ClickException(
                f"no gateway answers at {self.url}: {why}; is it running? Its address comes from -c FILE or --admin URL"
            ) from None
        finally:
            connection.close()
        return _told(response.status, data, self.url)

    def lines(
        self, method: str, path: str, body: Iterable[bytes] | None = None, query: list[tuple[str, str]] | None = None
    ) -> Iterator[bytes]:
        """The lines of an answer that may be long, as they come; a ``body`` is sent piece by piece.

        Raises:
            click.ClickException: it does not run there, cannot do as asked, or breaks off, and why.
        """
        from http.client import HTTPException

        fields = {"X-Toolgate-Admin": "1", "Content-Type": "application/x-ndjson"}
        if self._token:
            fields["Authorization"] = f"Bearer {self._token}"
        connection = self._connection(SILENCE)
        try:
            target = path + (f"?{urlencode(query)}" if query else "")
            connection.request(method, target, body, fields, encode_chunked=body is not None)
            response = connection.getresponse()
            if response.status >= 400:
                _told(response.status, response.read(), self.url)
            yield from response
        except (OSError, HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise click.ClickException(f"the gateway at {self.url} cannot be asked: {why}") from None
        finally:
            connection.close()

    def probe(self, path: str, patience: float) -> tuple[int, str]:
        """The status of one of its probes, and the first word that its answer says of the gateway.

        Raises:
            OSError: nothing answers in ``patience`` seconds, or not in HTTP.
            click.ClickException: the certificate to believe cannot be read.
        """
        from http.client import HTTPException

        connection = self._connection(patience)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, _word(response.read(_MOST_OF_A_PROBE))
        except HTTPException as error:
            raise OSError(str(error) or type(error).__name__) from None
        finally:
            connection.close()

    @property
    def open(self) -> bool:
        """Whether it is asked without a token, so that it knows nobody."""
        return not self._token

    def events(self, path: str, after: str = "") -> Iterator[tuple[str, str, Any]]:
        """Server-sent events after the one with this id: each one's id, its name, and its JSON. An id stays until there
        is another. Ends where the connection does.

        Raises:
            click.ClickException: it does not run there, or cannot do as asked, and why.
        """
        from http.client import HTTPException

        fields = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        if self._token:
            fields["Authorization"] = f"Bearer {self._token}"
        connection = self._connection(SILENCE)
        try:
            connection.request("GET", path, None, fields)
            response = connection.getresponse()
            if response.status >= 400:
                _told(response.status, response.read(), self.url)
            seen = {"id": after, "event": ""}
            for line in response:
                field, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(": ")
                if field == "data":
                    yield seen["id"], seen["event"], json.loads(value)
                else:
                    seen[field] = value
        except (OSError, HTTPException) as error:
            why = str(error) or type(error).__name__
            raise click.ClickException(f"no gateway answers at {self.url}: {why}") from None
        finally:
            connection.close()

    def _connection(self, patience: float = PATIENCE) -> HTTPConnection:
        from http.client import HTTPConnection, HTTPSConnection

        parts = urlsplit(self.url)
        if parts.scheme != "https":
            return HTTPConnection(parts.hostname or "", parts.port, timeout=patience)
        return HTTPSConnection(parts.hostname or "", parts.port, timeout=patience, context=self._tls())

    def _tls(self) -> SSLContext:
        """Believes the authorities in TOOLGATE_ADMIN_CA, or the system's; with a configuration file the certificate in
        it and no other, by whatever name the gateway is called: nobody else has its key."""
        import ssl

        from gateway.config.authorities import believing

        authorities = os.environ.get(_AUTHORITIES)
        try:
            if self._certificate is None or authorities:
                return believing(file=authorities or None)
            first, end, _ = self._certificate.read_text().partition("-----END CERTIFICATE-----")
            context = believing(pem=first + end)  # not those behind it: they vouch for others too
        except (OSError, ValueError, ssl.SSLError) as error:
            raise click.ClickException(f"the certificate to believe cannot be read: {error}") from None
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


def gateway_options(command: F) -> F:
    """``--config`` and ``--admin``, which say where the gateway is asked; see ``gateway_at``."""
    for option in (
        click.option(
            "--admin",
            metavar="URL",
            help="The admin address of the gateway; your token in TOOLGATE_ADMIN_TOKEN, the file of the authority to"
            " believe in TOOLGATE_ADMIN_CA. By default 127.0.0.1:9090.",
        ),
        click.option(
            *("-c", "--config", "path"),
            type=click.Path(path_type=Path),
            metavar="FILE",
            envvar=CONFIG_VARIABLE,
            help="Its configuration file; by default that in TOOLGATE_CONFIG.",
        ),
    ):
        command = option(command)
    return command


def alone(context: click.Context, *given: object) -> bool:
    """Whether the group of commands was called without one of them, which then lists.

    Raises:
        click.UsageError: one of them follows ``given``, options that it would not see: another gateway would be asked.
    """
    if context.invoked_subcommand is None:
        return True
    if any(given):
        raise click.UsageError(f"put the options behind {context.invoked_subcommand!r}")
    return False


def gateway_at(path: Path | None, admin: str | None) -> Gateway:
    """The gateway at this address, or that of the configuration file, or the usual one.

    Raises:
        click.ClickException: neither can be made sense of.
    """
    token = os.environ.get(_TOKEN)
    if admin is not None:
        url = admin.rstrip("/") if "://" in admin else f"http://{admin.rstrip('/')}"
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not parts.path
        except ValueError:
            usable = False
        if not usable:
            raise click.BadParameter("write http(s)://host:port", param_hint="--admin")
        return Gateway(url, token)
    if path is None:
        return Gateway("http://127.0.0.1:9090", token)
    found = admin_of(path)
    certificate = None if found.tls is None else path.parent / found.tls.cert_file
    scheme = "http" if certificate is None else "https"
    return Gateway(f"{scheme}://{reached_at(path, found.listen)}", token or found.token, certificate)


def reached_at(path: Path, listen: Address) -> str:
    """``host:port`` by which this machine reaches what listens there, as the file at ``path`` says.

    Raises:
        click.ClickException: the file does not tell the port.
    """
    if listen.port == 0:
        raise click.ClickException(f"{path} lets the system choose the admin port; say which it chose with --admin")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)  # noqa: S104 - to call it
    return f"[{host}]:{listen.port}" if ":" in host else f"{host}:{listen.port}"


def warn_unless_stored(answer: Mapping[str, Any]) -> None:
    """Say so where a change holds, and other replicas do not know of it yet."""
    if not answer["stored"]:
        click.echo("the state cannot be reached: it holds on this replica only, for now; the others follow", err=True)


def me() -> str:
    """Who makes a change, as far as this machine knows."""
    from getpass import getuser

    try:
        return getuser()
    except (KeyError, OSError):
        return "operator"


def admin_of(path: Path) -> Admin:
    """The ``admin`` of a configuration file; whatever else is wrong in it does not matter here.

    Raises:
        click.ClickException: it cannot be read.
    """
    from pydantic import ValidationError

    from gateway.config.documents import read_documents
    from gateway.config.files import Files
    from gateway.config.model_errors import mistakes
    from gateway.config.references import expand
    from gateway.config.schema_admin import AdminOnly

    documents, problems = read_documents(path, Files())
    if problems or len(documents) != 1 or not isinstance(documents[0].root.value, dict):
        raise click.ClickException(str(problems[0]) if problems else f"{path} is no configuration; or give --admin")
    root = documents[0].root
    unresolved = expand(root, path.parent, Files())
    token = root.at(("admin", "token"))
    for one in unresolved:
        if (one.line, one.column) == (token.line, token.column) and not os.environ.get(_TOKEN):
            raise click.ClickException(
                f"admin.token in {path}: {one.message}; or give --admin, and TOOLGATE_ADMIN_TOKEN"
            )
    try:
        return AdminOnly.model_validate({key: value for key, value in root.plain().items() if key == "admin"}).admin
    except ValidationError as error:
        mistake = next(mistakes(error, AdminOnly))
        raise click.ClickException(f"{documents[0].mistake(mistake)}; or give --admin") from None


def _word(data: bytes) -> str:
    """What a probe's answer says of the gateway; nothing where it is something else's."""
    try:
        answer = json.loads(data)
    except ValueError:
        return ""
    return str(answer.get("status", "")) if isinstance(answer, dict) else ""


def _told(status: int, data: bytes, url: str) -> Any:
    try:
        answer = json.loads(data)
    except ValueError:
        raise click.ClickException(f"what answers at {url} is no gateway's admin address (status {status})") from None
    if status < 400:
        return answer
    from gateway.policy.visible import visible

    detail = answer.get("detail", f"status {status}") if isinstance(answer, dict) else f"status {status}"
    advice = answer.get("advice") if isinstance(answer, dict) else None
    if status == 401:
        advice = "put yours into TOOLGATE_ADMIN_TOKEN, or give -c FILE where that has admin.token"
    raise click.ClickException(visible(f"{detail}; {advice}" if advice else str(detail)))
