"""What a person's verdict does: the one way to it, for the admin API, the command line and buttons in messages.

Who may give it is asked here, whichever way it comes. Of two verdicts at once the docket takes one, and raises
``Conflict`` for the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.approvals.docket import Docket
from gateway.approvals.edits import edit_of, payload_now
from gateway.approvals.endorsements import Endorsements
from gateway.approvals.exemptions import Exemption, Exemptions, Like
from gateway.approvals.permission import Who, why_not
from gateway.approvals.plain import NotPlain, check_plain
from gateway.approvals.states import Conflict, voted
from gateway.model import RESULT, Approval, ApprovalState, Vote
from gateway.policy.people import People
from gateway.policy.visible import visible

VERBS = ("approve", "deny", "edit", "answer", "endorse", "ask")
LONGEST_MESSAGE = 4000
"""Characters of what is said with a verdict."""
LONGEST_ANSWER = 32_768
"""Characters of an answer that a person gives in place of the tool's."""
MOST_EDITED = 262_144
"""Bytes of JSON of the arguments that a person puts in."""

_FOR_RESULTS = "approve, deny, answer in its place, or ask back"

Noted = Callable[[str, str, str, str], None]
"""Is told of each verdict: by whom, by which way it came, what it was, and what was said."""


class VerdictError(Exception):
    """A verdict that cannot be given. The text says why, for a person."""


class NotAllowed(VerdictError):  # noqa: N818 - a finding
    """This person may not decide on this."""


class NotThere(VerdictError):  # noqa: N818 - a finding
    """There is no such approval, or not any more."""


class BadVerdict(VerdictError):  # noqa: N818 - a finding
    """The verdict itself is not one: an unknown verb, arguments that are no JSON, nothing said where it must be."""


def _unnoted(by: str, via: str, what: str, said: str) -> None:
    """Nobody keeps an audit."""


class Verdicts:
    """Gives verdicts on the approvals of a docket."""

    def __init__(
        self,
        docket: Docket,
        people: People,
        exemptions: Exemptions,
        endorsements: Endorsements,
        noted: Noted = _unnoted,
    ) -> None:
        self._docket, self._people = docket, people
        self._exemptions, self._endorsements = exemptions, endorsements
        self._noted = noted

    def adopt(self, people: People) -> None:
        """Ask these from now on who may decide: the policies' engine is another."""
        self._people = people

    def why_not(self, approval: Approval, principal: Who) -> str:
        """Why this person may not decide on it now; empty where they may."""
        return why_not(approval, principal, self._people, self._docket.now())

    async def give(
        self,
        ident: str,
        principal: Who,
        verb: str,
        *,
        message: str = "",
        args: Mapping[str, Any] | None = None,
        answer: str = "",
        endorse: Sequence[str] = (),
        like: Like | None = None,
        seen: float = 0.0,
        shown: str | None = None,
    ) -> Approval:
        """Give a verdict, and return the approval as it stands after it. It is stored when this returns.

        ``message`` is what the model is told (deny, ask); ``args`` are all arguments in place of the call's (edit);
        ``answer`` the result in place of the tool's; ``endorse`` the paths of arguments (``args.to``) whose values may
        be used in this run, none for all that the rules read; ``like`` lets calls like this one pass from now on
        (approve, edit and endorse); ``seen`` the seconds for which this person had it before them; ``shown`` the edit
        that they had before them (``Vote.edit``, empty for the call's own arguments), where that is known.

        Raises:
            NotThere: there is no such approval.
            NotAllowed: this person may not decide on it.
            BadVerdict: the verdict cannot be given on this approval, or not with this.
            Conflict: it does not wait any more, or this person has approved already; the text says how it stands.
            StoreUnavailable: it cannot be stored; nobody has decided.
        """
        approval = self._docket.find(ident)
        if approval is None:
            raise NotThere(f"there is no approval {ident[:64]!r}, or not any more")
        if refusal := self.why_not(approval, principal):
            raise NotAllowed(refusal)
        _check(approval, verb, message, args, answer, endorse)
        if like is not None:
            if verb not in ("approve", "edit", "endorse"):
                raise BadVerdict(f"calls like this can only be let pass with an approval, not with {verb}")
            self._check_like(approval, principal, like)
        edit = await self._keep(approval, args) if args is not None else ""
        values = await self._values(approval, endorse) if verb == "endorse" else {}
        now = self._docket.now()
        said = answer if verb == "answer" else message
        vote = Vote(principal.id, verb, now, said, tuple(sorted(principal.roles)), max(0.0, seen), principal.via, edit)
        after = await self._docket.step(ident, lambda standing: voted(_as_shown(standing, shown), vote, now))
        which = f" {', '.join(values)}" if values else ""
        self._noted(principal.id, principal.via, f"{verb} {ident}{which} ({visible(_of(approval))})", said)
        if not approval.canary:
            if values:
                await self._endorsements.add(approval, principal, values)
            if like is not None:
                await self._exempt(approval, principal, like)
        return after

    async def exempt(self, ident: str, principal: Who, like: Like) -> Exemption:
        """Let calls like one that has been decided on pass from now on.

        Raises:
            NotThere, NotAllowed, BadVerdict, StoreUnavailable: as ``give``.
            Conflict: nobody has decided on it yet.
        """
        approval = self._docket.find(ident)
        if approval is None:
            raise NotThere(f"there is no approval {ident[:64]!r}, or not any more")
        if refusal := self.why_not(approval, principal):
            raise NotAllowed(refusal)
        if approval.state is ApprovalState.WAITING:
            raise Conflict("nobody has decided on it yet; say which calls are like it with the verdict")
        if approval.canary:
            raise BadVerdict("it was a question with a known answer: there are no calls like it")
        self._check_like(approval, principal, like)
        return await self._exempt(approval, principal, like)

    async def _exempt(self, approval: Approval, principal: Who, like: Like) -> Exemption:
        try:
            exemption = await self._exemptions.add_like(approval, principal, like)
        except ValueError as error:  # there have come to be too many since it was checked
            raise BadVerdict(f"no calls like it pass from now on: {error}") from None
        self._noted(
            principal.id, principal.via, f"exempt {exemption.id} ({like.scope}, {visible(_of(approval))})", like.when
        )
        return exemption

    def _check_like(self, approval: Approval, principal: Who, like: Like) -> None:
        if approval.about == RESULT:
            raise BadVerdict(f"results of other calls never pass because of this one: {_FOR_RESULTS}")
        if approval.terms.approvers > 1:
            raise NotAllowed(
                f"calls like this need {approval.terms.approvers} people, each of them: none can be exempt"
            )
        if refusal := why_not(approval, principal, self._people, approval.opened):
            raise NotAllowed(f"you decide here since others did not, and may exempt nothing: {refusal}")
        try:
            self._exemptions.check(approval, like)
        except ValueError as error:
            raise BadVerdict(str(error)) from None

    async def _keep(self, approval: Approval, args: Mapping[str, Any]) -> str:
        """Keep the arguments under a name of their own, so that what a vote stands for never changes."""
        try:
            check_plain(args, "args")
        except NotPlain as error:
            raise BadVerdict(str(error)) from None
        text = msgspec.json.encode(args)
        if len(text) > MOST_EDITED:
            raise BadVerdict(f"the arguments are {len(text)} bytes of JSON; at most {MOST_EDITED} can be kept")
        edit = hashlib.sha256(text).hexdigest()[:32]
        await self._docket.put_edit(approval.id, edit, text)
        return edit

    async def _values(self, approval: Approval, paths: Sequence[str]) -> Mapping[str, Any]:
        payload = await payload_now(self._docket, approval)
        try:
            return self._endorsements.values(approval, payload or b"{}", paths)
        except ValueError as error:
            raise BadVerdict(str(error)) from None


