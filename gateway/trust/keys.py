"""The keys of an issuer: fetched when they are needed, kept, and fetched again when they are old or a token is signed
by one that is not among them.

Who shows tokens chooses their ``kid``: so keys are fetched for an unknown one at most every ``AGAIN`` seconds, and all
who wait for them wait for the same answer. Keys that could not be renewed are believed for ``OLDEST`` seconds, then
nobody is let in by them.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.identify.tokens import BadToken, Expected, Key, key_set, verify
from gateway.trust.ask import Asker, Unavailable

FRESH = 300.0
"""Seconds after which keys are fetched anew, while the old ones serve."""
AGAIN = 10.0
"""Seconds between two fetches, whatever asks for them."""
OLDEST = 24 * 3600.0
"""Seconds for which keys are believed that cannot be renewed."""

log = logging.getLogger("toolgate.trust")

Fetch = Callable[[], Awaitable[bytes]]
"""Gives a JWK Set; raises Unavailable."""


class Keys:
    """Of one issuer. ``clock`` is monotonic."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float]) -> None:
        self._fetch, self._clock = fetch, clock
        self._keys: tuple[Key, ...] = ()
        self._fetched = self._tried = -OLDEST
        self._why = ""
        self._fetching: asyncio.Task[None] | None = None

    async def verified(self, token: str, expected: Expected, now: float) -> Mapping[str, Any]:
        """The claims of a token (``identify.tokens.verify``).

        Raises:
            BadToken: it will not do.
            Unavailable: the issuer's keys cannot be had.
        """
        keys = await self._current()
        try:
            return verify(token, keys, expected, now)
        except BadToken as error:
            if not error.unknown_key or not await self._renewed(keys):
                raise
        return verify(token, self._keys, expected, now)

    def renew(self) -> None:
        """Fetch them anew if that is not too often, while the old ones serve."""
        self._start()

    async def _current(self) -> tuple[Key, ...]:
        age = self._clock() - self._fetched
        if age >= OLDEST:
            await self._renewed(())
            if self._clock() - self._fetched >= OLDEST:
                raise Unavailable(f"the issuer's keys cannot be had: {self._why}")
        elif age >= FRESH:
            self._start()
        return self._keys

    async def _renewed(self, before: tuple[Key, ...]) -> bool:
        """Whether there are other keys now than ``before``."""
        fetching = self._start()
        if fetching is not None:
            await asyncio.shield(fetching)
        return self._keys is not before

    def _start(self) -> asyncio.Task[None] | None:
        """The fetch that is under way, or a new one, where the last was long enough ago."""
        if self._fetching is None and self._clock() - self._tried >= AGAIN:
            self._tried = self._clock()
            self._fetching = asyncio.create_task(self._renew())
        return self._fetching

    async def _renew(self) -> None:
        try:
            self._keys = key_set(await self._fetch())
            self._fetched = self._clock()
        except (Unavailable, ValueError) as error:
            self._why = str(error)
            log.warning("an issuer's keys cannot be renewed: %s", error)
        finally:
            self._fetching = None


class Discovery:
    """What an issuer says of itself (OpenID Connect Discovery 1.0; RFC 8414), asked for as seldom as its keys: whoever
    is to log in makes us ask, and may be anybody."""

    def __init__(self, issuer: str, asker: Asker, clock: Callable[[], float]) -> None:
        self._issuer, self._asker, self._clock = issuer, asker, clock
        self._told: Mapping[str, Any] | None = None
        self._fetched = self._tried = -OLDEST
        self._why = ""
        self._one = asyncio.Lock()

    async def told(self) -> Mapping[str, Any]:
        """Its members.

        Raises:
            Unavailable: it cannot be had, or is of another issuer.
        """
        async with self._one:
            if self._clock() - self._fetched >= FRESH and self._clock() - self._tried >= AGAIN:
                await self._renew()
        if self._told is None or self._clock() - self._fetched >= OLDEST:
            raise Unavailable(self._why)
        return self._told

    async def _renew(self) -> None:
        self._tried = self._clock()
        url = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            self._told = self._read(url, await self._asker.ask(url))
            self._fetched = self._clock()
        except Unavailable as error:
            self._why = str(error)

    async def address(self, name: str) -> str:
        """One of its endpoints: over https, or on the same loopback as the issuer itself.

        Raises:
            Unavailable: it does not tell, or not what may be called.
        """
        found = (await self.told()).get(name)
        insecure = self._issuer.startswith("http:") and isinstance(found, str) and found.startswith("http:")
        if not isinstance(found, str) or not (found.startswith("https://") or insecure):
            raise Unavailable(f"{self._issuer} does not tell its {name}")
        return found

    def _read(self, url: str, data: bytes) -> Mapping[str, Any]:
        try:
            told = json.loads(data)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise Unavailable(f"{url} is no JSON object")
        if told.get("issuer") != self._issuer:
            raise Unavailable(f"{url} is of another issuer than {self._issuer}")
        return told


def keys_of(
    asker: Asker, clock: Callable[[], float], *, issuer: str = "", url: str | None = None, file: str | None = None
) -> Keys:
    """The keys at ``url``, or in ``file``, or where the discovery document of ``issuer`` says that they are."""
    if file is not None:
        path = Path(file)
        return Keys(lambda: _read(path), clock)
    if url is not None:
        at = url
        return Keys(lambda: asker.ask(at), clock)
    discovery = Discovery(issuer, asker, clock)

    async def fetch() -> bytes:
        return await asker.ask(await discovery.address("jwks_uri"))

    return Keys(fetch, clock)


async def _read(path: Path) -> bytes:
    try:
        return await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror or error}") from None
