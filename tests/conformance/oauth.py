"""The OAuth side of the client under test: registers itself, lets an imaginary user consent, keeps tokens in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

CALLBACK = AnyUrl("http://localhost:3030/callback")
METADATA_URL = "https://conformance-test.local/client-metadata.json"
"""What the suite expects of clients that are known by a URL; nobody fetches it."""


class Memory(TokenStorage):
    """Tokens and the registration, for one run."""

    def __init__(self, registered: OAuthClientInformationFull | None) -> None:
        self._tokens: OAuthToken | None = None
        self._registered = registered

    async def get_tokens(self) -> OAuthToken | None:
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._registered

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._registered = client_info


class User:
    """Consents at once: follows the authorization URL and takes the code from where it is sent back to."""

    def __init__(self) -> None:
        self._back = ""

    async def redirected(self, url: str) -> None:
        async with httpx2.AsyncClient(trust_env=False) as http:
            self._back = (await http.get(url)).headers["location"]

    async def came_back(self) -> AuthorizationCodeResult:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self._back).query).items()}
        return AuthorizationCodeResult(code=query["code"], state=query.get("state"), iss=query.get("iss"))


def provider(url: str, context: Mapping[str, Any]) -> OAuthClientProvider:
    """OAuth for the server at ``url``; ``context`` has the credentials of a client that is registered already."""
    registered = None
    if "client_secret" in context:
        registered = OAuthClientInformationFull(
            client_id=context["client_id"],
            client_secret=context["client_secret"],
            redirect_uris=[CALLBACK],
            token_endpoint_auth_method="client_secret_basic",
        )
    user = User()
    return OAuthClientProvider(
        url,
        OAuthClientMetadata(client_name="conformance", redirect_uris=[CALLBACK]),
        Memory(registered),
        redirect_handler=user.redirected,
        callback_handler=user.came_back,
        client_metadata_url=METADATA_URL,
    )
