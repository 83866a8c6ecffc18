"""All guardrails of the process. Implements ``ports.Guards``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from gateway.config.schema_guardrails import GuardrailConfig
from gateway.guardrails.formats import unanswered, unavailable
from gateway.guardrails.guardrail import Count, Guardrail, Mask, NoAnswerError


class GuardrailBook:
    """Guardrails by name. ``adopt`` takes over a version of the configuration: one that is as before keeps its circuit,
    its cache and its places."""

    def __init__(self, clock: Callable[[], float], count: Count) -> None:
        self._clock, self._count = clock, count
        self._guardrails: dict[str, Guardrail] = {}
        self._opened: aiohttp.ClientSession | None = None
        self._mask: Mask = dict

    def adopt(self, configs: Mapping[str, GuardrailConfig], mask: Mask) -> None:
        """``mask`` hides arguments whose names say that they are secret."""
        self._mask = mask
        before, self._guardrails = self._guardrails, {}
        for name, config in configs.items():
            kept = before.get(name)
            if kept is None or kept.config != config:
                kept = Guardrail(name, config, self._session, self._clock, self._masked, self._count)
            self._guardrails[name] = kept

    async def ask(self, names: Mapping[str, bool], about: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        """What each says, all asked at once; see ``ports.Guards``."""
        answers = await asyncio.gather(*[self._ask(name, about) for name in names], return_exceptions=True)
        said: dict[str, Mapping[str, Any]] = {}
        for (name, must), answer in zip(names.items(), answers, strict=True):
            if isinstance(answer, NoAnswerError):
                if must and self._must(name):
                    raise unavailable(name, str(answer), answer.wait)
                said[name] = unanswered()
            elif isinstance(answer, BaseException):
                raise answer
            else:
                said[name] = answer
        return said

    async def _ask(self, name: str, about: Mapping[str, Any]) -> Mapping[str, Any]:
        guardrail = self._guardrails.get(name)
        if guardrail is None:  # a call that began before a reload took it away
            raise NoAnswerError("it is not configured any more")
        return await guardrail.ask(about)

    def _must(self, name: str) -> bool:
        guardrail = self._guardrails.get(name)
        return guardrail is None or guardrail.config.on_failure == "refuse"

    async def close(self) -> None:
        """End its connections."""
        if self._opened is not None:
            await self._opened.close()

    def _masked(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._mask(args)

    def _session(self) -> aiohttp.ClientSession:
        """Opened with the first question. TLS is verified; nothing of the environment leads it elsewhere."""
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # a small answer that becomes a large one is none
                trust_env=False,
            )
        return self._opened
