"""Authorities of one's own are believed by every Python, and nobody else is."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from gateway.config.authorities import believing
from gateway.config.schema_identify import ListenTls
from gateway.wire.tls import ListeningTls
from tests.e2e.harness.authority import Authority

ADDRESS = "192.0.2.1"


@pytest.fixture(autouse=True)
def _python_3_13(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each Python is as strict as that one; the authorities of these tests have no key identifiers."""
    usual = ssl.create_default_context

    def strict(*given: Any, **more: Any) -> ssl.SSLContext:
        context = usual(*given, **more)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)


def shake_hands(asking: ssl.SSLContext, answering: ssl.SSLContext) -> None:
    """TLS in memory. Raises ssl.SSLError where one does not believe the other."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        asking.wrap_bio(back, there, server_hostname=ADDRESS),
        answering.wrap_bio(there, back, server_side=True),
    ]
    open_ends = set(ends)
    for _ in range(10):
        for end in [end for end in ends if end in open_ends]:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            open_ends.discard(end)
    assert not open_ends


def served(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("server", address=ADDRESS))
    return context


def test_it_is_believed_as_a_file_and_as_text(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    shake_hands(believing(file=authority.file), served(authority))
    shake_hands(believing(pem=authority.file.read_text()), served(authority))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(ssl.create_default_context(cafile=authority.file), served(authority))


def test_another_is_not(tmp_path: Path) -> None:
    authority, another = Authority(tmp_path), Authority(tmp_path, "another")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(believing(file=another.file), served(authority))
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.sign("other-name", address="192.0.2.2"))
        shake_hands(believing(file=authority.file), context)


def test_the_systems_are_held_to_all_of_it() -> None:
    assert believing().verify_flags & ssl.VERIFY_X509_STRICT


@pytest.mark.parametrize("text", ["", " \n", "no certificate"])
def test_a_file_without_one_does_not_mean_the_systems(text: str) -> None:
    with pytest.raises(ssl.SSLError):
        believing(pem=text)


@pytest.mark.parametrize("known", [True, False])
def test_agents_too_are_believed_by_the_authority_that_is_named(tmp_path: Path, known: bool) -> None:
    authority, another = Authority(tmp_path), Authority(tmp_path, "another")
    certificate, key = authority.sign("server", address=ADDRESS)
    config = {"cert_file": certificate, "key_file": key, "client_ca_file": str((authority if known else another).file)}
    answering = ListeningTls(ListenTls.model_validate(config)).context
    asking = believing(file=authority.file)
    asking.load_cert_chain(*authority.sign("agent", uris=["spiffe://example.org/agent"]))
    if known:
        shake_hands(asking, answering)
    else:
        with pytest.raises(ssl.SSLError):
            shake_hands(asking, answering)
