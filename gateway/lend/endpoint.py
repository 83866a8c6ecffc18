"""A token endpoint: asked over HTTP, bounded in bytes and time, no redirects, no proxies of the environment, TLS
verified."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from gateway.config.authorities import believing
from gateway.lend.oauth2 import granted_of, request_of
from gateway.lend.sources import Unavailable
from gateway.lend.tokens import Granted, Tokens
from gateway.model import Call, Lent
from gateway.model.credentials import OAuth2

PATIENCE = 10.0
"""Seconds for an answer."""
MOST_BYTES = 64 * 1024
"""Of an answer, and of a token in a file."""
_AT_ONCE = 16
"""Connections."""

_NO_TOKEN = "the agent shows no token that could be exchanged for one"  # noqa: S105 - a text


class OAuth2Source:
    """Access tokens of one endpoint: one for the gateway itself, or one for each token that agents show."""

    def __init__(
        self,
        settings: OAuth2,
        clock: Callable[[], float],
        chance: Callable[[], float],
        learn: Callable[[str], None],
    ) -> None:
        self._settings, self._learn = settings, learn
        self._tokens = Tokens(clock, chance, learn)
        self._session: aiohttp.ClientSession | None = None
        self._of_agents = settings.exchange is not None and not settings.exchange.subject_file
        self._retired = False
        self._fetching = 0
        self._closing: asyncio.Future[None] | None = None

    def lend(self, call: Call, body: bytes | None, so_far: Lent) -> Lent | Awaitable[Lent]:  # noqa: ARG002
        """Raises Unavailable."""
        if not self._of_agents:
            return self._tokens.get("", b"", self._fetch)
        token = call.agent.token
        if not token:
            raise Unavailable(_NO_TOKEN, 403)
        return self._tokens.get(call.agent.id, _digest(token), lambda: self._fetch(token.decode("latin-1")))

    def rejected(self, call: Call) -> None:
        """The tool did not take the token."""
        if not self._of_agents:
            self._tokens.rejected("", b"")
        elif call.agent.token:
            self._tokens.rejected(call.agent.id, _digest(call.agent.token))

    async def _fetch(self, subject: str = "") -> Granted:
        self._fetching += 1
        try:
            return await self._granted(subject)
        finally:
            self._fetching -= 1
            if self._retired and not self._fetching:
                await self._end()

    async def _granted(self, subject: str) -> Granted:
        settings, exchange = self._settings, self._settings.exchange
        actor = ""
        if exchange is not None:
            subject = subject or await self._read(exchange.subject_file)
            actor = await self._read(exchange.actor_file) if exchange.actor_file else ""
        assertion = await self._read(settings.assertion_file) if settings.assertion_file else ""
        form, authorization = request_of(settings, subject=subject, actor=actor, assertion=assertion)
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if authorization:
            headers["Authorization"] = authorization
        return granted_of(*await self._ask(form, headers))

    async def _ask(self, form: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        try:
            async with self._opened().post(
                self._settings.token_url, data=form, headers=headers, allow_redirects=False
            ) as response:
                body = bytearray()
                async for piece in response.content.iter_chunked(MOST_BYTES):
                    body += piece
                    if len(body) > MOST_BYTES:
                        raise Unavailable(f"the token endpoint answers with more than {MOST_BYTES} bytes")
                return response.status, bytes(body)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:  # texts may quote secrets
            raise Unavailable(f"the token endpoint does not answer ({type(error).__name__})") from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            pem = self._settings.ca_pem
            tls = True if pem is None else believing(pem=pem)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=tls, limit=_AT_ONCE),
                timeout=aiohttp.ClientTimeout(total=PATIENCE),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session

    async def _read(self, file: str) -> str:
        """The token in a file, which is written anew all the time."""
        try:
            text = (await asyncio.to_thread(_beginning, file)).decode("ascii").strip()
        except (OSError, ValueError) as error:
            raise Unavailable(f"a file with a token cannot be read ({type(error).__name__})") from None
        if not text or len(text) > MOST_BYTES:
            raise Unavailable("a file with a token is empty, or too long")
        self._learn(text)
        return text

    def retire(self) -> None:
        """What is being fetched is fetched to its end."""
        self._retired = True
        if not self._fetching and self._session is not None:
            self._closing = asyncio.ensure_future(self._end())

    async def _end(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def close(self) -> None:
        """Fetch no more."""
        await self._tokens.close()
        await self._end()
        if self._closing is not None:
            await self._closing


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def _beginning(file: str) -> bytes:
    with Path(file).open("rb") as opened:
        return opened.read(MOST_BYTES + 1)


__all__ = ["OAuth2Source"]
