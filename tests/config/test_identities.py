"""How agents are recognised: files that are named, and paths that hold wherever the process stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.load import attempt, load
from tests.admin import certificates
from tests.config.support import CONFIG, told, written
from tests.tokens import Issuer

TLS = "listen_tls: {cert_file: cert.pem, key_file: key.pem, client_ca_file: cert.pem}\n"
JWT = "identify: [{jwt: {issuer: https://a.test, audience: [toolgate], jwks_file: keys.json}}]\n"


def test_files_are_found_from_the_configurations_folder_and_watched(tmp_path: Path) -> None:
    certificates.write(tmp_path)
    (tmp_path / "keys.json").write_bytes(Issuer().keys())
    loaded = load(written(tmp_path, CONFIG + TLS + JWT))
    tls, jwt = loaded.config.listen_tls, loaded.config.identify[0].jwt
    assert tls is not None
    assert jwt is not None
    assert tls.client_ca_file == str(tmp_path / "cert.pem")
    assert jwt.jwks_file == str(tmp_path / "keys.json")
    assert {tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "keys.json"} <= loaded.files


def test_new_certificates_are_a_new_version_that_decides_as_the_old_one(tmp_path: Path) -> None:
    certificates.write(tmp_path)
    before = load(path := written(tmp_path, CONFIG + TLS))
    certificates.write(tmp_path, "new")
    after = load(path)
    assert before.fingerprint != after.fingerprint
    assert before.version == after.version


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (TLS.replace("key.pem", "none.pem"), "cannot read"),
        (TLS.replace("key.pem", "cert.pem"), "cannot be used"),
        (TLS.replace("client_ca_file: cert.pem", "client_ca_file: key.pem"), "no certificate that can be read"),
        (TLS.replace(", client_ca_file: cert.pem", ", require: true"), "no effect without client_ca_file"),
        (JWT, "cannot read"),
        (JWT.replace("jwks_file", "jwks_url: https://a.test/k, jwks_file"), "both given"),
    ],
)
def test_files_that_cannot_be_used_are_told(tmp_path: Path, text: str, why: str) -> None:
    certificates.write(tmp_path)
    assert any(why in one for one in told(written(tmp_path, CONFIG + text)))


def test_one_issuer_may_be_known_in_two_headers(tmp_path: Path) -> None:
    entry = "{jwt: {issuer: https://a.test, audience: [t]%s}}"
    identify = f"identify: [{entry % ''}, {entry % ', header: x-agent-token'}]\n"
    assert attempt(written(tmp_path, CONFIG + identify)).errors == []
