"""Replicas agree on one certificate, and the API server always believes what any of them serves."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.inject.certs import LASTS, RENEWED, expiry
from gateway.inject.keeper import Keeper
from gateway.inject.kube import Kube, KubeError
from gateway.inject.settings import SelfIssued
from gateway.trust.ask import Asker, Unavailable
from tests.e2e.harness.authority import Authority

from .cluster import SECRET, SECRET_PATH, SERVICE, WEBHOOK, WEBHOOK_PATH, Objects, Server

SELF = SelfIssued(secret=SECRET, service=SERVICE, webhook=WEBHOOK)
DAY = timedelta(days=1)


class Replica:
    """One injector's keeper, and what it serves."""

    def __init__(self, cluster: Cluster) -> None:
        self.serves = b""
        self._keeper = Keeper(cluster.objects, SELF, self._serve, lambda: cluster.now)  # type: ignore[arg-type]

    def _serve(self, certificate: bytes, key: bytes) -> None:
        self.serves = certificate

    async def look(self) -> None:
        await self._keeper.look()


class Cluster:
    """Replicas, the API server, and the time."""

    def __init__(self, replicas: int, random: Random | None = None) -> None:
        self.now = datetime(2026, 12, 1, tzinfo=UTC)
        self.objects = Objects((lambda: random.randrange(5)) if random else (lambda: 1))
        self.replicas = [Replica(self) for _ in range(replicas)]

    async def look(self) -> None:
        await asyncio.gather(*[replica.look() for replica in self.replicas])

    def believed(self, replica: Replica) -> bool:
        served = x509.load_pem_x509_certificate(replica.serves)
        for authority in x509.load_pem_x509_certificates(self.objects.bundle):
            if authority.subject == served.issuer:
                try:
                    served.verify_directly_issued_by(authority)
                except Exception:
                    continue
                return authority.not_valid_after_utc > self.now and served.not_valid_after_utc > self.now
        return False


async def test_replicas_that_start_at_once_serve_the_same() -> None:
    cluster = Cluster(5)
    await cluster.look()
    assert len({replica.serves for replica in cluster.replicas}) == 1
    assert all(map(cluster.believed, cluster.replicas))
    assert cluster.objects.written.count(f"create {'/'.join(SECRET_PATH.split('/')[:-1])}/{SECRET}") == 1


async def test_where_nothing_has_changed_nothing_is_written() -> None:
    cluster = Cluster(3)
    await cluster.look()
    before = len(cluster.objects.written)
    for _ in range(3):
        await cluster.look()
    assert len(cluster.objects.written) == before


async def test_a_new_authority_is_told_a_round_before_it_is_used() -> None:
    cluster = Cluster(2)
    await cluster.look()
    one, other = cluster.replicas
    old = one.serves
    cluster.now += RENEWED
    await one.look()
    assert one.serves == old, "the API server may not believe the new one yet"
    assert len(x509.load_pem_x509_certificates(cluster.objects.bundle)) == 2
    await one.look()
    assert one.serves != old
    assert other.serves == old
    assert cluster.believed(one)
    assert cluster.believed(other)
    await other.look()
    assert other.serves == one.serves
    cluster.now = expiry(old) + DAY
    await cluster.look()
    assert len(x509.load_pem_x509_certificates(cluster.objects.bundle)) == 1, "what is over is forgotten"


async def test_an_authority_that_somebody_takes_out_is_written_again() -> None:
    """As an installation does that knows only the chart's text."""
    cluster = Cluster(2)
    await cluster.look()
    bundle, serves = cluster.objects.bundle, cluster.replicas[0].serves
    for wiped in ("", b64encode(b"another").decode()):
        cluster.objects.kept[WEBHOOK_PATH]["webhooks"][1]["clientConfig"]["caBundle"] = wiped
        await cluster.replicas[1].look()
        assert cluster.objects.bundle == bundle
    assert cluster.replicas[1].serves == serves


@pytest.mark.parametrize("data", [None, {}, {"tls.crt": "!"}, {"tls.crt": "AAAA", "tls.key": "AAAA", "ca.crt": "AAAA"}])
async def test_a_secret_with_something_else_in_it_is_filled(data: dict[str, str] | None) -> None:
    cluster = Cluster(2)
    held = {
        "metadata": {"name": SECRET, "labels": {"a": "b"}},
        "type": "Opaque",
        "data": data and {**data, "own": "eA=="},
    }
    cluster.objects.kept[SECRET_PATH] = held
    await cluster.look()
    assert all(map(cluster.believed, cluster.replicas))
    kept = cluster.objects.kept[SECRET_PATH]
    assert (kept["metadata"]["labels"], kept["type"]) == ({"a": "b"}, "Opaque")
    assert ("own" in kept["data"]) is bool(data)


