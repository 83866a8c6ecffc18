"""Who vouches for agents: issuers by their signatures, Kubernetes API servers by their word.

Loaded only where the configuration has one of them: what verifies signatures takes 10 MB.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from gateway.config.schema_identify import AgentJwt, Identify, ServiceAccounts
from gateway.errors import Refused
from gateway.identify.bearer import BearerIdentity, Voucher
from gateway.identify.naming import Naming
from gateway.identify.service_accounts import SERVICE_ACCOUNT, agent_of, facts_of_claims, facts_of_review
from gateway.identify.tokens import Expected
from gateway.model import Agent, Reason
from gateway.trust.ask import Asker, Unavailable
from gateway.trust.keys import AGAIN, Keys, keys_of
from gateway.trust.review import KEPT, Reviewed, Reviewer, credential_in

PATIENCE = 2.0
"""Seconds for which a call waits for whoever vouches."""
QUIET = 10.0
"""Seconds between two lines in the log about the same API server."""
LATER = 10.0
"""Seconds after which connections to somebody who is not asked any more are closed."""

MOST_ASKED = 256
"""Tokens that are reviewed at once."""

T = TypeVar("T")
log = logging.getLogger("toolgate.identity")


class Vouchers:
    """Outlives reloads, so that keys do: a new version does not depend on whether an issuer can be reached just now."""

    def __init__(self) -> None:
        self._asked: dict[tuple[object, ...], tuple[Asker, Keys]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def sources(self, identify: Iterable[Identify]) -> dict[int, BearerIdentity]:
        """What recognises agents by tokens, by its place in the list. Keys that serve on are fetched anew."""
        before, self._asked = self._asked, {}
        found: dict[int, BearerIdentity] = {}
        for number, source in enumerate(identify):
            config = source.jwt or source.kubernetes
            if config is not None:
                found[number] = BearerIdentity(config.header, self._voucher(config, before), time.time)
        self._leave([asker for who, (asker, _) in before.items() if who not in self._asked])
        return found

    async def close(self) -> None:
        """Ask nobody any more."""
        for asker, _ in self._asked.values():
            await asker.close()
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _voucher(self, config: AgentJwt | ServiceAccounts, before: Mapping[tuple[object, ...], Any]) -> Voucher:
        who = _who(config)
        if who in before:
            self._asked[who] = before[who]
            if isinstance(config, AgentJwt) or config.issuer is not None:
                before[who][1].renew()
        elif who not in self._asked:
            asker = Asker(config.ca_file if _speaks_tls(config) else None)
            self._asked[who] = asker, _keys(config, asker)
        asker, keys = self._asked[who]
        if isinstance(config, AgentJwt):
            return Issuer(config, keys)
        return Cluster(config, keys) if config.issuer is not None else Review(config, asker)

    def _leave(self, askers: list[Asker]) -> None:
        """Calls under way may still ask them."""

        async def leave(asker: Asker) -> None:
            try:
                await asyncio.sleep(LATER)
            finally:
                await asker.close()

        for asker in askers:
            task = asyncio.create_task(leave(asker))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _who(config: AgentJwt | ServiceAccounts) -> tuple[object, ...]:
    """Whom to ask, and what there is to trust: of an issuer whose files are new, nothing is kept."""
    if isinstance(config, AgentJwt):
        where: tuple[object, ...] = (config.issuer, config.jwks_url, config.jwks_file, _digest(config.jwks_file))
    else:
        where = (config.url, config.token_file, config.issuer)
    return (*where, config.ca_file, _digest(config.ca_file))


def _speaks_tls(config: AgentJwt | ServiceAccounts) -> bool:
    """A cluster's authority is named by default, also where a test or a proxy on this machine speaks for its server."""
    return isinstance(config, AgentJwt) or config.url.startswith("https:")


def _digest(file: str | None) -> bytes:
    try:
        return b"" if file is None else sha256(Path(file).read_bytes()).digest()
    except OSError:
        return b""


