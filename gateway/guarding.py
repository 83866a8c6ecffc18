"""Guardrails on the way of a call: who is asked what of it, and of its result; see ``decide/guardrails.py``."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Mapping
from typing import Any

from msgspec import structs

from gateway.decide.results import UNCHECKED, ResultJudge
from gateway.effects import Await, Effect
from gateway.errors import Refused, ToolgateError, UpstreamError, refusal_of
from gateway.means import Means
from gateway.model import Call, Reason
from gateway.policy.guardrails import VARIABLE
from gateway.story import Story
from gateway.street import Street
from gateway.understand.guarded import Guarded


def guarded(means: Means, street: Street, call: Call, story: Story) -> Generator[Effect, Any, Call]:
    """The call with what guardrails say of it, where its rules read that. They cost time and money, so nobody is asked
    about a call that is refused whatever they say.

    Raises:
        Refused: one that must say something of it does not, or the call was ended meanwhile.
    """
    guards = street.guards
    if guards is None:
        return call
    if any(guards.of_call(part) for part in call.parts):
        raise Refused(
            Reason.BAD_REQUEST, 400, "guardrails are asked about calls one by one", "send the calls one by one"
        )
    names = guards.of_call(call)
    if not names or not street.admits(call):
        return call
    said = yield from means.wait(story, _asking(means, names, call))
    told = story.call = structs.replace(call, facts={**call.facts, VARIABLE: said})
    return told


def guard_result(means: Means, body: bytes, answer: Guarded, judge: ResultJudge) -> Generator[Effect, Any, None]:
    """Ask about a result. It is withheld where one must say something of it and does not, or where the call was ended
    meanwhile.

    Raises:
        UpstreamError: asking broke, so that nobody knows what the result holds.
    """
    try:
        judge.guards = yield Await(_asking(means, answer.names, judge.call, body.decode("utf-8", "replace")))
    except Refused as refused:
        answer.withheld = structs.replace(refusal_of(refused), advice=UNCHECKED, retryable=False)
    except ToolgateError:
        raise
    except Exception as error:
        what = f"guardrails could not be asked about the answer: {type(error).__name__}"
        raise UpstreamError(Reason.RESULT_UNREADABLE, 502, what) from error


def _asking(
    means: Means, names: Mapping[str, bool], call: Call, result: str | None = None
) -> Awaitable[Mapping[str, Mapping[str, Any]]]:
    if means.guards is None:
        raise TypeError("guardrails that nobody asks")
    about = {"agent": call.agent.id, "run": call.run.id, "tool": call.tool.name, "operation": call.operation}
    told = {**about, "args": dict(call.args), "messages": call.facts.get("llm.messages")}
    return means.guards.ask(names, told if result is None else {**told, "result": result})


__all__ = ["guard_result", "guarded"]
