"""Issuers of tokens for tests: key pairs, their JWK Sets, and whatever tokens one likes."""

from __future__ import annotations

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

KINDS = {
    "RS256": (lambda: rsa.generate_private_key(65537, 2048), RSAAlgorithm),
    "PS256": (lambda: rsa.generate_private_key(65537, 2048), RSAAlgorithm),
    "ES256": (lambda: ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    "ES384": (lambda: ec.generate_private_key(ec.SECP384R1()), ECAlgorithm),
    "EdDSA": (ed25519.Ed25519PrivateKey.generate, OKPAlgorithm),
}


class Issuer:
    """Signs with one key. ``name`` is its ``iss``."""

    def __init__(self, name: str = "https://issuer.test", ident: str = "k1", algorithm: str = "ES256") -> None:
        make, self._writer = KINDS[algorithm]
        self.name, self.ident, self.algorithm, self.private = name, ident, algorithm, make()

    def jwk(self, **members: Any) -> dict[str, Any]:
        """The public key as a JWK."""
        written = self._writer.to_jwk(self.private.public_key(), as_dict=True)
        return {**written, "kid": self.ident, "use": "sig", **members}

    def keys(self, *others: Issuer) -> bytes:
        """A JWK Set of this key and others."""
        return json.dumps({"keys": [self.jwk(), *[other.jwk() for other in others]]}).encode()

    def token(self, now: float, *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token that is good for ten minutes for the audience ``toolgate``; claims that are None are left out."""
        said = {"iss": self.name, "aud": "toolgate", "sub": "ada", "iat": int(now), "exp": int(now) + 600, **claims}
        given = {name: value for name, value in said.items() if value is not None}
        fields = {name: one for name, one in {"kid": self.ident, **(headers or {})}.items() if one is not None}
        return jwt.encode(given, self.private, self.algorithm, headers=fields)