def _keys(config: AgentJwt | ServiceAccounts, asker: Asker) -> Keys:
    if isinstance(config, AgentJwt):
        return keys_of(asker, time.monotonic, issuer=config.issuer, url=config.jwks_url, file=config.jwks_file)
    at, token_file = f"{config.url.rstrip('/')}/openid/v1/jwks", Path(config.token_file)

    async def fetch() -> bytes:
        return await asker.ask(at, fields=await credential_in(token_file))

    return Keys(fetch, time.monotonic)


class Issuer:
    """Vouches by its signature."""

    def __init__(self, config: AgentJwt, keys: Keys) -> None:
        self.issuer, self._keys = config.issuer, keys
        self._expected = Expected(
            config.issuer, frozenset(config.audience), frozenset(config.algorithms), config.leeway
        )
        self._naming = Naming(config.agent, config.roles or "", config.prefix, config.require)

    def mine(self, claims: Mapping[str, Any]) -> bool:
        return claims.get("iss") == self.issuer

    async def agent(self, token: str) -> tuple[Agent, float]:
        claims = await _patiently(self._keys.verified(token, self._expected, time.time()), self.issuer)
        return self._naming.agent_of(claims, "jwt"), claims["exp"] + self._expected.leeway


class Cluster:
    """A Kubernetes cluster that vouches for its service accounts by its signature."""

    def __init__(self, config: ServiceAccounts, keys: Keys) -> None:
        self.issuer, self._keys, self._config = config.issuer or "", keys, config
        self._expected = Expected(
            self.issuer, frozenset(config.audiences), frozenset({"RS256", "ES256", "ES384", "ES512"})
        )

    def mine(self, claims: Mapping[str, Any]) -> bool:
        return claims.get("iss") == self.issuer

    async def agent(self, token: str) -> tuple[Agent, float]:
        claims = await _patiently(self._keys.verified(token, self._expected, time.time()), self.issuer)
        agent = agent_of(facts_of_claims(claims), self._config.agent, self._config.roles)
        return agent, claims["exp"] + self._expected.leeway


class Review:
    """A Kubernetes API server that is asked about each token of a service account."""

    def __init__(self, config: ServiceAccounts, asker: Asker) -> None:
        self.issuer, self._config = config.url, config
        self._reviewer = Reviewer(config.url, config.token_file, config.audiences, asker, time.monotonic, keep=0.0)
        self._asking: dict[str, asyncio.Task[Reviewed]] = {}
        self._told = -QUIET

    def mine(self, claims: Mapping[str, Any]) -> bool:
        name = claims.get("sub")
        return isinstance(name, str) and name.startswith(SERVICE_ACCOUNT)

    async def agent(self, token: str) -> tuple[Agent, float]:
        found = await _patiently(self._reviewed(token), self.issuer, self._tell)
        agent = agent_of(facts_of_review(found.username, found.extra), self._config.agent, self._config.roles)
        return agent, time.time() + KEPT

    async def _reviewed(self, token: str) -> Reviewed:
        """Asked once for all calls that wait for it."""
        asking = self._asking.get(token)
        if asking is None:
            if len(self._asking) >= MOST_ASKED:
                raise Unavailable(f"{MOST_ASKED} tokens are being reviewed already")
            asking = self._asking[token] = asyncio.create_task(self._reviewer.reviewed(token))
            asking.add_done_callback(partial(self._reviewed_is, token))
        return await asyncio.shield(asking)

    def _reviewed_is(self, token: str, asking: asyncio.Task[Reviewed]) -> None:
        del self._asking[token]
        if not asking.cancelled():
            asking.exception()  # those who waited may have gone

    def _tell(self, why: str) -> None:
        if time.monotonic() - self._told >= QUIET:
            self._told = time.monotonic()
            log.warning("agents' tokens cannot be reviewed: %s", why)


def _silent(why: str) -> None:
    """Keys that cannot be had are in the log already."""


async def _patiently(asked: Awaitable[T], who: str, tell: Callable[[str], None] = _silent) -> T:
    """What is said in time.

    Raises:
        Refused: nothing.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            return await asked
    except (Unavailable, TimeoutError) as error:
        tell(str(error) or f"no answer in {PATIENCE:g} s")
        raise Refused(
            Reason.IDENTITY_UNAVAILABLE,
            503,
            f"{who} cannot be asked now whose token this is",
            "repeat the call later",
            retry_after=AGAIN,
        ) from None
