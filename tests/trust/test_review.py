"""What a Kubernetes API server says of tokens. The answers are those of a real one (1.36), shortened."""

from __future__ import annotations

import json

import pytest

from gateway.identify.tokens import LONGEST, BadToken
from gateway.trust.ask import Unavailable
from gateway.trust.review import KEPT, MOST_KEPT, Reviewer

AGENT = "system:serviceaccount:agents:agent-a"
GROUPS = ["system:serviceaccounts", "system:serviceaccounts:agents", "system:authenticated"]
YES = {"authenticated": True, "user": {"username": AGENT, "groups": GROUPS}, "audiences": ["toolgate"]}
GARBAGE = {"user": {}, "error": "invalid bearer token"}
ELSEWHERE = {
    "user": {},
    "error": '[invalid bearer token, token audiences ["https://kubernetes.default.svc"] is invalid for the target'
    ' audiences ["toolgate"]]',
}


class Server:
    """Answers each review with ``status``, and remembers what it was asked."""

    def __init__(self, folder) -> None:
        self.status: object = YES
        self.asked: list[tuple[str, dict, str]] = []
        self.now = 1_000.0
        self.token = folder / "token"
        self.token.write_text("own-token\n")
        self.reviewer = Reviewer("https://k8s.test/", str(self.token), ["toolgate"], self, lambda: self.now)  # type: ignore[arg-type]

    async def ask(self, url: str, *, body: bytes, fields: dict[str, str], accept: tuple[int, ...]) -> bytes:
        self.asked.append((url, json.loads(body), fields["Authorization"]))
        return json.dumps({"kind": "TokenReview", "status": self.status}).encode()


async def test_a_token_is_reviewed_for_its_audience(tmp_path) -> None:
    server = Server(tmp_path)
    found = await server.reviewer.reviewed("a.b.c")
    assert (found.username, list(found.groups)) == (AGENT, GROUPS)
    ((url, review, own),) = server.asked
    assert url == "https://k8s.test/apis/authentication.k8s.io/v1/tokenreviews"
    assert review["spec"] == {"token": "a.b.c", "audiences": ["toolgate"]}
    assert own == "Bearer own-token"


async def test_a_yes_is_kept_for_a_moment_and_a_no_is_not(tmp_path) -> None:
    server = Server(tmp_path)
    await server.reviewer.reviewed("a.b.c")
    server.status = GARBAGE
    await server.reviewer.reviewed("a.b.c")
    assert len(server.asked) == 1
    server.now += KEPT
    for number in range(3):
        with pytest.raises(BadToken):
            await server.reviewer.reviewed("a.b.c")
        assert len(server.asked) == 2 + number


async def test_the_gateways_own_token_is_read_anew_since_it_is_rotated(tmp_path) -> None:
    server = Server(tmp_path)
    await server.reviewer.reviewed("a.b.c")
    server.token.write_text("rotated")
    await server.reviewer.reviewed("d.e.f")
    assert server.asked[1][2] == "Bearer rotated"
    server.token.unlink()
    with pytest.raises(Unavailable):
        await server.reviewer.reviewed("g.h.i")


@pytest.mark.parametrize(
    "status",
    [
        GARBAGE,
        ELSEWHERE,
        {},
        [],
        {**YES, "authenticated": False},
        {**YES, "authenticated": "true"},
        {**YES, "audiences": []},
        {**YES, "audiences": ["https://kubernetes.default.svc"]},
        {key: value for key, value in YES.items() if key != "audiences"},
        {**YES, "user": {}},
        {**YES, "user": None},
    ],
)
async def test_everything_but_a_whole_yes_is_a_no(tmp_path, status: object) -> None:
    server = Server(tmp_path)
    server.status = status
    with pytest.raises(BadToken):
        await server.reviewer.reviewed("a.b.c")


async def test_what_is_kept_is_bounded_and_long_tokens_are_not_shown(tmp_path) -> None:
    server = Server(tmp_path)
    for number in range(MOST_KEPT + 50):
        await server.reviewer.reviewed(f"a.b.{number}")
    assert len(server.reviewer._kept) == MOST_KEPT
    with pytest.raises(BadToken):
        await server.reviewer.reviewed("a" * (LONGEST + 1))
    assert len(server.asked) == MOST_KEPT + 50
