"""One guardrail: asked over HTTP, bounded in time, size and number, left alone for a while where it fails."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import aiohttp
import orjson

from gateway.config.schema_guardrails import GuardrailConfig
from gateway.guardrails.formats import Said, UnusableError, question_of, said_in
from gateway.model import CircuitSettings
from gateway.stores.circuit import Circuit

log = logging.getLogger("toolgate")

MOST_ANSWER = 64 * 1024
"""Bytes of an answer."""
MOST_CACHED = 4096
CIRCUIT = CircuitSettings(failures=5, rate=0.5, window=30.0, minimum=20, open=5.0)

Count = Callable[[str, str, float], None]
"""Told of each question: guardrail, outcome (clear, flagged, failed, cached, skipped), seconds."""
Mask = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class NoAnswerError(Exception):
    """No usable answer. The text says why, and holds nothing of what was asked or said; ``wait`` is in seconds."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


class Guardrail:
    """Asks one classifier. ``clock`` gives seconds, monotonic; ``mask`` hides what arguments' names say is secret."""

    def __init__(
        self,
        name: str,
        config: GuardrailConfig,
        session: Callable[[], aiohttp.ClientSession],
        clock: Callable[[], float],
        mask: Mask,
        count: Count,
    ) -> None:
        self.name, self.config = name, config
        self._session, self._clock, self._mask, self._count = session, clock, mask, count
        self._circuit = Circuit(CIRCUIT, name)
        self._places = asyncio.Semaphore(config.concurrency)
        self._kept: OrderedDict[bytes, tuple[float, Said]] = OrderedDict()
        plain = {"content-type": "application/json", "accept": "application/json", "accept-encoding": "identity"}
        self._headers = {**config.headers, **plain}

    async def ask(self, about: Mapping[str, Any]) -> Said:
        """What it says.

        Raises:
            NoAnswerError: nothing usable, or not in time.
        """
        if self.config.mask and about.get("args"):
            about = {**about, "args": self._mask(about["args"])}
        try:
            body = orjson.dumps(question_of(self.config, about), default=str)
        except (orjson.JSONEncodeError, RecursionError):
            raise self._skipped("the question cannot be written as JSON") from None
        if len(body) > self.config.max_size:
            raise self._skipped(f"the question has {len(body)} bytes, more than {self.config.max_size}")
        key = blake2b(body, digest_size=16).digest()
        if (kept := self._cached(key)) is not None:
            return kept
        agent = str(about.get("agent", ""))
        admitted, wait = self._circuit.admits(self._clock(), agent)
        if not admitted:
            raise self._skipped("it has failed again and again, and is left alone for a while", wait)
        said = await self._asked(body, agent)
        if self.config.cache:
            self._keep(key, said)
        return said

    async def _asked(self, body: bytes, agent: str) -> Said:
        began, probe, outcome = self._clock(), self._circuit.enter(agent), "failed"
        ok: bool | None = None  # where the agent goes meanwhile, nobody knows
        try:
            async with asyncio.timeout(self.config.timeout), self._places:
                said = await self._exchange(body)
            ok, outcome = True, "flagged" if said["flagged"] else "clear"
        except TimeoutError:
            ok = False
            raise self._failed(f"it did not answer within {self.config.timeout:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            ok = False
            why = str(error) if isinstance(error, UnusableError) else type(error).__name__
            raise self._failed(f"it gave no usable answer ({why})") from None
        finally:
            now = self._clock()
            self._circuit.leave(probe, ok, False, now, agent)
            self._count(self.name, outcome, now - began)
        return said

    async def _exchange(self, body: bytes) -> Said:
        async with self._session().post(
            self.config.url, data=body, headers=self._headers, allow_redirects=False
        ) as response:
            if not 200 <= response.status < 300:
                raise UnusableError(f"status {response.status}")
            data = bytearray()
            async for piece in response.content.iter_any():
                data += piece
                if len(data) > MOST_ANSWER:
                    raise UnusableError(f"more than {MOST_ANSWER} bytes")
            return said_in(self.config, orjson.loads(data))

    def _skipped(self, why: str, wait: float = 0.0) -> NoAnswerError:
        self._count(self.name, "skipped", 0.0)
        return NoAnswerError(why, wait)

    def _failed(self, why: str) -> NoAnswerError:
        if self._circuit.healthy:
            log.warning("guardrail %s: %s", self.name, why)
        return NoAnswerError(why)

    def _cached(self, key: bytes) -> Said | None:
        kept = self._kept.get(key)
        if kept is None or kept[0] <= self._clock():
            return None
        self._count(self.name, "cached", 0.0)
        return kept[1]

    def _keep(self, key: bytes, said: Said) -> None:
        self._kept[key] = (self._clock() + self.config.cache, said)
        self._kept.move_to_end(key)
        if len(self._kept) > MOST_CACHED:
            self._kept.popitem(last=False)
