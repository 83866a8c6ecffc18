"""What calls came to, until the vault has confirmed it."""

from __future__ import annotations

from gateway import model
from gateway.ports import Clock, Vault
from gateway.stores.lease import Batch, Lease


class Unwritten:
    """Costs of calls on their way to the vault, in the order in which they came. ``holder`` is this replica's name."""

    def __init__(self, vault: Vault, holder: str, wall: Clock) -> None:
        self._vault, self._holder, self._wall = vault, holder, wall
        self._entries: list[tuple[Lease, model.Entry]] = []
        self._batch: Batch | None = None
        """What the vault was sent and has not confirmed; it goes before the entries."""

    def __len__(self) -> int:
        return len(self._entries) + (len(self._batch.sent) if self._batch is not None else 0)

    def add(self, lease: Lease, entry: model.Entry) -> None:
        """One more, to be sent with the next batch."""
        self._entries.append((lease, entry))

    async def write(self) -> bool:
        """Send all of it; whether there was any.

        Raises:
            StoreUnavailable: what was not confirmed is kept.
        """
        wrote = bool(self)
        if self._batch is not None:
            await self._send(self._batch)
        if self._batch is None and self._entries:
            self._batch, self._entries = Batch(self._entries, self._wall()), []
            await self._send(self._batch)
        return wrote

    async def _send(self, batch: Batch) -> None:
        await self._vault.settle(self._holder, [entry for _, _, entry in batch.sent], batch.at)
        if self._batch is batch:  # not where another task has sent it, too, and was answered first
            self._batch = None
            batch.written()
