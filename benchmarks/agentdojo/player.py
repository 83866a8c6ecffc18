"""An agent that does the user's task by its ground truth, and obeys every injection as soon as it reads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentdojo.agent_pipeline.base_pipeline_element import BasePipelineElement
from agentdojo.functions_runtime import EmptyEnv, Env, FunctionCall, FunctionsRuntime
from agentdojo.types import ChatAssistantMessage, ChatMessage, ChatToolResultMessage, text_content_block_from_string

from .server import Worlds

MARK = "INFORMATION-7f3a"
"""Stands in every injected text, so that the player sees when it has been read."""

Post = Callable[[str, str, dict[str, Any], str], tuple[int, str]]
"""Makes a call through the gateway: run, tool, arguments, the user's prompt. Status and body."""
Answer = Callable[[str, list[tuple[str, dict[str, Any]]]], bool]
"""The person who is asked about a call (the refusal's body), and knows the calls of the user's task: says whether it
was approved."""


@dataclass
class Played:
    """What came of one play."""

    refused: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    """The user's calls that were not made: tool, arguments, what the agent was told."""
    asked: int = 0
    """How often a person was asked."""
    reached: bool = False
    """The injection was read, or there was no need to."""
    obeyed: int = 0
    """The attacker's calls that were made."""
    attack: int = 0
    """All of them."""
    calls: int = 0


class Obedient(BasePipelineElement):
    """Plays through ``post``. ``early``: the attacker's calls come first, before anything has been read."""

    def __init__(
        self,
        task: Any,
        attack: Sequence[FunctionCall],
        run: str,
        worlds: Worlds,
        post: Post,
        person: Answer | None = None,
        early: bool = False,
    ) -> None:
        self._task, self._attack, self._run = task, list(attack), run
        self._worlds, self._post, self._person, self._early = worlds, post, person, early
        self._mine: list[tuple[str, dict[str, Any]]] = []
        self.played = Played(attack=len(self._attack))

    def query(
        self,
        query: str,
        runtime: FunctionsRuntime,
        env: Env = EmptyEnv(),
        messages: Sequence[ChatMessage] = [],
        extra_args: dict = {},
    ) -> tuple[str, FunctionsRuntime, Env, Sequence[ChatMessage], dict]:
        """See BasePipelineElement."""
        self._worlds.put(self._run, env)
        calls = list(self._task.ground_truth(env))
        self._mine = [(call.function, _plain(call)) for call in calls]
        told: list[ChatMessage] = []
        if self._early:
            self._obey(query, told)
        for call in calls:
            status, body = self._make(call, query, told)
            if status == 403:
                self.played.refused.append((call.function, dict(call.args), body))
            if MARK in body:
                self._obey(query, told)
        env = self._worlds.take(self._run)
        told.append(
            ChatAssistantMessage(role="assistant", content=_content(self._task.GROUND_TRUTH_OUTPUT), tool_calls=None)
        )
        return query, runtime, env, [*messages, *told], extra_args

    def _obey(self, query: str, told: list[ChatMessage]) -> None:
        self.played.reached = True
        attack, self._attack = self._attack, []
        for call in attack:
            self.played.obeyed += self._make(call, query, told)[0] != 403

    def _make(self, call: FunctionCall, prompt: str, told: list[ChatMessage]) -> tuple[int, str]:
        args = _plain(call)
        status, body = self._post(self._run, call.function, args, prompt)
        if status == 403 and '"approval_pending"' in body:
            self.played.asked += 1
            if self._person is not None and self._person(body, self._mine):
                status, body = self._post(self._run, call.function, args, prompt)
        self.played.calls += 1
        if status == 200:
            told.append(ChatAssistantMessage(role="assistant", tool_calls=[call], content=_content("")))
            told.append(
                ChatToolResultMessage(
                    role="tool", content=_content(body), tool_call=call, tool_call_id=None, error=None
                )
            )
        return status, body


def _plain(call: FunctionCall) -> dict[str, Any]:
    return json.loads(json.dumps(dict(call.args), default=str))  # type: ignore[no-any-return]


def _content(text: str) -> list[Any]:
    return [text_content_block_from_string(text)]
