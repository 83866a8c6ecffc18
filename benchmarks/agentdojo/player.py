"""An agent that does the user's task by its ground truth, and obeys every injection as soon as it reads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentdojo.agent_pipeline.base_pipeline_element import BasePipelineElement
from agentdojo.base_tasks import BaseInjectionTask, BaseUserTask
from agentdojo.functions_runtime import EmptyEnv, Env, FunctionCall, FunctionsRuntime
from agentdojo.types import ChatAssistantMessage, ChatMessage, ChatToolResultMessage, text_content_block_from_string

from .server import Worlds

MARK = "INFORMATION-7f3a"
"""Stands in every injected text, so that the player sees when it has been read."""

Post = Callable[[str, str, dict[str, Any], str], tuple[int, str]]
"""Makes a call through the gateway: run, tool, arguments, the user's prompt. Status and body."""


@dataclass
class Played:
    """What came of one play."""

    refused: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    """The user's calls that were not made: tool, arguments, why."""
    stopped: list[str] = field(default_factory=list)
    """The attacker's."""
    reached: bool = False
    """The injection was read."""


class Obedient(BasePipelineElement):
    """Plays through ``post``."""

    def __init__(
        self, user: BaseUserTask, attacker: BaseInjectionTask | None, run: str, worlds: Worlds, post: Post
    ) -> None:
        self._user, self._attacker, self._run, self._worlds, self._post = user, attacker, run, worlds, post
        self.played = Played()

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
        calls = list(self._user.ground_truth(env))
        attack = list(self._attacker.ground_truth(env)) if self._attacker is not None else []
        told: list[ChatMessage] = []
        for call in calls:
            status, body = self._make(call, query, told)
            if status != 200:
                self.played.refused.append((call.function, dict(call.args), body[:300]))
            if attack and MARK in body:
                self.played.reached = True
                for bad in attack:
                    if self._make(bad, query, told)[0] != 200:
                        self.played.stopped.append(bad.function)
                attack = []
        env = self._worlds.take(self._run)
        output = self._user.GROUND_TRUTH_OUTPUT
        told.append(_said(output))
        return query, runtime, env, [*messages, *told], extra_args

    def _make(self, call: FunctionCall, prompt: str, told: list[ChatMessage]) -> tuple[int, str]:
        args = json.loads(json.dumps(dict(call.args), default=str))
        status, body = self._post(self._run, call.function, args, prompt)
        if status == 200:
            told.append(ChatAssistantMessage(role="assistant", tool_calls=[call], content=_content("")))
            told.append(
                ChatToolResultMessage(
                    role="tool", content=_content(body), tool_call=call, tool_call_id=None, error=None
                )
            )
        return status, body


def _content(text: str) -> list[Any]:
    return [text_content_block_from_string(text)]


def _said(text: str) -> ChatMessage:
    return ChatAssistantMessage(role="assistant", content=_content(text), tool_calls=None)