async def test_a_secret_that_is_deleted_is_made_again_while_what_is_served_stays_believed() -> None:
    cluster = Cluster(2)
    await cluster.look()
    del cluster.objects.kept[SECRET_PATH]
    await cluster.replicas[0].look()
    assert all(map(cluster.believed, cluster.replicas))
    await cluster.look()
    await cluster.look()
    assert len({replica.serves for replica in cluster.replicas}) == 1


async def test_a_webhook_that_is_not_there_or_somebody_elses_is_told() -> None:
    cluster = Cluster(1)
    cluster.objects.kept[WEBHOOK_PATH]["webhooks"].pop()
    with pytest.raises(KubeError, match="no webhook of toolgate-toolgate is asked of service toolgate/toolgate-inj"):
        await cluster.look()
    del cluster.objects.kept[WEBHOOK_PATH]
    with pytest.raises(KubeError, match="there is no webhook to serve"):
        await cluster.look()
    assert cluster.replicas[0].serves == b""


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_whatever_the_order_the_api_server_believes_what_is_served(data: st.DataObject) -> None:
    """Replicas look at any time, also at once, for weeks not at all, and begin anew."""

    async def play() -> None:
        cluster = Cluster(3, data.draw(st.randoms(use_true_random=False)))
        await cluster.look()
        seen = dict.fromkeys(range(3), cluster.now)
        for _ in range(data.draw(st.integers(1, 8))):
            cluster.now += data.draw(st.sampled_from([DAY / 24, DAY * 10, DAY * 25]))
            looking = data.draw(st.sets(st.integers(0, 2), min_size=1))
            for number in data.draw(st.sets(st.sampled_from(sorted(looking)))):
                cluster.replicas[number] = Replica(cluster)
            await asyncio.gather(*[cluster.replicas[number].look() for number in looking])
            seen |= dict.fromkeys(looking, cluster.now)
            for number, replica in enumerate(cluster.replicas):
                if cluster.now - seen[number] < LASTS - RENEWED - DAY:
                    assert cluster.believed(replica), f"replica {number}"

    asyncio.run(play())


@pytest.mark.parametrize("known", [True, False])
async def test_a_clusters_authority_need_not_be_as_python_3_13_likes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """Those of EKS have no key identifiers. An authority that is not known is refused all the same."""
    usual = ssl.create_default_context

    def strict(*given: Any, **more: Any) -> ssl.SSLContext:
        context = usual(*given, **more)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    server = Server(tmp_path, Objects())
    environment = await server.start()
    authorities = server.account / "ca.crt"
    if not known:
        authorities.write_bytes(Authority(tmp_path, "another").file.read_bytes())
    kube, asker = Kube(server.account, environment), Asker(str(authorities))
    url = f"https://{environment['KUBERNETES_SERVICE_HOST']}:{environment['KUBERNETES_SERVICE_PORT']}{WEBHOOK_PATH}"
    asking = kube.get(WEBHOOK_PATH), asker.ask(url, fields={"Authorization": "Bearer token-of-the-injector"})
    try:
        for answer in await asyncio.gather(*asking, return_exceptions=True):
            refused = isinstance(answer, KubeError | Unavailable) and "CERTIFICATE_VERIFY_FAILED" in str(answer)
            assert refused is not known, answer
    finally:
        await kube.close()
        await asker.close()
        await server.close()


async def test_it_is_asked_over_tls_with_the_token_of_now(tmp_path: Path) -> None:
    server = Server(tmp_path, Objects())
    kube = Kube(server.account, await server.start())
    served: list[bytes] = []
    try:
        keeper = Keeper(kube, SELF, lambda certificate, key: served.append(certificate), lambda: datetime.now(UTC))
        await keeper.look()
        await keeper.look()
        assert len(served) == 1
        assert server.objects.written == [f"create {SECRET_PATH}", f"patch {WEBHOOK_PATH}"]
        (server.account / "token").write_text("old")
        with pytest.raises(KubeError, match="401: Unauthorized"):
            await keeper.look()
        (server.account / "token").write_text("token-of-the-injector")
        await keeper.look()
        (server.account / "token").unlink()
        with pytest.raises(KubeError, match="is a service-account token mounted"):
            await keeper.look()
    finally:
        await kube.close()
        await server.close()
    (server.account / "token").write_text("token-of-the-injector")
    with pytest.raises(KubeError, match="no answer"):
        await keeper.look()
    await kube.close()
