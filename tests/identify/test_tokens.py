"""Tokens are verified by what the reader expects, never by what they say of themselves."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from gateway.identify.tokens import ALGORITHMS, LONGEST, BadToken, Expected, claimed, key_set, verify
from tests.tokens import KINDS, Issuer

NOW = 1_800_000_000.0
ISSUER = Issuer()
KEYS = key_set(ISSUER.keys())
EXPECTED = Expected(ISSUER.name, frozenset({"toolgate"}), frozenset({"ES256"}))
RSA = Issuer(algorithm="RS256")


def part(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def refused(token: str, keys=KEYS, expected=EXPECTED, now=NOW) -> BadToken:
    with pytest.raises(BadToken) as caught:
        verify(token, keys, expected, now)
    return caught.value


@pytest.mark.parametrize("algorithm", KINDS)
def test_a_token_of_each_kind_of_key_is_verified(algorithm: str) -> None:
    issuer = Issuer(algorithm=algorithm)
    expected = Expected(issuer.name, frozenset({"toolgate"}), frozenset({algorithm}))
    assert verify(issuer.token(NOW), key_set(issuer.keys()), expected, NOW)["sub"] == "ada"


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://evil.test"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"aud": "other"}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": ["a", "b"]}, "audience"),
        ({"aud": [["toolgate"]]}, "audience"),
        ({"exp": None}, "when it ends"),
        ({"exp": NOW - 61}, "expired"),
        ({"nbf": NOW + 61}, "not valid yet"),
        ({"iat": NOW + 61}, "not valid yet"),
    ],
)
def test_claims_that_are_not_as_expected_are_refused(claims: dict, why: str) -> None:
    assert why in str(refused(ISSUER.token(NOW, **claims)))


@pytest.mark.parametrize("value", [True, "1900000000", [], -1, 1e300])
def test_a_time_that_is_none_is_refused(value: object) -> None:
    """PyJWT would not write such a token: so it is signed by hand."""
    from jwt.api_jws import PyJWS

    payload = json.dumps({"iss": ISSUER.name, "aud": "toolgate", "exp": value}).encode()
    assert "is no time" in str(refused(PyJWS().encode(payload, ISSUER.private, "ES256", {"kid": "k1"})))


def test_clocks_may_differ_by_the_leeway_and_audiences_be_several() -> None:
    assert verify(ISSUER.token(NOW, exp=NOW - 59, nbf=NOW - 700, aud=["x", "toolgate"]), KEYS, EXPECTED, NOW)
    assert verify(ISSUER.token(NOW, nbf=NOW + 59), KEYS, EXPECTED, NOW)


def test_no_signature_and_signatures_by_a_public_key_as_a_secret_are_refused() -> None:
    claims = {"iss": ISSUER.name, "aud": "toolgate", "sub": "eve", "exp": NOW + 60}
    pem = RSA.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    everything = Expected(ISSUER.name, frozenset({"toolgate"}), frozenset({*ALGORITHMS, "none", "HS256"}))
    for algorithm in ("none", "None", "nOnE", "HS256"):
        head = f"{part({'alg': algorithm, 'kid': 'k1'})}.{part(claims)}"
        mac = hmac.new(pem, head.encode(), hashlib.sha256).digest() if algorithm == "HS256" else b""
        assert "not allowed" in str(refused(f"{head}.{part(mac)}", key_set(RSA.keys()), everything))


def test_an_algorithm_that_is_not_expected_is_refused_though_its_key_is_known() -> None:
    assert "not allowed" in str(refused(RSA.token(NOW), key_set(RSA.keys())))


def test_a_key_is_used_for_its_own_algorithm_only() -> None:
    keys = key_set(json.dumps({"keys": [RSA.jwk(alg="RS512")]}).encode())
    expected = Expected(RSA.name, frozenset({"toolgate"}), frozenset({"RS256", "RS512"}))
    assert refused(RSA.token(NOW), keys, expected).unknown_key
    p384 = Issuer(algorithm="ES384")
    assert not any(key.suits("ES256") for key in key_set(p384.keys()))


def test_a_signature_by_another_key_of_the_same_name_is_refused() -> None:
    assert "signature" in str(refused(Issuer().token(NOW)))


def test_keys_in_the_header_of_a_token_are_not_looked_at() -> None:
    other = Issuer(ident="evil")
    error = refused(other.token(NOW, headers={"jwk": other.jwk(), "jku": "http://127.0.0.1:1/keys"}))
    assert error.unknown_key


def test_a_token_without_kid_needs_a_set_in_which_only_one_key_suits() -> None:
    token = ISSUER.token(NOW, headers={"kid": None})
    assert verify(token, key_set(ISSUER.keys(RSA)), EXPECTED, NOW)
    error = refused(token, key_set(ISSUER.keys(Issuer(ident="k2"))))
    assert "kid" in str(error)
    assert not error.unknown_key


@pytest.mark.parametrize("headers", [{"crit": ["b64"], "b64": False}, {"crit": ["exp"]}, {"typ": "logout+jwt"}])
def test_headers_that_ask_for_more_or_something_else_are_refused(headers: dict) -> None:
    _, claims, _ = ISSUER.token(NOW).split(".")
    signed = f"{part({'alg': 'ES256', 'kid': 'k1', **headers})}.{claims}"
    from jwt.algorithms import ECAlgorithm

    signature = ECAlgorithm(ECAlgorithm.SHA256).sign(signed.encode(), ISSUER.private)
    refused(f"{signed}.{part(signature)}")


def test_sets_without_a_usable_key_are_refused() -> None:
    small = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)
    private = RSAAlgorithm.to_jwk(RSA.private, as_dict=True)
    secret = {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "k1"}
    unusable = [[small], [private], [secret], [ISSUER.jwk(use="enc")], [ISSUER.jwk(kid=1)], [ISSUER.jwk(x="!")], [1]]
    for keys in unusable:
        with pytest.raises(ValueError):
            key_set(json.dumps({"keys": keys}).encode())
    for data in (b"", b"[]", b"{}", b'{"keys": 1}', b"[" * 100_000):
        with pytest.raises(ValueError):
            key_set(data)
    assert len(key_set(json.dumps({"keys": [secret, ISSUER.jwk(), small]}).encode())) == 1


@given(st.text(max_size=80) | st.from_regex(r"[A-Za-z0-9_=-]{0,40}\.[A-Za-z0-9_=-]{0,40}\.[A-Za-z0-9_=-]{0,40}"))
def test_whatever_is_no_token_is_refused_and_nothing_else_happens(token: str) -> None:
    refused(token)
    assert isinstance(claimed(token), dict)


@given(st.data())
def test_a_token_with_one_character_changed_is_refused(data: st.DataObject) -> None:
    """Trailing bits of base64 excepted, which PyJWT passes over: the bytes are the same then."""
    token = ISSUER.token(NOW)
    at = data.draw(st.integers(0, token.rindex(".") - 2))
    changed = data.draw(st.sampled_from("AbZ09-_").filter(lambda one: one != token[at]))
    forged = token[:at] + changed + token[at + 1 :]
    if [base64.urlsafe_b64decode(each + "==") for each in forged.split(".")] != [
        base64.urlsafe_b64decode(each + "==") for each in token.split(".")
    ]:
        refused(forged)


def test_long_ones_are_not_read() -> None:
    assert "longer" in str(refused("a" * (LONGEST + 1)))


def test_what_a_token_says_can_be_read_without_proof() -> None:
    assert claimed(ISSUER.token(NOW))["iss"] == ISSUER.name


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (b"", b'{"iss": "https://issuer.test", "iss": "https://evil.test"}'),
        (b"", b'{"sub": "a", "more": {"x": 1, "x": 2}}'),
        (b"", b'{"sub": "a", "more": NaN}'),
        (b"", b'{"sub": "a", "more": 9223372036854775808}'),
        (b"", b'{"sub": "a", "more": ' + b"9" * 400 + b"}"),
        (b"", b'{"sub": "a", "more": ' + b"[" * 5000 + b"]" * 5000 + b"}"),
        (b'{"alg": "ES256", "alg": "none", "kid": "k1"}', b"{}"),
        (b'{"alg": "none", "alg": "ES256", "kid": "k1"}', b"{}"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(header: bytes, payload: bytes) -> None:
    """Signed well, so that it is the text alone that is wrong."""
    head = part(header or {"alg": "ES256", "kid": "k1"})
    algorithm = ECAlgorithm(ECAlgorithm.SHA256)
    signature = algorithm.sign(f"{head}.{part(payload)}".encode(), ISSUER.private)
    assert "JSON" in str(refused(f"{head}.{part(payload)}.{part(signature)}"))


def test_a_token_around_a_token_is_refused() -> None:
    assert "cty" in str(refused(ISSUER.token(NOW, headers={"cty": "JWT"})))
