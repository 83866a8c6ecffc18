"""The connection to Redis or Valkey: every time-out is ours, nothing hangs, and it comes back by itself."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from gateway.errors import StoreUnavailable
from gateway.model.state_url import StateUrl
from gateway.stores.redis_scripts import Script

T = TypeVar("T")

DEADLINE = 1.0
"""Seconds for anything that is asked of Redis, connecting included."""
_AT_ONCE = 16
"""Questions under way at once; more wait, within their deadline."""
_BATCH = 200
"""Parts of one run of a script at most: others must not wait long for it, nor it outlast its deadline."""
_FIRST, _LONGEST = 0.25, 2.0
"""Seconds without an attempt after the first failure, and after many."""

log = logging.getLogger("toolgate.state")


class RedisLink:
    """Asks Redis, at most DEADLINE seconds. While it is away, all but a few attempts fail at once."""

    def __init__(self, url: StateUrl) -> None:
        self._url = url
        self._cluster = url.scheme.endswith("+cluster")
        self._client: Any = None
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._pause = 0.0
        self._again_at = 0.0
        self.error = "not asked yet"
        """What the last question failed with; "" where it was answered."""

    def open(self) -> None:
        """Make the client; it connects when it is first asked."""
        self._client = client_of(self._url)

    async def close(self) -> None:
        """Let go of the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def ask(self, question: Callable[[Any], Awaitable[T]], *, again: bool = True) -> T:
        """What ``question`` makes of the client. Asked once more where the connection turns out to be broken, unless
        ``again`` is False: for what must not be done twice.

        Raises:
            StoreUnavailable: no answer in time, or none that is of use.
        """
        if self._client is None:
            raise StoreUnavailable("Redis: closed")
        if time.monotonic() < self._again_at:
            raise StoreUnavailable(f"Redis: {self.error}")
        try:
            async with asyncio.timeout(DEADLINE), self._places:
                try:
                    answer = await question(self._client)
                except Disconnected:
                    if not again or self._client is None:
                        raise
                    answer = await question(self._client)
        except (RedisError, RedisClusterException, OSError) as error:
            raise self._away(error) from None
        if self.error:
            log.info("state: Redis answers")
            self.error, self._pause, self._again_at = "", 0.0, 0.0
        return answer

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Any], *, again: bool = True) -> Any:
        """What the script returns. One round trip, and one more where Redis does not know it yet."""

        async def question(client: Any) -> Any:
            try:
                return await client.evalsha(script.sha, len(keys), *keys, *args)
            except NoScriptError:
                return await client.eval(script.text, len(keys), *keys, *args)

        return await self.ask(question, again=again)

    async def run_split(
        self, script: Script, first: Sequence[Any], parts: Sequence[tuple[Sequence[str], Sequence[Any]]], **how: bool
    ) -> list[Any]:
        """Run a script over parts of keys and arguments, ``first`` before all of them: a batch in one go, or in a
        Cluster each by itself, since each has its own hash slot. What it returns for each, in order."""
        found: list[Any] = []
        for start in range(0, len(parts), _BATCH):
            batch = parts[start : start + _BATCH]
            if self._cluster:
                answers = await asyncio.gather(
                    *[self.run(script, keys, [*first, *args], **how) for keys, args in batch]
                )
                found += [one for answer in answers for one in answer]
            else:
                keys = [key for part, _ in batch for key in part]
                found += await self.run(script, keys, [*first, *(arg for _, args in batch for arg in args)], **how)
        return found

    def _away(self, error: Exception) -> StoreUnavailable:
        said = str(error) or type(error).__name__
        if not self.error or not self._pause:
            log.warning("state: Redis cannot be used: %s", said)
        self.error = said
        self._pause = min(_LONGEST, self._pause * 2 or _FIRST)
        self._again_at = time.monotonic() + self._pause * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret
        return StoreUnavailable(f"Redis: {said}")


def client_of(url: StateUrl) -> Any:
    """The client that a URL asks for.

    All that has changed between releases of redis-py is said outright: RESP2, no retries, our own time-outs.
    """
    common: dict[str, Any] = {
        "username": url.username or None,
        "password": url.password or None,
        "socket_timeout": DEADLINE * 0.8,
        "socket_connect_timeout": DEADLINE * 0.5,
        "socket_keepalive": True,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "decode_responses": False,
    }
    options = dict(url.options)
    sentinels: dict[str, Any] = {name: options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    if url.scheme.startswith("rediss"):
        common |= {"ssl": True, "ssl_cert_reqs": "required", "ssl_check_hostname": True, **options}
        sentinels["ssl"] = True
        sentinels |= {name: value for name, value in common.items() if name.startswith("ssl")}
    if url.scheme == "unix":
        return Redis(unix_socket_path=url.path, db=int(options.get("db", "0")), **common)
    if url.scheme.endswith("+cluster"):
        nodes = [ClusterNode(host, port) for host, port in url.hosts]
        return RedisCluster(startup_nodes=nodes, **common)
    if url.scheme.endswith("+sentinel"):
        name, _, database = url.path.partition("/")
        timeouts = {key: common[key] for key in ("socket_timeout", "socket_connect_timeout", "protocol", "retry")}
        sentinel = Sentinel(url.hosts, sentinel_kwargs=sentinels | timeouts, **common)  # type: ignore[no-untyped-call]
        return sentinel.master_for(name, db=int(database or 0))
    host, port = url.hosts[0]
    return Redis(host=host, port=port, db=int(url.path or 0), **common)
