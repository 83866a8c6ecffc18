"""What an agent is told of others' changes, in HTTP and in MCP."""

from __future__ import annotations

import orjson
from msgspec import structs

from gateway.model import Reason, Refusal
from gateway.understand import http, mcp_refusals
from tests.builders import request

CHANGE = {"memory": "notes", "key": "plan", "changed_by": "bob", "difference": "-eggs\n+twelve eggs"}
STALE = Refusal(
    Reason.MEMORY_STALE, 412, "notes/plan has been changed by bob", advice="read it again", changes=(CHANGE,)
)
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "write_file", "arguments": {}}}
SHOWN = "What has changed in notes/plan (- before, + now):\n-eggs\n+twelve eggs"


def test_http_tells_programs_and_models():
    _, body = http.phrase(STALE, "c1")
    problem = orjson.loads(body)
    assert problem["changes"] == [CHANGE]
    assert problem["title"] == "Precondition Failed"
    assert problem["message"] == f"notes/plan has been changed by bob; read it again\n{SHOWN}\n"


def test_mcp_tells_the_model_in_the_result():
    asked = request("POST", "/notes/mcp", [("Content-Type", "application/json")])
    told = mcp_refusals.phrase(STALE, "c1", asked, orjson.dumps(CALL), results=True)
    result = orjson.loads(told.body)["result"]
    assert result["isError"] is True
    text = result["content"][0]["text"]
    assert text == f"Refused: notes/plan has been changed by bob. Read it again.\n{SHOWN}\n"
    assert result["_meta"]["toolgate/refusal"]["changes"] == [CHANGE]


def test_what_is_not_known_is_not_told():
    unknown = structs.replace(STALE, changes=({**CHANGE, "difference": None, "clash": "both have changed it"},))
    assert orjson.loads(http.phrase(unknown, "c1")[1])["message"].endswith("in notes/plan:\nboth have changed it\n")
    other = structs.replace(STALE, changes=())
    problem = orjson.loads(http.phrase(other, "c1")[1])
    assert "changes" not in problem
    assert problem["message"] == "notes/plan has been changed by bob; read it again"
