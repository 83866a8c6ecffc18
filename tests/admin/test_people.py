"""Who is at the admin side, by which token or session, and what they may do there."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time

import pytest
from aiohttp import web

from gateway.admin.gate import PROOF
from gateway.admin.problems import Failure
from gateway.admin.sessions import COOKIE, MOST_ENDED, SECURE_COOKIE, Session, Sessions
from gateway.admin.throttle import PEER_BURST
from gateway.admin.tls import Certificate
from gateway.config.schema_admin import AdminTls
from tests.admin import certificates
from tests.admin.people import KEYS, admin_of, bearer, serving, users
from tests.tokens import Issuer

TOKEN = "0123456789abcdef-secret"
EVERYBODY = admin_of(token=TOKEN, users=users("ada", "bob", "eve"))


async def test_each_token_is_somebodys() -> None:
    async with serving(EVERYBODY) as side:
        assert await side.who(**bearer(TOKEN)) == ["admin", ["admin", "approver", "viewer"], "token"]
        assert await side.who(**bearer(KEYS["bob"])) == ["bob", ["approver", "payments"], "user"]
        for wrong in ({}, bearer(""), bearer("x"), {"Authorization": KEYS["bob"]}, {"Cookie": f"{COOKIE}=x"}):
            assert await side.who(**wrong) == 401


@pytest.mark.parametrize(
    ("name", "path", "status"),
    [
        ("eve", "/api/thing", 403),
        ("eve", "/api/approvals/7/decide", 403),
        ("bob", "/api/thing", 403),
        ("bob", "/api/approvals/7/decide", 200),
        ("bob", "/api/exemptions", 200),
        ("bob", "/api/approvalsmore", 403),
        ("bob", "/api/approvals/%2e%2e%2fthing/decide", 200),
        ("bob", "/api/nothing", 403),
        ("ada", "/api/thing", 200),
        ("ada", "/api/exemptions", 200),
    ],
)
async def test_roles_say_what_may_be_changed(name: str, path: str, status: int) -> None:
    """An encoded path is one id of an approval, never a way to another route."""
    async with serving(EVERYBODY) as side:
        assert await side.change(path, **bearer(KEYS[name])) == status


async def test_a_change_is_noted_as_of_whom_the_gateway_knows() -> None:
    async with serving(EVERYBODY) as side:
        await side.change(**bearer(KEYS["ada"]))
        assert side.noted == [("ada", "the thing")]


async def test_somebody_with_no_role_of_ours_may_not_even_look() -> None:
    admin = admin_of(users=[{**users("eve")[0], "roles": ["payments"]}])
    async with serving(admin) as side:
        assert await side.who(**bearer(KEYS["eve"])) == 403
        async with side.client.post("/login", data={"token": KEYS["eve"]}, allow_redirects=False) as response:
            assert response.status == 403
            assert "Set-Cookie" not in response.headers


async def test_a_session_is_somebodys_with_their_roles_until_they_log_out() -> None:
    async with serving(EVERYBODY) as side:
        cookie, key = await side.log_in(KEYS["bob"])
        assert await side.who(Cookie=cookie) == ["bob", ["approver", "payments"], "session (user)"]
        assert await side.change("/api/exemptions", Cookie=cookie) == 403
        assert await side.change("/api/exemptions", **{"Cookie": cookie, PROOF: key}) == 200
        assert await side.change("/api/thing", **{"Cookie": cookie, PROOF: key}) == 403
        other, _ = await side.log_in(KEYS["ada"])
        assert await side.change("/api/thing", **{"Cookie": other, PROOF: key}) == 403, "the key of another session"
        async with side.client.post("/logout", headers={"Cookie": cookie}, allow_redirects=False) as response:
            assert response.status == 303
        assert await side.who(Cookie=cookie) == 401, "also where somebody has kept the cookie"
        assert await side.who(Cookie=other) != 401
        assert [what for _, what in side.noted] == ["login", "the thing", "login", "logout"]
        assert {by for by, _ in side.noted} == {"bob", "ada"}


async def test_a_session_ends_with_its_user_or_their_token_and_has_the_roles_of_now() -> None:
    async with serving(EVERYBODY) as side:
        cookie, _ = await side.log_in(KEYS["bob"])
        master, _ = await side.log_in(TOKEN)
        less = {**users("bob")[0], "roles": ["viewer"]}
        side.gate.adopt(admin_of(token=TOKEN, users=[less]))
        assert await side.who(Cookie=cookie) == ["bob", ["viewer"], "session (user)"]
        assert await side.who(**bearer(KEYS["ada"])) == 401
        side.gate.adopt(admin_of(token=TOKEN, users=[{**less, "sha256": "a" * 64}]))
        assert await side.who(Cookie=cookie) == 401
        assert (await side.who(Cookie=master))[0] == "admin"
        side.gate.adopt(admin_of(token=TOKEN + "x", users=users("bob")))
        assert await side.who(Cookie=master) == 401
        assert await side.who(Cookie=cookie) == 401, "the key of all sessions was made from the token"


async def test_who_has_logged_out_stays_so_whatever_is_configured_then() -> None:
    async with serving(EVERYBODY) as side:
        cookie, _ = await side.log_in(KEYS["bob"])
        async with side.client.post("/logout", headers={"Cookie": cookie}, allow_redirects=False) as response:
            assert response.status == 303
        side.gate.adopt(admin_of(token=TOKEN, users=users("bob")))
        assert await side.who(Cookie=cookie) == 401
        assert (await side.who(Cookie=(await side.log_in(KEYS["bob"]))[0]))[0] == "bob"


async def test_sessions_outlive_another_token_where_they_have_a_key_of_their_own() -> None:
    key = "k" * 32
    async with serving(admin_of(token=TOKEN, session_key=key, users=users("bob"))) as side:
        cookie, _ = await side.log_in(KEYS["bob"])
        master, _ = await side.log_in(TOKEN)
        side.gate.adopt(admin_of(token=TOKEN + "x", session_key=key, users=users("bob")))
        assert (await side.who(Cookie=cookie))[0] == "bob"
        assert await side.who(Cookie=master) == 401, "that token is gone"


def test_a_session_is_under_its_mac_and_ends() -> None:
    now = [1_000.0]
    sessions = Sessions(b"key", 60, lambda: now[0])
    from gateway.admin.principals import Principal

    cookie = sessions.new(Principal("eve", frozenset({"viewer"}), "user"), "stamp")
    body, _, mac = cookie.partition(".")
    assert sessions.read(cookie) == Session(sessions.read(cookie).ident, "eve", ("viewer",), "user", "stamp", 1_060)
    assert sessions.key(sessions.read(cookie)) != mac
    for forged in ("", ".", body, f"{body}.", f"{body}.{mac[:-1]}", f".{mac}", f"{body}x.{mac}", "é.é", "a" * 9_000):
        assert sessions.read(forged) is None
    assert sessions.read(f"{body}.{sessions.mac('login', body)}") is None, "the MAC of something else"
    assert Sessions(b"other", 60, lambda: now[0]).read(cookie) is None
    now[0] = 1_060
    assert sessions.read(cookie) is None


def test_what_is_remembered_of_ended_sessions_is_bounded() -> None:
    now = [1_000.0]
    sessions = Sessions(b"key", 60, lambda: now[0])
    for number in range(MOST_ENDED + 10):
        sessions.end(Session(str(number), "a", (), "user", "", 1_060))
    assert len(sessions._ended) == MOST_ENDED
    now[0] = 1_061
    sessions.end(Session("last", "a", (), "user", "", 1_100))
    assert len(sessions._ended) == 1


async def test_failed_logins_are_noted_and_throttled_and_a_right_token_still_passes() -> None:
    async with serving(EVERYBODY) as side:
        statuses = [await side.who(**bearer(f"wrong-{number}")) for number in range(15)]
        assert statuses == [401] * int(PEER_BURST) + [429] * (15 - int(PEER_BURST))
        assert side.noted == [("unknown", "failed login")] * int(PEER_BURST), "what is not looked at is not noted"
        assert (await side.who(**bearer(KEYS["ada"])))[0] == "ada", "an agent on this machine locks nobody out"
        async with side.client.get("/api/who", headers=bearer("wrong")) as response:
            assert int(response.headers["Retry-After"]) >= 1
            assert (await response.json(content_type=None))["detail"] == "too many failed logins"
        async with side.client.post("/login", data={"token": KEYS["ada"]}, allow_redirects=False) as response:
            assert response.status == 429
            assert int(response.headers["Retry-After"]) >= 1
            assert "Set-Cookie" not in response.headers


async def test_many_failed_logins_at_once_are_no_way_around() -> None:
    async with serving(EVERYBODY) as side:
        statuses = await asyncio.gather(*[side.who(**bearer(f"wrong-{number}")) for number in range(60)])
        assert statuses.count(401) == PEER_BURST


async def test_requests_without_a_token_are_no_failed_logins() -> None:
    async with serving(EVERYBODY) as side:
        assert [await side.who() for _ in range(30)] == [401] * 30
        assert not side.noted


async def test_where_nobody_is_asked_there_is_no_login_and_people_are_whom_they_say() -> None:
    async with serving(admin_of()) as side:
        for method, path in (("GET", "/login"), ("POST", "/login"), ("GET", "/login/callback"), ("POST", "/logout")):
            async with side.client.request(method, path, allow_redirects=False) as response:
                assert response.status == 404
        assert await side.change(**{PROOF: "1"}) == 200
        assert side.noted == [("somebody else", "the thing")]


async def test_no_page_of_another_origin_logs_anybody_in() -> None:
    async with serving(EVERYBODY) as side:
        for foreign in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            async with side.client.post(
                "/login", data={"token": KEYS["eve"]}, headers=foreign, allow_redirects=False
            ) as response:
                assert response.status == 403
                assert "Set-Cookie" not in response.headers


# -- JSON Web Tokens ------------------------------------------------------------------------------------------------

ISSUER = Issuer()


def jwt_of(tmp_path, **settings) -> dict:
    (tmp_path / "keys.json").write_bytes(ISSUER.keys())
    return {
        "issuer": ISSUER.name,
        "audience": ["toolgate"],
        "jwks_file": str(tmp_path / "keys.json"),
        "roles": {"admin": ["sre"], "approver": ["finance"], "payments": ["finance"], "viewer": ["staff"]},
        **settings,
    }


async def test_a_signed_token_is_somebodys_with_the_roles_of_their_groups(tmp_path) -> None:
    async with serving(admin_of(users=users("eve"), jwt=jwt_of(tmp_path))) as side:
        token = ISSUER.token(time.time(), sub="carl", groups=["finance", "chess"])
        assert await side.who(**bearer(token)) == ["carl", ["approver", "payments"], "jwt"]
        assert await side.change("/api/exemptions", **bearer(token)) == 200
        assert side.noted == [("carl", "the thing")]
        cookie, _ = await side.log_in(token)
        assert (await side.who(Cookie=cookie))[0] == "carl"
        side.gate.adopt(admin_of(users=users("eve"), jwt=jwt_of(tmp_path, roles={"viewer": ["finance"]})))
        assert await side.who(Cookie=cookie) == 401, "roles are given by other rules now"
        assert (await side.who(**bearer(token)))[1] == ["viewer"]


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"groups": ["chess"]}, 403),
        ({"groups": None}, 403),
        ({"groups": "sre"}, 200),
        ({"groups": [["sre"], 1, None]}, 403),
        ({"sub": "eve"}, 403),
        ({"sub": "admin"}, 403),
        ({"sub": "operator"}, 403),
        ({"sub": "kubernetes:system:serviceaccount:a:b"}, 403),
        ({"sub": "payments/large"}, 403),
        ({"sub": "a\u202eb"}, 403),
        ({"sub": ""}, 403),
        ({"sub": None}, 403),
        ({"sub": "x" * 300}, 403),
        ({"exp": 1}, 401),
        ({"aud": "other"}, 401),
        ({"iss": "https://evil.test"}, 401),
    ],
)
async def test_tokens_of_others_and_names_of_others_are_refused(tmp_path, claims: dict, status: int) -> None:
    async with serving(admin_of(users=users("eve"), jwt=jwt_of(tmp_path))) as side:
        found = await side.who(**bearer(ISSUER.token(time.time(), **{"sub": "carl", "groups": ["sre"], **claims})))
        assert (found if isinstance(found, int) else 200) == status


async def test_an_email_must_be_verified_and_roles_may_be_deep(tmp_path) -> None:
    claims = {"name": "email", "roles": "realm_access.roles"}
    async with serving(admin_of(jwt=jwt_of(tmp_path, claims=claims, roles={"viewer": ["*"]}))) as side:
        good = {"email": "carl@x.test", "realm_access": {"roles": ["any"]}}
        assert (await side.who(**bearer(ISSUER.token(time.time(), **good))))[0] == "carl@x.test"
        assert await side.who(**bearer(ISSUER.token(time.time(), **good, email_verified=False))) == 403
        assert await side.who(**bearer(ISSUER.token(time.time(), **good, email_verified="false"))) == 403


async def test_where_an_issuer_is_away_its_people_stay_outside_and_others_come_in(tmp_path) -> None:
    settings = jwt_of(tmp_path, jwks_file=None, jwks_url="http://127.0.0.1:1/keys")
    async with serving(admin_of(users=users("eve"), jwt=settings)) as side:
        assert await side.who(**bearer(ISSUER.token(time.time(), groups=["sre"]))) == 503
        assert (await side.who(**bearer(KEYS["eve"])))[0] == "eve"


# -- Kubernetes ------------------------------------------------------------------------------------------------------


async def test_a_kubernetes_token_is_shown_to_the_api_server_and_what_is_none_is_not(tmp_path) -> None:
    asked = []

    async def review(request: web.Request) -> web.Response:
        asked.append(await request.json())
        spec = asked[-1]["spec"]
        user = {"username": "system:serviceaccount:ops:bot", "groups": ["system:serviceaccounts:ops"]}
        status = {"authenticated": True, "user": user, "audiences": spec["audiences"]}
        return web.json_response({"status": status}, status=201)

    app = web.Application()
    app.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", review)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    (tmp_path / "token").write_text("own")
    settings = {
        "url": f"http://127.0.0.1:{runner.addresses[0][1]}",
        "token_file": str(tmp_path / "token"),
        "roles": {"approver": ["system:serviceaccounts:ops"], "viewer": ["carl"]},
    }
    try:
        async with serving(admin_of(token=TOKEN, jwt=jwt_of(tmp_path), kubernetes=settings)) as side:
            token = Issuer("https://kubernetes.default.svc").token(time.time())
            found = ["kubernetes:system:serviceaccount:ops:bot", ["approver"], "kubernetes"]
            assert await side.who(**bearer(token)) == found
            assert await side.who(**bearer(TOKEN[:-1])) == 401, "a mistyped token of ours"
            assert await side.who(**bearer(ISSUER.token(time.time(), exp=1))) == 401, "one of the other issuer"
            assert [one["spec"]["token"] for one in asked] == [token]
    finally:
        await runner.cleanup()


# -- TLS -------------------------------------------------------------------------------------------------------------


async def test_over_tls_cookies_are_of_this_host_and_new_certificates_are_taken(tmp_path) -> None:
    def settings(folder) -> AdminTls:
        certificate, key = certificates.write(folder, folder.name)
        return AdminTls(cert_file=str(certificate), key_file=str(key))

    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    certificate = Certificate(settings(tmp_path / "first"))
    async with serving(EVERYBODY, tls=certificate.context) as side:
        async with side.client.post("/login", data={"token": KEYS["eve"]}, allow_redirects=False) as response:
            cookie = response.headers["Set-Cookie"]
        assert cookie.startswith(f"{SECURE_COOKIE}=")
        assert all(flag in cookie for flag in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"))
        assert "Domain" not in cookie
        value = cookie.partition(";")[0]
        assert (await side.who(Cookie=value))[0] == "eve"
        assert await side.who(Cookie=value.removeprefix("__Host-")) == 401, "a name that could be set without TLS"

        port = side.client._base_url.port

        async def shown() -> str:
            context = ssl._create_unverified_context()
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            writer.close()
            from cryptography import x509

            return x509.load_der_x509_certificate(der).subject.rfc4514_string()

        assert await shown() == "CN=first"
        certificate.renew(settings(tmp_path / "second"))
        assert await shown() == "CN=second"
        (tmp_path / "second" / "key.pem").write_text("no key")
        tls = AdminTls(cert_file=str(tmp_path / "second/cert.pem"), key_file=str(tmp_path / "second/key.pem"))
        with pytest.raises(OSError):
            certificate.renew(tls)
        assert await shown() == "CN=second"


async def test_behind_a_proxy_with_tls_the_browsers_origin_says_that_cookies_need_it() -> None:
    async with serving(EVERYBODY) as side:
        cookie, _ = await side.log_in(KEYS["eve"], Host="ops.example", Origin="https://ops.example")
        assert cookie.startswith(f"{SECURE_COOKIE}=")
        assert (await side.who(Cookie=cookie, Host="ops.example"))[0] == "eve"


def test_a_failure_says_when_to_come_again_in_whole_seconds() -> None:
    assert Failure(429, "no", retry_after=0.1).fields == {"Retry-After": "1"}


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"token=" + b"x" * 100_000, "application/x-www-form-urlencoded", 413),
        (b"token=\xff", "application/x-www-form-urlencoded", 400),
        (b"token=%ff", "application/x-www-form-urlencoded", 400),
        (b"token=a&token=b", "application/x-www-form-urlencoded", 400),
        (b"a=1&" * 100, "application/x-www-form-urlencoded", 400),
        (b"", "application/x-www-form-urlencoded", 401),
        (b"token=a", "application/x-www-form-urlencoded; charset=nope", 401),
        (b"--x\r\n", "multipart/form-data; boundary=x", 415),
        (b"{}", "application/json", 415),
    ],
)
async def test_what_is_no_form_of_a_login_is_refused_and_fails_nothing(body: bytes, kind: str, status: int) -> None:
    async with serving(EVERYBODY) as side:
        fields = {"Content-Type": kind}
        async with side.client.post("/login", data=body, headers=fields, allow_redirects=False) as response:
            assert response.status == status


HEADS = [
    *({"alg": each} for each in (None, ["ES256"], "none", "HS256", 7)),
    *({"alg": "ES256", "kid": each} for each in (7, None, "k1", "x" * 5_000)),
    {"alg": "ES256", "kid": "k1", "b64": False, "crit": ["b64"]},
    {"alg": "ES256", "kid": "k1", "typ": ["JWT"]},
]


async def test_tokens_that_were_made_to_break_what_reads_them_are_nobodys(tmp_path) -> None:
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    heads = [json.dumps(each).encode() for each in HEADS] + [b"[" * 2_000, b'{"a":' * 2_000, b"\xff", b"1", b"null"]
    named = f'{{"iss": "{ISSUER.name}", '.encode()
    claims = [
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 3_000,
        named + b'"exp": 1e400}',
        named + b'"exp": ' + b"9" * 5_000 + b"}",
    ]
    async with serving(admin_of(users=users("eve"), jwt=jwt_of(tmp_path))) as side:
        side.gate._throttle.take = lambda peer: None  # type: ignore[method-assign]
        for head in heads:
            for payload in claims:
                assert await side.who(**bearer(f"{part(head)}.{part(payload)}.{part(b'x' * 64)}")) in (400, 401)
