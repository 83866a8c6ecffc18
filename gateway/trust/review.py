"""Whose token this is, asked of a Kubernetes API server (TokenReview, authentication.k8s.io/v1).

The answer must name one of the audiences that were asked for: a server that knows of none says yes to tokens for
anything (Kubernetes API reference, TokenReviewStatus.audiences).
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec import Struct

from gateway.identify.tokens import LONGEST, BadToken
from gateway.trust.ask import Asker, Unavailable

KEPT = 10.0
"""Seconds for which a yes is believed: a deleted pod's token is good for so long."""
MOST_KEPT = 1_000


class Reviewed(Struct, frozen=True):
    """Whom a token stands for. ``extra`` is what else is known of it: the pod that it is bound to."""

    username: str
    groups: tuple[str, ...]
    extra: Mapping[str, tuple[str, ...]] = {}


class Reviewer:
    """Asks the API server at ``url``, by the token in ``token_file``, which is read each time (it is rotated).
    ``keep``: seconds for which a yes is believed here."""

    def __init__(
        self,
        url: str,
        token_file: str,
        audiences: Sequence[str],
        asker: Asker,
        clock: Callable[[], float],
        keep: float = KEPT,
    ) -> None:
        self._address = f"{url.rstrip('/')}/apis/authentication.k8s.io/v1/tokenreviews"
        self._token_file, self._audiences = Path(token_file), list(audiences)
        self._asker, self._clock, self._keep = asker, clock, keep
        self._kept: OrderedDict[bytes, tuple[float, Reviewed]] = OrderedDict()

    async def reviewed(self, token: str) -> Reviewed:
        """Whom the token stands for.

        Raises:
            BadToken: for nobody, or for another audience.
            Unavailable: the API server cannot be asked.
        """
        if len(token) > LONGEST:
            raise BadToken(f"it is longer than {LONGEST} characters")
        digest = sha256(token.encode("utf-8", "surrogateescape")).digest()
        until, known = self._kept.get(digest, (0.0, None))
        if known is not None and self._clock() < until:
            return known
        found = self._read(await self._ask(token))
        self._kept[digest] = (self._clock() + self._keep, found)
        self._kept.move_to_end(digest)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return found

    async def _ask(self, token: str) -> Any:
        own = await credential_in(self._token_file)
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": self._audiences},
        }
        fields = {**own, "Content-Type": "application/json"}
        data = await self._asker.ask(self._address, body=json.dumps(review).encode(), fields=fields, accept=(200, 201))
        try:
            return json.loads(data)["status"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Unavailable(f"{self._address} answers with no TokenReview") from None

    def _read(self, status: Any) -> Reviewed:
        if not isinstance(status, dict) or status.get("authenticated") is not True:
            raise BadToken("the Kubernetes API server does not know it, or not for this audience")
        audiences, user = status.get("audiences"), status.get("user")
        if not isinstance(audiences, list) or not any(one in self._audiences for one in audiences):
            raise BadToken("it is for another audience (status.audiences)")
        name = user.get("username") if isinstance(user, dict) else None
        if not isinstance(user, dict) or not isinstance(name, str) or not name:
            raise BadToken("the Kubernetes API server does not say whose it is")
        extra = user.get("extra")
        told = {key: _texts(values) for key, values in extra.items()} if isinstance(extra, dict) else {}
        return Reviewed(name, _texts(user.get("groups")), told)


async def credential_in(file: Path) -> dict[str, str]:
    """The field that shows the token in this file. Raises Unavailable."""
    try:
        return {"Authorization": f"Bearer {(await asyncio.to_thread(file.read_text)).strip()}"}
    except (OSError, UnicodeDecodeError):
        raise Unavailable(f"cannot read {file}") from None


def _texts(values: Any) -> tuple[str, ...]:
    return tuple([one for one in values if isinstance(one, str)]) if isinstance(values, list) else ()
