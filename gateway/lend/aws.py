"""Keys for AWS: those that are configured, or those that botocore finds (environment, files, web identity, container,
machine), which are looked for in a thread, looked for again while they serve, and renewed ahead of their end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from botocore.credentials import ReadOnlyCredentials, RefreshableCredentials
from botocore.exceptions import BotoCoreError
from botocore.session import Session

from gateway.execute.forward import Forwarder
from gateway.lend.sigv4 import Signer
from gateway.lend.sources import Unavailable
from gateway.model import Call, Lent
from gateway.model.credentials import Aws

FRESH = 60.0
"""Seconds after which keys that were found are looked for anew: files are rotated."""
PAUSE = 5.0
"""Seconds after which they are looked for again where there were none."""

log = logging.getLogger("toolgate.credentials")


class Keys:
    """What one profile, or botocore's own order, gives. ``clock`` is monotonic; ``learn`` is told what is secret."""

    def __init__(self, profile: str, clock: Callable[[], float], learn: Callable[[str], None]) -> None:
        self._profile, self._clock, self._learn = profile, clock, learn
        self._found: ReadOnlyCredentials | None = None
        self._renewed: RefreshableCredentials | None = None
        self._finding: asyncio.Task[None] | None = None
        self._again_at = 0.0
        self._why = ""

    def get(self) -> ReadOnlyCredentials | Awaitable[ReadOnlyCredentials]:
        """Raises Unavailable, now or when awaited."""
        if self._finding is None and self._clock() >= self._again_at:
            self._finding = asyncio.get_running_loop().create_task(self._find())
        if self._found is not None:
            return self._found
        if self._finding is None:
            raise Unavailable(self._why)
        return self._wait(self._finding)

    async def _wait(self, finding: asyncio.Task[None]) -> ReadOnlyCredentials:
        await asyncio.shield(finding)
        if self._found is None:
            raise Unavailable(self._why)
        return self._found

    async def _find(self) -> None:
        try:
            keys = await asyncio.to_thread(self._look)
            self._learn(keys.secret_key)
            if keys.token:
                self._learn(keys.token)
            self._found = keys
            self._again_at = self._clock() + FRESH
        except (BotoCoreError, Unavailable, OSError, ValueError) as error:
            self._why = str(error) if isinstance(error, Unavailable) else f"keys cannot be had ({type(error).__name__})"
            self._again_at = self._clock() + PAUSE
            if self._renewed is None or self._renewed.refresh_needed(0):
                self._found = None
            log.warning("AWS: %s", self._why)
        finally:
            self._finding = None

    def _look(self) -> ReadOnlyCredentials:
        """In a thread. Keys that end are renewed by botocore, others read anew."""
        found = self._renewed
        if found is None:
            found = Session(profile=self._profile or None).get_credentials()
            if found is None:
                raise Unavailable("no AWS keys are configured here, nor found in the environment")
            self._renewed = found if isinstance(found, RefreshableCredentials) else None
        keys: ReadOnlyCredentials = found.get_frozen_credentials()
        return keys

    async def close(self) -> None:
        """Look no more."""
        if self._finding is not None:
            self._finding.cancel()
            await asyncio.gather(self._finding, return_exceptions=True)


class AwsSource:
    """Signs each call to one tool."""

    def __init__(
        self, settings: Aws, forwarder: Forwarder, clock: Callable[[], float], learn: Callable[[str], None]
    ) -> None:
        self._signer = Signer(settings, forwarder)
        self._own = None
        if settings.key_id:
            self._own = ReadOnlyCredentials(settings.key_id, settings.secret, settings.session_token or None)
        self._keys = Keys(settings.profile, clock, learn)

    def lend(self, call: Call, body: bytes | None, so_far: Lent) -> Lent | Awaitable[Lent]:
        """Raises Unavailable."""
        keys = self._own or self._keys.get()
        if isinstance(keys, ReadOnlyCredentials):
            return self._signer.sign(call, body, keys, so_far)
        return self._later(call, body, keys, so_far)

    async def _later(self, call: Call, body: bytes | None, keys: Awaitable[ReadOnlyCredentials], so_far: Lent) -> Lent:
        return self._signer.sign(call, body, await keys, so_far)

    def rejected(self, call: Call) -> None:
        """What was signed is of no use another time anyway."""

    def retire(self) -> None:
        """Nothing stays open."""

    async def close(self) -> None:
        """Look for keys no more."""
        await self._keys.close()


__all__ = ["AwsSource", "Keys"]
