"""How often somebody may fail to say who they are: token buckets, one for each peer and one for all together.

Memory is bounded: who has addresses enough to push out others' buckets meets the one for all. That one is not asked of
peers from which somebody was let in of late: else strangers could lock out those who have always come from there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from gateway.admin.problems import Failure
from gateway.stores.bucket import spend, take

PEER_BURST, PEER_RATE = 10.0, 10 / 60
"""Failures of one peer at once, and in a second from then on."""
ALL_BURST, ALL_RATE = 100.0, 100 / 60
MOST_PEERS = 4096
WELCOME = 24 * 3600.0
"""Seconds for which a peer is known from which somebody was let in."""


class Throttle:
    """``clock`` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._peers: OrderedDict[str, float] = OrderedDict()
        self._welcome: OrderedDict[str, float] = OrderedDict()
        self._all = 0.0

    def take(self, peer: str) -> None:
        """Pay for an attempt before it is looked at: many at once are no way around. ``passed`` gives it back.

        Raises:
            Failure: 429, there were too many.
        """
        peer, now = _network(peer), self._clock()
        granted, full_at, _, wait = take(self._peers.get(peer, 0.0), PEER_BURST, PEER_RATE, 1, now)
        if granted and self._welcome.get(peer, 0.0) <= now:
            granted, self._all, _, wait = take(self._all, ALL_BURST, ALL_RATE, 1, now)
        if not granted:
            raise Failure(429, "too many failed logins", "wait, then try again", retry_after=wait)
        _put(self._peers, peer, full_at)

    def passed(self, peer: str) -> None:
        """The attempt was somebody's who may come in."""
        peer, now = _network(peer), self._clock()
        if self._welcome.get(peer, 0.0) <= now:
            self._all = spend(self._all, ALL_RATE, -1, now)
        if peer in self._peers:
            self._peers[peer] = spend(self._peers[peer], PEER_RATE, -1, now)
        _put(self._welcome, peer, now + WELCOME)

    def __len__(self) -> int:
        return len(self._peers) + len(self._welcome)


def _put(table: OrderedDict[str, float], peer: str, value: float) -> None:
    table[peer] = value
    table.move_to_end(peer)
    if len(table) > MOST_PEERS:
        table.popitem(last=False)


def _network(peer: str) -> str:
    """The peer; of IPv6 the network of 64 bits, in which whoever has one address has all."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer[:64]
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))
