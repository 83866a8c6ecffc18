"""Login with an identity provider: OpenID Connect Core 1.0, authorization code with PKCE (RFC 7636, RFC 9700).

Nothing is remembered between the two halves of a login, so nobody can fill memory with logins that they begin: the
browser keeps ``state`` in a cookie under a MAC, and nonce and PKCE verifier are derived from it with the sessions' key.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

from gateway.admin.mapping import principal_of_claims
from gateway.admin.principals import Principal
from gateway.admin.problems import Failure
from gateway.admin.sessions import Sessions
from gateway.config.schema_admin import OidcConfig
from gateway.identify.tokens import BadToken, Expected
from gateway.trust.ask import Asker, Unavailable
from gateway.trust.keys import Discovery, keys_of

PATIENCE = 600
"""Seconds that somebody may take at the provider."""


class Oidc:
    """One provider. ``clock`` is monotonic, ``wall`` since the epoch."""

    def __init__(self, config: OidcConfig, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._config, self._wall = config, wall
        self.asker = Asker(config.ca_file)
        self._discovery = Discovery(config.issuer, self.asker, clock)
        self._keys = keys_of(self.asker, clock, issuer=config.issuer)
        self.patience = PATIENCE
        self.secure = config.redirect_uri.startswith("https:")
        self._expected = Expected(config.issuer, frozenset({config.client_id}), frozenset(config.algorithms))

    async def begin(self, sessions: Sessions) -> tuple[str, str]:
        """Where the browser shall go, and the value of the cookie that it shall keep until it comes back.

        Raises:
            Unavailable: the provider cannot be reached.
        """
        config, state = self._config, os.urandom(24).hex()
        verifier = sessions.secret("pkce", state)
        challenge = base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": config.client_id,
            "redirect_uri": config.redirect_uri,
            "scope": " ".join(dict.fromkeys(("openid", *config.scopes))),
            "state": state,
            "nonce": sessions.secret("nonce", state),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        address = await self._discovery.address("authorization_endpoint")
        kept = f"{int(self._wall()) + PATIENCE}.{state}"
        joint = "&" if "?" in address else "?"
        return f"{address}{joint}{urlencode(asked)}", f"{kept}.{sessions.mac('login', kept)}"

    async def finish(
        self, query: Mapping[str, str], cookie: str, sessions: Sessions, taken: Collection[str]
    ) -> Principal:
        """Who has come back from the provider with this query. Names in ``taken`` are others'.

        Raises:
            Failure: nobody who may come in.
            Unavailable: the provider cannot be asked.
        """
        state = self._state(cookie, sessions)
        if not state or not _same(query.get("state", ""), state):
            raise Failure(403, "this browser did not begin that login, or too long ago", "log in again")
        if query.get("iss", self._config.issuer) != self._config.issuer:  # RFC 9207
            raise Failure(403, "another provider has answered", "log in again")
        if "error" in query or not query.get("code"):
            raise Failure(403, f"the provider says no: {query.get('error', 'no code')[:100]}", "log in again")
        told = await self._exchange(query["code"], sessions.secret("pkce", state))
        try:
            claims = await self._keys.verified(str(told.get("id_token", "")), self._expected, self._wall())
        except BadToken as error:
            raise Failure(403, f"the provider's ID token will not do: {error}") from None
        self._check(claims, sessions.secret("nonce", state))
        claims = await self._with_userinfo(claims, told)
        return principal_of_claims(claims, self._config.claims, self._config.roles, "oidc", taken)

    def _state(self, cookie: str, sessions: Sessions) -> str:
        kept, _, mac = cookie.rpartition(".")
        if not _same(mac, sessions.mac("login", kept)):
            return ""
        until, _, state = kept.partition(".")
        return state if self._wall() < int(until) else ""

    def _check(self, claims: Mapping[str, Any], nonce: str) -> None:
        said = claims.get("nonce")
        if not isinstance(said, str) or not _same(said, nonce):
            raise Failure(403, "the provider's ID token is of another login (nonce)", "log in again")
        several = isinstance(claims.get("aud"), list) and len(claims["aud"]) > 1
        if (several or "azp" in claims) and claims.get("azp") != self._config.client_id:
            raise Failure(403, "the provider's ID token was given to somebody else (azp)")

    async def _exchange(self, code: str, verifier: str) -> Mapping[str, Any]:
        config, fields = self._config, {"Accept": "application/json"}
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": config.redirect_uri,
            "code_verifier": verifier,
        }
        methods = (await self._discovery.told()).get("token_endpoint_auth_methods_supported")
        if config.client_secret is None:
            form["client_id"] = config.client_id
        elif isinstance(methods, list) and "client_secret_basic" not in methods and "client_secret_post" in methods:
            form |= {"client_id": config.client_id, "client_secret": config.client_secret}
        else:
            pair = f"{quote(config.client_id, safe='')}:{quote(config.client_secret, safe='')}"  # RFC 6749, 2.3.1
            fields["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        address = await self._discovery.address("token_endpoint")
        return _object(await self.asker.ask(address, body=form, fields=fields, accept=(200, 400, 401)), address)

    async def _with_userinfo(self, claims: Mapping[str, Any], told: Mapping[str, Any]) -> Mapping[str, Any]:
        """With what only the userinfo endpoint says: many providers keep groups out of ID tokens."""
        wanted = {self._config.claims.name, self._config.claims.roles.partition(".")[0]}
        offered = (await self._discovery.told()).get("userinfo_endpoint")
        access = told.get("access_token")
        if wanted <= claims.keys() or not offered or not isinstance(access, str) or not access.isprintable():
            return claims
        address = await self._discovery.address("userinfo_endpoint")
        more = _object(await self.asker.ask(address, fields={"Authorization": f"Bearer {access}"}), address)
        if more.get("sub") != claims.get("sub"):
            raise Failure(403, "the provider tells of somebody else (sub)")
        return {**more, **claims}


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())


def _object(data: bytes, address: str) -> Mapping[str, Any]:
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise Unavailable(f"{address} answers with no JSON object")
    if "error" in told:
        raise Failure(403, f"the provider says no: {str(told['error'])[:100]}", "log in again")
    return told
