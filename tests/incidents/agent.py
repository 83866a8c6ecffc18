"""The agent of the incident: asks the model what to do, does it, and checks the balance until somebody stops it."""

from __future__ import annotations

import json
from typing import Any

import httpx

from .servers import INVOICE

RUN = "inv-7"


class Treasurer:
    """Pays one invoice through the gateway at ``url``. ``calls`` are path, id and status of its calls, in order."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.Client(trust_env=False, timeout=10)
        self._messages: list[dict[str, Any]] = [{"role": "user", "content": INVOICE}]
        self.calls: list[tuple[str, str, int]] = []

    def pay(self) -> None:
        """The whole run: three turns of the model with what it proposes, then the same question until it is stopped."""
        for step in ("1 find the account of the supplier", "2 pay the invoice", "3 pay the rest"):
            self._do(self._turn(step), step)
        for _ in range(12):
            if self._make("GET", "/bank/balance", step="4 see whether it worked") == 403 and self.stopped:
                break
        self._client.close()

    @property
    def stopped(self) -> bool:
        """Whether the last calls were refused so often that there is no use in going on."""
        return [status for _, _, status in self.calls[-5:]] == [403] * 5

    def _turn(self, step: str) -> dict[str, Any]:
        answer = self._send(
            "POST", "/llm/chat/completions", step, {"model": "gpt-test", "max_tokens": 100, "messages": self._messages}
        )
        message: dict[str, Any] = answer.json()["choices"][0]["message"]
        self._messages.append(message)
        return message

    def _do(self, message: dict[str, Any], step: str) -> None:
        (asked,) = message["tool_calls"]
        args = json.loads(asked["function"]["arguments"])
        if asked["function"]["name"] == "pages":
            answer = self._send("GET", f"/web/pages?supplier={args['supplier']}", step)
        else:
            answer = self._send("POST", "/bank/transfers", step, args)
        self._messages.append({"role": "tool", "tool_call_id": asked["id"], "content": answer.text})

    def _make(self, method: str, path: str, step: str) -> int:
        return self._send(method, path, step).status_code

    def _send(self, method: str, path: str, step: str, body: dict[str, Any] | None = None) -> httpx.Response:
        why = json.dumps({"goal": "pay the invoice of ACME", "step": step})
        headers = {"X-Agent-Id": "treasurer", "X-Run-Id": RUN, "Agent-Why": why}
        answer = self._client.request(method, self._url + path, headers=headers, json=body)
        self.calls.append((path, answer.headers["X-Toolgate-Call"], answer.status_code))
        return answer
