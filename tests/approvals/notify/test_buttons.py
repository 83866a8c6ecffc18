"""What buttons and links do: once for each person, on what was shown, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.approvals.notify.buttons import Buttons
from gateway.approvals.notify.links import BadLink, Link, Links
from gateway.approvals.permission import Who
from gateway.approvals.states import Conflict
from gateway.approvals.verdicts import NotAllowed, NotThere
from gateway.config.schema_approvals import Approvals
from gateway.model import Approval, ApprovalState, Terms
from gateway.stores.memory_state import MemoryBoard
from tests.approvals.bench import Room, petition, transfer

LINKS = Links(b"k" * 32)
CONFIG = Approvals.model_validate(
    {
        "url": "https://gate.example.org",
        "channels": {
            "ops": {
                "slack": {
                    "url": "https://hooks.slack.com/services/T/B/x",
                    "signing_secret": "s3cret",
                    "approvers": {"U1": "ada", "U2": "bob", "U3": {"id": "cleo", "roles": ["viewer"]}, "U4": "dora"},
                }
            },
            "teams": {"teams": {"url": "https://flow.example.org/x"}},
        },
    }
)


class Scene:
    def __init__(self, terms: Terms = Terms()) -> None:
        self.room, self.terms = Room(), terms
        self.buttons = Buttons(LINKS, self.room.bench.verdicts, self.room.docket, MemoryBoard(self.room.wall))
        self.buttons.adopt(CONFIG, {"dora": ("approver", "payments")})

    async def waiting(self) -> Approval:
        return await self.room.waiting(petition(transfer(), terms=self.terms))

    def token(self, of: Approval, verb: str = "approve", **changes: Any) -> str:
        said: dict[str, Any] = {"approval": of.id, "edit": "", "verb": verb, "channel": "ops", "recipient": ""}
        return LINKS.sign(Link(**{**said, "until": int(of.expires), **changes}))

    async def press(self, token: str, user: str = "U1", message: str = "") -> Approval:
        who = self.buttons.who("ops", user)
        assert who is not None
        return await self.buttons.press(token, who, message)


async def test_a_button_gives_its_verdict_by_the_persons_name_here() -> None:
    scene = Scene()
    after = await scene.press(scene.token(await scene.waiting()))
    assert after.state is ApprovalState.APPROVED
    assert [(vote.by, vote.verb, vote.via) for vote in after.votes] == [("ada", "approve", "ops")]
    assert scene.room.audit[-1][:2] == ("ada", "ops")


async def test_a_message_goes_with_a_denial_only() -> None:
    scene = Scene()
    denied = await scene.press(scene.token(await scene.waiting(), "deny"), message="no")
    assert (denied.state, denied.message) == (ApprovalState.DENIED, "no")
    approved = await scene.press(scene.token(await scene.waiting()), message="no")
    assert approved.votes[0].message == ""


async def test_two_people_press_the_same_button_and_one_cannot_press_twice() -> None:
    scene = Scene(Terms(approvers=2))
    token = scene.token(await scene.waiting())
    assert (await scene.press(token, "U1")).state is ApprovalState.WAITING
    with pytest.raises(BadLink, match="already"):
        await scene.press(token, "U1")
    assert (await scene.press(token, "U2")).state is ApprovalState.APPROVED


async def test_another_button_does_not_make_one_person_two() -> None:
    scene = Scene(Terms(approvers=2))
    approval = await scene.waiting()
    await scene.press(scene.token(approval), "U1")
    with pytest.raises(Conflict):
        await scene.press(scene.token(approval, until=int(approval.expires) - 1), "U1")


async def test_what_was_shown_is_not_what_stands_after_an_edit() -> None:
    scene = Scene(Terms(approvers=2))
    approval = await scene.waiting()
    await scene.room.give(approval.id, Who("cleo", frozenset({"approver"})), "edit", args={"amount": 1, "to": "b@c.de"})
    with pytest.raises(Conflict, match="edited"):
        await scene.press(scene.token(approval), "U1")


async def test_who_may_not_decide_may_not_by_a_button_either() -> None:
    scene = Scene(Terms(who='"payments" in approver.roles'))
    approval = await scene.waiting()
    for user in ("U1", "U3"):
        with pytest.raises(NotAllowed):
            await scene.press(scene.token(approval), user)
    assert (await scene.press(scene.token(approval), "U4")).state is ApprovalState.APPROVED


async def test_strangers_are_nobody() -> None:
    scene = Scene()
    assert scene.buttons.who("ops", "U-stranger") is None
    assert scene.buttons.who("ops", "") is None
    assert scene.buttons.who("teams", "U1") is None


async def test_a_link_is_void_once_its_time_channel_or_approval_is_over() -> None:
    scene = Scene()
    approval = await scene.waiting()
    token = scene.token(approval)
    with pytest.raises(BadLink, match="channel"):
        scene.buttons.read(scene.token(approval, channel="gone"))
    with pytest.raises(NotThere):
        await scene.press(scene.token(approval, approval="apr-other"))
    scene.buttons.adopt(Approvals(), {})
    with pytest.raises(BadLink):
        scene.buttons.read(token)
    scene.buttons.adopt(CONFIG, {})
    scene.room.wall.now = approval.expires
    with pytest.raises(BadLink, match="over"):
        await scene.press(token)
