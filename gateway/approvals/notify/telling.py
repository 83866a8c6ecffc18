"""All that tells people, and that hears what they press: put together, and kept to the configuration."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping

from gateway.approvals.docket import Docket
from gateway.approvals.notify.buttons import Buttons
from gateway.approvals.notify.links import Links
from gateway.approvals.notify.notices import Masks
from gateway.approvals.notify.notifier import Notifier
from gateway.approvals.verdicts import Verdicts
from gateway.config.schema_approvals import Approvals
from gateway.ports import State
from gateway.stores.lineage_key import SharedKey


class Telling:
    """One for the process."""

    def __init__(self, docket: Docket, state: State, verdicts: Verdicts, masks: Masks) -> None:
        self._links = Links(os.urandom(32))
        self._shared = SharedKey(state.board, self._links, "links")
        self._sharing = False
        self._adopting: set[asyncio.Task[None]] = set()
        self.notifier = Notifier(docket, state.board, state.cabinet, self._links, masks)
        self.buttons = Buttons(self._links, verdicts, docket, state.board)

    async def start(
        self, config: Approvals, roles: Mapping[str, Collection[str]], authorities: Mapping[str, str]
    ) -> None:
        """Begin; before the docket does, so that what waited for this process is told. The state must have started."""
        self.buttons.adopt(config, roles)
        await self._adopt(config, authorities)
        self.notifier.start()

    def adopt(self, config: Approvals, roles: Mapping[str, Collection[str]], authorities: Mapping[str, str]) -> None:
        """Go by another version of the configuration: its channels, roles of people known otherwise, and certificates
        that mail servers are trusted by."""
        self.buttons.adopt(config, roles)
        task = asyncio.get_running_loop().create_task(self._adopt(config, authorities))
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    async def _adopt(self, config: Approvals, authorities: Mapping[str, str]) -> None:
        """Links are signed with the key that all share before any is sent."""
        if config.key is not None:
            self._links.rekey(config.key.encode())
        elif config.channels and not self._sharing:
            self._sharing = True
            await self._shared.start()
        self.notifier.adopt(config, authorities)

    async def close(self) -> None:
        """Tell no more."""
        for task in self._adopting:
            task.cancel()
        await self._shared.close()
        await self.notifier.close()