def _of(approval: Approval) -> str:
    return f"{approval.agent}: {approval.operation}".replace("\n", "\\n")


def _check(
    approval: Approval, verb: str, message: str, args: Mapping[str, Any] | None, answer: str, endorse: Sequence[str]
) -> None:
    """Raises BadVerdict where this is no verdict on this approval."""
    if verb not in VERBS:
        raise BadVerdict(f"no verdict is called {verb[:40]!r}; there are {', '.join(VERBS)}")
    given = {
        "edit": ("args", args is not None),
        "answer": ("answer", bool(answer)),
        "endorse": ("endorse", bool(endorse)),
    }
    for of, (name, there) in given.items():
        if there and verb != of:
            raise BadVerdict(f"{name} is given, and the verdict is {verb}, not {of}")
    if approval.about == RESULT and verb in ("edit", "endorse"):
        raise BadVerdict(
            f"this is about the result of a call that has been made: {verb} has no meaning; {_FOR_RESULTS}"
        )
    if len(message) > LONGEST_MESSAGE:
        raise BadVerdict(f"the message has {len(message)} characters; at most {LONGEST_MESSAGE} are passed on")
    if verb == "ask" and not message.strip():
        raise BadVerdict("to ask back, say what you ask: message is empty")
    if verb == "edit":
        _check_edit(approval, args)
    if verb == "answer":
        _check_answer(approval, answer)


def _check_edit(approval: Approval, args: Mapping[str, Any] | None) -> None:
    if not approval.editable:
        raise BadVerdict("the arguments of this call cannot be replaced; deny it, and say what would be right")
    if args is None:
        raise BadVerdict("to edit, give all arguments that the tool is to get: args is missing")


def _check_answer(approval: Approval, answer: str) -> None:
    if not approval.answerable:
        raise BadVerdict("this call cannot be answered by a person; deny it, and say what the model should know")
    if not answer.strip():
        raise BadVerdict("to answer, give what the agent is to get: answer is empty")
    if len(answer) > LONGEST_ANSWER:
        raise BadVerdict(f"the answer has {len(answer)} characters; at most {LONGEST_ANSWER} are passed on")


def _as_shown(standing: Approval, shown: str | None) -> Approval:
    """The approval, where its arguments are those that this person had before them.

    Raises:
        Conflict: somebody has put in others since.
    """
    if shown is not None and shown != edit_of(standing):
        raise Conflict("somebody has edited the arguments since you looked at them; look again")
    return standing


__all__ = ["VERBS", "BadVerdict", "Like", "NotAllowed", "NotThere", "VerdictError", "Verdicts", "Who", "edit_of"]
