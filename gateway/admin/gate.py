"""Who may use the admin side, and from where.

With a way to say who one is (``entrance.py``): whoever shows a token, or the cookie of a session (``sessions.py``).
Without any: whoever is on this machine, and no page in a browser on it. A page can send requests to any port of the
loopback, under a name that resolves to it if need be (DNS rebinding): so the Host must be one of the loopback's own or
the configured address. Where a browser needs no token with each request, what changes something needs a field that no
page can send to another origin without being allowed to (a CORS preflight, which is never answered); with a cookie,
which other servers on this host may come to see, also the key of its session.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from ipaddress import ip_address

from aiohttp import web

from gateway.admin.entrance import Admitted, Entrance
from gateway.admin.noting import Noted, note, unnoted
from gateway.admin.principals import ROLES, VIEWER, Principal, enter
from gateway.admin.problems import Failure, wrong
from gateway.admin.sessions import Session, cookie_of
from gateway.admin.throttle import Throttle
from gateway.config.fields import Address
from gateway.config.schema_admin import Admin

PROOF = "X-Toolgate-Admin"
"""The field that says a change does not come from another origin's page: ``1``, or in a session its key. Not asked
for with a token."""

_RELAYED = ("Forwarded", "X-Forwarded-For", "Via")
READING = frozenset({"GET", "HEAD"})


class Gate:
    """Lets requests through, or not. ``noted`` is told of logins, also of those that failed."""

    def __init__(
        self, listen: Address, token: str | None = None, *, admin: Admin | None = None, noted: Noted = unnoted
    ) -> None:
        self._admin = admin or Admin().model_copy(update={"listen": listen, "token": token})
        self._names = {str(listen).lower(), listen.host.lower()}
        self._noted, self._throttle = noted, Throttle(time.monotonic)
        self.entrance = Entrance(self._admin) if self._admin.asks else None

    def adopt(self, admin: Admin) -> None:
        """Let in by other settings from now on; where one listens stays as it was."""
        if admin == self._admin:
            return
        before, self._admin = self.entrance, admin
        self.entrance = Entrance(admin) if admin.asks else None
        if before is not None:
            if self.entrance is not None:
                self.entrance.sessions.remember(before.sessions)
            asyncio.get_running_loop().create_task(before.close())

    async def close(self) -> None:
        """Ask nobody any more who somebody is."""
        if self.entrance is not None:
            await self.entrance.close()

    async def check(self, request: web.Request) -> None:
        """Note who makes the request (``principals.principal_of``), who may at least look.

        Raises:
            Failure: it may not be made.
        """
        principal = await self._principal(request)
        if not principal.may(VIEWER):
            raise Failure(403, f"{principal.id} may not look", "ask whoever configures `admin` for the role viewer")
        enter(request, principal)

    async def _principal(self, request: web.Request) -> Principal:
        entrance = self.entrance
        if entrance is None:
            self._check_machine(request)
            return Principal("operator", frozenset(ROLES), "loopback")
        if "Authorization" not in request.headers:
            found = self._session(request, entrance)
            if found is None:
                raise wrong()
            session, principal = found
            _check_change(request, entrance.sessions.key(session), "log in again, and make it on a page of the console")
            return principal
        return (await self._shown(request, entrance)).principal

    def session(self, request: web.Request) -> Session | None:
        """The session that the request belongs to."""
        found = None if self.entrance is None else self._session(request, self.entrance)
        return None if found is None else found[0]

    def in_session(self, request: web.Request) -> bool:
        """Whether the request comes with the cookie of a session, and nothing that counts for more."""
        return "Authorization" not in request.headers and self.session(request) is not None

    @staticmethod
    def _session(request: web.Request, entrance: Entrance) -> tuple[Session, Principal] | None:
        session = entrance.sessions.read(cookie_of(request.cookies, tls=request.secure))
        principal = None if session is None else entrance.still(session)
        return None if session is None or principal is None else (session, principal)

    async def _shown(self, request: web.Request, entrance: Entrance) -> Admitted:
        scheme, _, secret = request.headers["Authorization"].partition(" ")
        return await self.admit(request, secret.strip() if scheme.lower() == "bearer" else "", entrance)

    async def admit(self, request: web.Request, secret: str, entrance: Entrance, *, form: bool = False) -> Admitted:
        """Whoever shows this token.

        A right one of the configuration passes however often others failed: it cannot be guessed, and else whoever
        shares an address with an operator, such as an agent on the same machine, could lock them out. A ``form``, which
        a person fills in, has no such exception.

        Raises:
            Failure: nobody, or too many have failed.
        """
        peer = request.remote or "unknown"
        known = None if form else entrance.users.find(secret)
        if known is not None:
            return Admitted(known.principal, known.stamp)
        self._throttle.take(peer)
        try:
            admitted = await entrance.admit(secret)
        except Failure as failure:
            self.failed(request, failure)
            raise
        self._throttle.passed(peer)
        return admitted

    def attempt(self, request: web.Request) -> None:
        """Pay for a login that is not by a token. Raises Failure: there were too many that failed."""
        self._throttle.take(request.remote or "unknown")

    def passed(self, request: web.Request) -> None:
        """That login has succeeded."""
        self._throttle.passed(request.remote or "unknown")

    def failed(self, request: web.Request, failure: Failure) -> None:
        """A login failed: the throttle bounds how often this is noted."""
        note(self._noted, "unknown", request.remote or "unknown", "failed login", failure.detail)

    def began(self, request: web.Request, principal: Principal) -> None:
        """Somebody has begun a session."""
        note(self._noted, principal.id, request.remote or "unknown", "login", f"by {principal.source}")

    def ended(self, request: web.Request, session: Session) -> None:
        """Somebody has logged out."""
        if self.entrance is not None:
            self.entrance.sessions.end(session)
        note(self._noted, session.name, request.remote or "unknown", "logout", "")

    def _check_machine(self, request: web.Request) -> None:
        if not _is_loopback(request.remote or "") or any(name in request.headers for name in _RELAYED):
            raise Failure(
                403, "without a token the API is only for this machine", "set admin.token in the configuration"
            )
        host = request.headers.get("Host", "").lower()
        if not (host in self._names or _is_loopback(_name_of(host))):
            raise Failure(
                403, f"Host {host[:100]!r} is no name of this machine's loopback", "use 127.0.0.1 or localhost"
            )
        _check_change(request, "1", f"send {PROOF}: 1")


def _check_change(request: web.Request, proof: str, advice: str) -> None:
    """Raises Failure where something is to be changed, and a page or server of another origin may be behind it."""
    if request.method in READING:
        return
    shown = request.headers.get(PROOF, "").encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(shown, proof.encode()):
        raise Failure(403, "a change must show that no page of another origin asks for it", advice)
    if not same_origin(request):
        raise Failure(403, "a page of another origin may change nothing here")


def same_origin(request: web.Request) -> bool:
    """Whether the request does not come from a page of another origin, as far as its browser says."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    scheme, _, rest = origin.lower().partition("://")
    return scheme in ("http", "https") and rest == request.headers.get("Host", "").lower()


def _name_of(host: str) -> str:
    """The host without its port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
