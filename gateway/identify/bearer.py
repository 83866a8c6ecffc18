"""Agents that show a token which somebody else vouches for: an issuer by its signature, a Kubernetes API server by its
word.

Which of several issuers is asked about a token is told by what the token says of itself, without proof: that decides
who is asked, never what comes of it.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any, Protocol

from gateway.errors import Refused
from gateway.identify.tokens import LONGEST, BadToken, claimed
from gateway.model import Agent, Reason, Request

KEPT = 300.0
"""Seconds for which a token that was found good is not verified again: a key that its issuer has taken back is of no
more use after that."""
AGAIN = 10.0
"""Seconds for which a token that was found bad is not looked at again."""
MOST = 2_000
"""Tokens that are remembered, of each of the two."""

_FORM = re.compile(rb"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


class Voucher(Protocol):
    """Who knows whose tokens are."""

    issuer: str
    """Of whose tokens it is asked, in words."""

    def mine(self, claims: Mapping[str, Any]) -> bool:
        """Whether a token that says this of itself is for this voucher to judge."""

    def agent(self, token: str) -> Awaitable[tuple[Agent, float]]:
        """Whose token it is, and until when it may be believed (seconds since the epoch).

        Raises:
            BadToken: it will not do, and why.
            Refused: who would know cannot be asked now.
        """


class BearerIdentity:
    """Reads a token from a header field: ``Bearer TOKEN`` or, in another field than Authorization, the bare token.

    ``clock`` gives seconds since the epoch. Tokens are remembered by their digest.
    """

    def __init__(self, header: str, voucher: Voucher, clock: Callable[[], float]) -> None:
        self.shows = header.lower().encode("ascii")
        self.expects = f"a token of {voucher.issuer} in {header.lower()}"
        self._voucher, self._clock = voucher, clock
        self._bare = self.shows != b"authorization"
        self._good: OrderedDict[bytes, tuple[float, Agent]] = OrderedDict()
        self._bad: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    def identify(self, request: Request) -> Agent | Awaitable[Agent] | None:
        value = request.lookup.get(self.shows)
        if value is None:
            return None
        digest, now = sha256(value).digest(), self._clock()
        until, agent = self._good.get(digest, (0.0, None))
        if agent is not None and now < until:
            return agent
        token = self._token(value, request)
        if not token:
            return None
        until, why = self._bad.get(digest, (0.0, ""))
        if now < until:
            raise _wrong(why)
        return self._asked(token, digest)

    def carried(self, request: Request) -> bool:
        value = request.lookup.get(self.shows)
        try:
            return value is not None and bool(self._token(value, request))
        except Refused:
            return True

    async def _asked(self, token: str, digest: bytes) -> Agent:
        try:
            agent, until = await self._voucher.agent(token)
        except BadToken as error:
            if not error.unknown_key:  # a key may be shown in a moment: the issuer is asked, as seldom as it may be
                _keep(self._bad, digest, (self._clock() + AGAIN, str(error)))
            raise _wrong(str(error)) from None
        agent = Agent(agent.id, agent.roles, agent.source, self.shows, agent.claims, token.encode("ascii"))
        _keep(self._good, digest, (min(until, self._clock() + KEPT), agent))
        return agent

    def _token(self, value: bytes, request: Request) -> str:
        """The token where it is for this voucher, else nothing.

        Raises:
            Refused: it cannot be told whose it is, or it is too long to look at.
        """
        scheme = value[:7].lower() == b"bearer "
        token = value[7:].strip() if scheme else value.strip() if self._bare else b""
        if not token.startswith(b"eyJ"):
            return ""
        if len(token) > LONGEST:
            raise _wrong(f"it is longer than {LONGEST} characters")
        if b"," in token and request.repeats(self.shows):
            raise _wrong("there are several, and which one counts cannot be told")
        if not _FORM.fullmatch(token):
            return ""
        text = token.decode("ascii")
        claims = claimed(text)
        if not claims:
            raise _wrong("its claims cannot be read")
        return text if self._voucher.mine(claims) else ""


def _keep(table: OrderedDict[bytes, Any], digest: bytes, entry: tuple[float, Any]) -> None:
    table[digest] = entry
    table.move_to_end(digest)
    if len(table) > MOST:
        table.popitem(last=False)


def _wrong(why: str) -> Refused:
    """A refusal with the challenge of RFC 6750, 3."""
    challenge = b'Bearer realm="toolgate", error="invalid_token", error_description="%b"' % _said(why)
    return Refused(
        Reason.UNAUTHENTICATED,
        401,
        f"the token will not do: {why}",
        "get a new token for this gateway, and send it as it is",
        ((b"WWW-Authenticate", challenge),),
    )


def _said(why: str) -> bytes:
    """What may stand in a quoted string there (RFC 6750, 3)."""
    return re.sub(rb"[^ !#-\[\]-~]", b"?", why.encode("ascii", "replace"))
