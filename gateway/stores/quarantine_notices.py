"""Quarantines on the board: durable where the state is, and the same for all replicas."""

from __future__ import annotations

import logging

import msgspec

from gateway.model import Quarantine
from gateway.ports import Board, Clock
from gateway.stores.notices import Notices
from gateway.stores.quarantines import Place, Register

KIND = "quarantine"

log = logging.getLogger("toolgate.state")


class QuarantineNotices:
    """Between a register and the board."""

    def __init__(self, board: Board, wall: Clock) -> None:
        self._wall = wall
        self._register: Register | None = None
        self._notices = Notices(board, KIND, self._hear)

    def start(self, register: Register) -> None:
        """Let the register know what stands, and what comes to stand from now on."""
        self._register = register
        self._notices.start()

    async def close(self) -> None:
        """Say what is unsaid, if that can be done soon."""
        await self._notices.close()

    async def said(self) -> bool:
        """Wait, but not for long, for the store to have all that was imposed or lifted here. Whether it has."""
        return await self._notices.said()

    @property
    def unsaid(self) -> int:
        """Changes that the other replicas do not know yet."""
        return self._notices.unsaid

    def announce(self, place: Place, quarantine: Quarantine | None) -> None:
        """Tell the others what was imposed here, or lifted."""
        key = msgspec.json.encode([place[0], *place[1]]).decode()
        if quarantine is None:
            self._notices.say(key, None)
            return
        seconds = max(0.001, quarantine.until - self._wall()) if quarantine.until else 0.0
        self._notices.say(key, msgspec.json.encode(quarantine), seconds)

    def _hear(self, key: str, value: bytes | None) -> None:
        if self._register is None:
            return
        try:
            scope, *rest = msgspec.json.decode(key, type=tuple[str, ...])
            found = None if value is None else msgspec.json.decode(value, type=Quarantine)
        except (msgspec.DecodeError, ValueError):
            log.warning("a quarantine in the state cannot be read: %.200r", key)
            return
        self._register.hear((scope, tuple(rest)), found)
