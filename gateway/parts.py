"""What the process is made of, part by part, as its configuration has it. ``app.py`` puts the parts together."""

from __future__ import annotations

import itertools
import os
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from gateway import __version__
from gateway.admin.tls import Certificate
from gateway.approvals.notify.notices import Masks
from gateway.config.load import Loaded
from gateway.config.schema import Wire
from gateway.config.schema_admin import Admin
from gateway.config.schema_approvals import Approvals, secrets_of
from gateway.config.schema_identify import Identify
from gateway.errors import ConfigError, Problem
from gateway.identify import Source
from gateway.identify.api_key import ApiKeyIdentity, Key
from gateway.identify.certificate import CertificateIdentity
from gateway.identify.header import Anonymous, HeaderIdentity
from gateway.model.credentials import secrets_of_loans
from gateway.observe.chain.writer import AuditLog
from gateway.observe.keeping import keeping, masked_mapping
from gateway.observe.otel import Exporter, Peer, exporter_to
from gateway.observe.redact import Redactor
from gateway.ports import State
from gateway.stores.leases import LeasedBudgets
from gateway.stores.shared_buckets import SharedBuckets
from gateway.stores.waiting import WaitingBudgets
from gateway.wire.listener import Limits as WireLimits
from gateway.wire.tls import ListeningTls

if TYPE_CHECKING:
    from gateway.trust.agents import Vouchers


def redactor_of(loaded: Loaded) -> Redactor:
    """Masks what must not be read, and all that the gateway itself holds."""
    detect = loaded.config.trace.detect
    redactor = Redactor(secrets=detect.secrets, personal=detect.pii)
    redactor.adopt(credentials(loaded))
    return redactor


def audit_of(loaded: Loaded) -> AuditLog | None:
    """The audit that the configuration asks for.

    Raises:
        ConfigError: it cannot be kept.
    """
    config = loaded.config.audit
    if config is None:
        return None
    about = {"version": __version__, "policy": loaded.version}
    key = None if config.key is None else config.key.encode()
    refuses = config.on_failure == "refuse"
    return AuditLog(config.dir, key, config.segment, config.sync, refuses=refuses, about=about)


def credentials(loaded: Loaded) -> Iterator[tuple[str, str]]:
    """All that the gateway holds and nobody should read, with what it is for."""
    for tool in loaded.tools:
        injected = [value.decode("latin-1") for _, value in tool.inject]
        yield from [(tool.name, secret) for secret in (*injected, *secrets_of_loans(tool.loans))]
    config = loaded.config
    for header in config.trace.otlp.headers.values() if config.trace.otlp is not None else ():
        yield "otlp", header
    yield from (("admin", secret) for secret in config.admin.secrets)
    if config.audit is not None and config.audit.key is not None:
        yield "audit", config.audit.key
    for name, guardrail in config.guardrails.items():
        yield from ((f"guardrail {name}", value) for value in guardrail.headers.values())
    if config.flow.prompt_key is not None:
        yield "flow", config.flow.prompt_key
    if config.lineage.key is not None:
        yield "lineage", config.lineage.key
    if config.approvals.key is not None:
        yield "approvals", config.approvals.key
    for name, channel in config.approvals.channels.items():
        for secret in secrets_of(channel):
            yield f"channel {name}", secret
    if password := urlsplit(config.state).password:
        yield "state", unquote(password)


def certificate_of(loaded: Loaded) -> Certificate | None:
    """TLS of the admin address, where the configuration has it.

    Raises:
        ConfigError: its files cannot be used.
    """
    tls = loaded.config.admin.tls
    if tls is None:
        return None
    try:
        return Certificate(tls)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError([Problem("admin.tls", 0, 0, f"cannot be used: {error}", "check both files")]) from None


def bound_by(admin: Admin) -> tuple[object, ...]:
    """What of the operators' side takes a restart."""
    return admin.listen, admin.probes, admin.tls is None


def masks_of(loaded: Loaded, redactor: Redactor) -> Masks:
    """What takes secrets out of messages to people: by name, as out of recorded arguments, and by how they look."""
    named = keeping(True, loaded.config.trace.redact, (), 0)
    return Masks(redactor.text, partial(masked_mapping, settings=named))


def args_masked(loaded: Loaded) -> Callable[[Mapping[str, object]], Mapping[str, object]]:
    """What takes secrets out of arguments by name, as out of recorded ones."""
    return partial(masked_mapping, settings=keeping(True, loaded.config.trace.redact, (), 0))


