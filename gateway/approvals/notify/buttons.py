"""What a button or link does when somebody uses it: once for each person, and never more than was signed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gateway.approvals.docket import Docket
from gateway.approvals.notify.links import BadLink, Link, Links, digest_of
from gateway.approvals.verdicts import Verdicts, Who
from gateway.config.schema_approvals import Approvals, ApproverConfig, Channel
from gateway.model import Approval
from gateway.ports import Board


class Buttons:
    """For the channels of a configuration (``adopt``)."""

    def __init__(self, links: Links, verdicts: Verdicts, docket: Docket, board: Board) -> None:
        self._links, self._verdicts, self._docket, self._board = links, verdicts, docket, board
        self._roles: Mapping[str, Collection[str]] = {}
        self.channels: Mapping[str, Channel] = {}

    def adopt(self, config: Approvals, roles: Mapping[str, Collection[str]]) -> None:
        """Know these channels, and whom they name, from now on. ``roles`` are those of people known otherwise."""
        self.channels, self._roles = config.channels, roles

    def read(self, token: str) -> Link:
        """What a token says.

        Raises:
            BadLink: it is not ours, its time is over, or its channel is not there any more.
        """
        link = self._links.read(token, self._docket.now())
        if link.channel not in self.channels:
            raise BadLink("the channel that this link was sent by is not there any more")
        return link

    def who(self, channel: str, user: str) -> Who | None:
        """Who somebody is whom this channel names so; None for a stranger."""
        found = _approvers_of(self.channels[channel]).get(user)
        if found is None:
            return None
        roles = found.roles if found.roles is not None else self._roles.get(found.id, ("approver",))
        return Who(found.id, frozenset(roles), channel)

    async def press(self, token: str, who: Who, message: str = "") -> Approval:
        """Give the verdict that the token is good for; the approval after it. ``message`` is told to the model, with a
        denial.

        Raises:
            BadLink: the token is not ours, or over, or this person has used it already.
            VerdictError, Conflict: the verdict cannot be given; see ``Verdicts.give``.
            StoreUnavailable: it cannot be stored.
        """
        link, now = self.read(token), self._docket.now()
        used = digest_of(f"{token} {who.id}")
        if not await self._board.seize(f"link/{used}", link.until - now + 1):
            raise BadLink("you have used this link already; the page of the approval says how it stands")
        said = message if link.verb == "deny" else ""
        return await self._verdicts.give(link.approval, who, link.verb, message=said, shown=link.edit)


def _approvers_of(channel: Channel) -> Mapping[str, ApproverConfig]:
    kind = channel.webhook or channel.slack or channel.email
    return {} if kind is None else kind.approvers
