"""JSON Web Tokens (RFC 7519), verified as RFC 8725 asks: the reader, not the token, says which algorithms, issuer and
audience will do. Quiet: keys are fetched elsewhere, and time is an argument.

Only signatures by public keys are taken: an HMAC whose secret is a public key (RFC 8725, 2.1) has no way in, since
neither the algorithm nor a key of its type is ever known here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError
from jwt.utils import base64url_decode
from msgspec import Struct

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""What may be asked for: signatures that are checked with a public key."""

LONGEST = 16 * 1024
"""Characters of a token."""
MOST_KEYS = 100
"""Keys of a set that are looked at."""
LEAST_RSA = 2048
"""Bits of an RSA key (RFC 7518, 3.3)."""

_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
_READERS: Mapping[object, Callable[[dict[str, Any]], Any]] = {
    "RSA": RSAAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "OKP": OKPAlgorithm.from_jwk,
}
_TYPES = frozenset({"jwt", "jose", "at+jwt", "application/jwt", "application/at+jwt"})
"""``typ`` of tokens that say who somebody is. Others are for something else: logout tokens, proofs (RFC 8725, 3.11)."""
_JWS = PyJWS(algorithms=list(ALGORITHMS))


class BadToken(Exception):  # noqa: N818 - a verdict, not a failure of the program
    """A token that will not do; the text says why. ``unknown_key``: it may be signed by a key that is not known yet."""

    def __init__(self, why: str, *, unknown_key: bool = False) -> None:
        super().__init__(why)
        self.unknown_key = unknown_key


class Key(Struct, frozen=True):
    """A public key of a set. ``algorithm`` is empty where the set does not say which one it is for."""

    ident: str
    kind: str
    """RSA, EC or OKP."""
    algorithm: str
    public: Any

    def suits(self, algorithm: str) -> bool:
        """Whether signatures of this algorithm can be checked with it."""
        if self.algorithm not in ("", algorithm):
            return False
        if self.kind == "EC":
            curve: str = self.public.curve.name
            return _CURVES.get(algorithm) == curve
        return algorithm == "EdDSA" if self.kind == "OKP" else algorithm[:2] in ("RS", "PS")


class Expected(Struct, frozen=True):
    """What a token must be like. ``leeway`` is in seconds, for clocks that differ."""

    issuer: str
    audiences: frozenset[str]
    algorithms: frozenset[str]
    leeway: float = 60.0


def key_set(data: bytes) -> tuple[Key, ...]:
    """The keys of a JWK Set (RFC 7517) that signatures can be checked with; others in it are passed over.

    Raises:
        ValueError: it is no such set, or has no such key.
    """
    try:
        members = json.loads(data)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError('no JWK Set: it must be JSON with "keys"') from None
    if not isinstance(members, list):
        raise ValueError('no JWK Set: "keys" must be a list')  # noqa: TRY004 - one kind of error
    keys = tuple(key for member in members[:MOST_KEYS] if (key := _key(member)) is not None)
    if not keys:
        raise ValueError("a JWK Set without a public key that signatures can be checked with")
    return keys


def claimed(token: str) -> Mapping[str, Any]:
    """What a token says without proof, to tell whom to ask about it; empty where it is none."""
    try:
        return _members(_JWS.decode_complete(token, options={"verify_signature": False})["payload"])
    except (PyJWTError, BadToken, ValueError, RecursionError):
        return {}


def verify(token: str, keys: Iterable[Key], expected: Expected, now: float) -> Mapping[str, Any]:
    """The claims of a token that one of ``keys`` has signed, at ``now`` in seconds since the epoch.

    Raises:
        BadToken: it will not do, and why.
    """
    if len(token) > LONGEST:
        raise BadToken(f"it is longer than {LONGEST} characters")
    header = _header(token)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in expected.algorithms or algorithm not in ALGORITHMS:
        raise BadToken("it is signed by an algorithm that is not allowed here")
    if "crit" in header or "b64" in header:
        raise BadToken("its header asks for extensions, and there are none")
    if "cty" in header:
        raise BadToken("it is a token around another one (cty)")
    kind = header.get("typ")
    if kind is not None and (not isinstance(kind, str) or kind.lower() not in _TYPES):
        raise BadToken("it is a token for something else (typ)")
    key = _named(keys, header.get("kid"), algorithm)
    try:
        payload = _JWS.decode_complete(token, key.public, algorithms=[algorithm])["payload"]
    except (PyJWTError, ValueError, TypeError):
        raise BadToken("its signature is not of the issuer's key") from None
    claims = _members(payload)
    _check(claims, expected, now)
    return claims


def _header(token: str) -> Mapping[str, Any]:
    try:
        header: Mapping[str, Any] = _JWS.get_unverified_header(token)
        _strict(base64url_decode(token.partition(".")[0]))
    except (PyJWTError, ValueError, TypeError, RecursionError):
        raise BadToken("it is no signed JSON Web Token") from None
    return header


def _named(keys: Iterable[Key], ident: object, algorithm: str) -> Key:
    """The key that the token names; the only one that suits where it names none."""
    suited = [key for key in keys if key.suits(algorithm) and (ident is None or key.ident == ident)]
    if not suited:
        raise BadToken("it is signed by a key that the issuer does not show", unknown_key=True)
    if len(suited) > 1:
        raise BadToken("it does not tell which of the issuer's keys has signed it (kid)")
    return suited[0]


def _members(payload: bytes) -> Mapping[str, Any]:
    try:
        claims = _strict(payload)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise BadToken("its claims are no JSON object that all read alike")
    return claims


def _strict(data: bytes) -> Any:
    """JSON that no two readers take for something else: repeated names may be refused (RFC 7519, 4). Raises
    ValueError."""
    return json.loads(data, object_pairs_hook=_object, parse_int=_integer, parse_constant=_no_number)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _integer(text: str) -> int:
    value = int(text) if len(text) <= 20 else 1 << 64
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError("an integer beyond 64 bits")
    return value


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _check(claims: Mapping[str, Any], expected: Expected, now: float) -> None:
    if claims.get("iss") != expected.issuer:
        raise BadToken("it is of another issuer (iss)")
    audiences = claims.get("aud")
    named = audiences if isinstance(audiences, list) else [audiences]
    if not any(isinstance(one, str) and one in expected.audiences for one in named):
        raise BadToken("it is for another audience (aud)")
    ends, begins, issued = (_time(claims, name) for name in ("exp", "nbf", "iat"))
    if ends is None:
        raise BadToken("it does not tell when it ends (exp)")
    if now >= ends + expected.leeway:
        raise BadToken("it has expired (exp)")
    if max(begins or 0, issued or 0) > now + expected.leeway:
        raise BadToken("it is not valid yet (nbf, iat)")


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise BadToken(f"its {name} is no time")
    return value


def _key(member: object) -> Key | None:
    if not isinstance(member, dict) or member.get("use", "sig") != "sig":
        return None
    kind, ident, algorithm = member.get("kty"), member.get("kid", ""), member.get("alg", "")
    if not (isinstance(kind, str) and isinstance(ident, str) and isinstance(algorithm, str)) or kind not in _READERS:
        return None
    try:
        public = _READERS[kind](member)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    if hasattr(public, "private_numbers") or hasattr(public, "private_bytes"):
        return None  # whoever shows a private key has lost it
    if isinstance(public, RSAPublicKey) and public.key_size < LEAST_RSA:
        return None
    if isinstance(public, EllipticCurvePublicKey) and public.curve.name not in _CURVES.values():
        return None
    return Key(ident, kind, algorithm, public)