def telling_of(loaded: Loaded) -> tuple[Approvals, Mapping[str, Collection[str]], Mapping[str, str]]:
    """Whom channels tell, and who they are: the channels, roles of users by name, certificates of mail servers."""
    users = {user.name: user.roles for user in loaded.config.admin.users}
    return loaded.config.approvals, users, loaded.mail_authorities


class Identities:
    """What tells who is asking. Outlives reloads, for the sake of issuers' keys."""

    def __init__(self) -> None:
        self._vouchers: Vouchers | None = None

    def of(self, identify: Sequence[Identify]) -> tuple[Source, ...]:
        """The sources of this version, in order."""
        if self._vouchers is None and any(source.jwt or source.kubernetes for source in identify):
            from gateway.trust.agents import Vouchers

            self._vouchers = Vouchers()
        by_token: Mapping[int, Source] = {} if self._vouchers is None else self._vouchers.sources(identify)
        return tuple(by_token.get(number) or source_of(source) for number, source in enumerate(identify))

    async def close(self) -> None:
        """Ask nobody any more."""
        if self._vouchers is not None:
            await self._vouchers.close()


def source_of(source: Identify) -> Source:
    """What tells who is asking, where nobody else has to be asked about it."""
    if source.header is not None:
        return HeaderIdentity(source.header)
    if source.api_key is not None:
        keys = [Key(key.sha256, key.agent, tuple(key.roles)) for key in source.api_key.keys]
        return ApiKeyIdentity(source.api_key.header, keys)
    if source.certificate is not None:
        config = source.certificate
        return CertificateIdentity(config.pattern, config.agent, config.roles)
    return Anonymous(source.anonymous or "")


def listening_tls_of(loaded: Loaded) -> ListeningTls | None:
    """TLS for agents, where the configuration has it.

    Raises:
        ConfigError: its files cannot be used.
    """
    tls = loaded.config.listen_tls
    if tls is None:
        return None
    try:
        return ListeningTls(tls)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError([Problem("listen_tls", 0, 0, f"cannot be used: {error}", "check the files")]) from None


def exporter_of(loaded: Loaded) -> Exporter | None:
    """What sends spans to a collector, where the configuration names one."""
    otlp = loaded.config.trace.otlp
    if otlp is None:
        return None
    exporter = exporter_to(otlp.protocol, otlp.endpoint, otlp.headers, otlp.sample, otlp.resource)
    exporter.peers = peers_of(loaded)
    return exporter


def peers_of(loaded: Loaded) -> dict[str, Peer]:
    """What the records of calls do not say of the tools that they name."""
    return {
        tool.name: Peer(tool.protocol, tool.origin.host, tool.origin.port, frozenset(tool.operations))
        for tool in loaded.tools
    }


def buckets_of(state: State) -> SharedBuckets | None:
    """Rate limits that replicas share, where they share a store."""
    if state.vault is None or not state.shared:
        return None
    return SharedBuckets(state.vault, lambda: state.replicas, time.monotonic, time.time)


def budgets_of(state: State) -> WaitingBudgets:
    """Accounts of budgets: leased from a vault, where the state has one."""
    if state.vault is None:
        return WaitingBudgets(time.time, time.monotonic)
    return LeasedBudgets(time.time, time.monotonic, state.vault, state.holder, state.board)


def limits_of(wire: Wire) -> WireLimits:
    """What a connection may take."""
    return WireLimits(
        wire.head_timeout,
        wire.body_idle,
        wire.keep_alive,
        wire.half_close_grace,
        wire.max_head,
        wire.max_headers,
        wire.max_connections,
        wire.drain,
    )


def approval_ids() -> Callable[[], str]:
    """Ids of approvals, which nobody can guess: who knows one may ask how it stands."""
    return lambda: f"apr-{os.urandom(12).hex()}"


def exemption_ids() -> Callable[[], str]:
    """Ids of exemptions, unlike any other."""
    return lambda: f"exm-{os.urandom(6).hex()}"


def idents() -> Iterator[str]:
    """Ids of calls: unlike those of any other process, and in the order of arrival."""
    start = f"{int(time.time()):08x}{os.urandom(4).hex()}"
    return (f"{start}-{number:06x}" for number in itertools.count(1))
