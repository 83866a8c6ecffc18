"""Who may use the admin API, and from where.

With a token: whoever shows it, or the cookie of a session that was begun with it (``sessions.py``). Without one:
whoever is on this machine, and no page in a browser on it. A page can send requests to any port of the loopback, under
a name that resolves to it if need be (DNS rebinding): so the Host must be one of the loopback's own or the configured
address. Where a browser needs no token with each request, what changes something needs a field that no page can send to
another origin without being allowed to (a CORS preflight, which is never answered); with a cookie, which other servers
on this host may come to see, also the key of its session.
"""

from __future__ import annotations

import hmac
from ipaddress import ip_address

from aiohttp import web

from gateway.admin.principals import ROLES, Principal, enter
from gateway.admin.problems import Failure
from gateway.admin.sessions import COOKIE, Sessions
from gateway.config.fields import Address

PROOF = "X-Toolgate-Admin"
"""The field that says a change does not come from another origin's page: ``1``, or in a session its key. Not asked
for with the token itself."""

_RELAYED = ("Forwarded", "X-Forwarded-For", "Via")
_READING = frozenset({"GET", "HEAD"})


class Gate:
    """Lets requests for the API through, or not."""

    def __init__(self, listen: Address, token: str | None) -> None:
        self._token = None if token is None else token.encode()
        self.sessions = None if token is None else Sessions(token)
        self._names = {str(listen).lower(), listen.host.lower()}

    def check(self, request: web.Request) -> None:
        """Note who makes the request (``principals.principal_of``).

        Raises:
            Failure: it may not be made.
        """
        if self._token is not None:
            if self.sessions is not None and self.in_session(request):
                key = self.sessions.key(request.cookies[COOKIE])
                _check_change(request, key, "log in again, and make it on a page of the console")
                enter(request, Principal("admin", frozenset(ROLES), "session"))
            else:
                self._authorize(request, self._token)
                enter(request, Principal("admin", frozenset(ROLES), "token"))
            return
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
        enter(request, Principal("operator", frozenset(ROLES), "loopback"))

    def in_session(self, request: web.Request) -> bool:
        """Whether the request comes with the cookie of a session, and nothing that counts for more."""
        if self.sessions is None or "Authorization" in request.headers:
            return False
        return self.sessions.valid(request.cookies.get(COOKIE, ""))

    @staticmethod
    def _authorize(request: web.Request, token: bytes) -> None:
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        given = shown.strip().encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, token) or scheme.lower() != "bearer":
            raise Failure(401, "the admin token is missing or wrong", "send Authorization: Bearer TOKEN")


def _check_change(request: web.Request, proof: str, advice: str) -> None:
    """Raises Failure where something is to be changed, and a page or server of another origin may be behind it."""
    if request.method in _READING:
        return
    shown = request.headers.get(PROOF, "").encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(shown, proof.encode()):
        raise Failure(403, "a change must show that no page of another origin asks for it", advice)
    if not same_origin(request):
        raise Failure(403, "a page of another origin may change nothing here")


def same_origin(request: web.Request) -> bool:
    """Whether the request does not come from a page of another origin, as far as its browser says."""
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
