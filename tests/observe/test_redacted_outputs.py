"""What was masked in a record is masked in everything that is made of it, and in the gateway's own log."""

from __future__ import annotations

import json
import logging

from msgspec import structs

from gateway.model import NO_FACTS, Outcome, Permit
from gateway.observe.audit import TraceLog
from gateway.observe.chain.verify import prove, verify
from gateway.observe.chain.writer import AuditLog
from gateway.observe.lines import usual_line
from gateway.observe.logs import RedactedFormatter
from gateway.observe.redact import Redactor
from gateway.observe.store.thread import TraceStore
from tests.builders import call, request

from .support import refusal, trace, until

TOKEN = "held-secret-12345"


def holding() -> Redactor:
    redactor = Redactor()
    redactor.adopt([("bank", f"Bearer {TOKEN}")])
    return redactor


def usual():
    """A call of which nothing is to be said, with a credential in its path and operation."""
    asked = structs.replace(call(), operation=f"GET /{TOKEN}")
    made = trace(Permit(asked, "payers"), Outcome(200, 200, received=1, sent=2, first_byte=0.01))
    return structs.replace(
        made, facts=NO_FACTS, amendments=(), operation=f"GET /{TOKEN}", request=request("GET", f"/bank/{TOKEN}")
    )


async def test_a_usual_line_is_masked_in_the_log_the_store_the_audit_and_for_followers(tmp_path):
    assert TOKEN.encode() in (usual_line(usual(), "t") or b"")
    followed: list[bytes] = []
    audit = AuditLog(str(tmp_path / "audit"))
    store = TraceStore(str(tmp_path / "traces.db"), 3600.0, 1 << 30)
    log = TraceLog(
        str(tmp_path / "trace.jsonl"),
        store=store, redactor=holding(), audit=audit, followers=(followed.extend,),
    )  # fmt: skip
    for made in (usual(), structs.replace(usual(), id="c2", decision=refusal())):
        log.record(made)
    assert log.close() == 0
    files = [path for path in (*tmp_path.iterdir(), *(tmp_path / "audit").iterdir()) if path.is_file()]
    assert {"trace.jsonl", "traces.db", "audit-00000001.jsonl"} <= {path.name for path in files}
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]
    assert len(followed) == 2
    assert not [line for line in followed if TOKEN.encode() in line]
    assert json.loads(followed[0])["operation"] == "GET /[redacted:credential:bank]"
    assert verify(tmp_path / "audit").closed
    assert prove(tmp_path / "audit", [tmp_path / "trace.jsonl"]).proven == 2, "what is committed to is what was written"


async def test_calls_that_the_log_had_no_room_for_are_in_the_audit(tmp_path):
    audit = AuditLog(str(tmp_path / "audit"))
    log = TraceLog(str(tmp_path / "trace.jsonl"), capacity=1, audit=audit)
    for number in range(3):
        log.record(structs.replace(usual(), id=f"c{number}"))
    log.close()
    assert log.dropped == 2
    lines = (tmp_path / "audit" / "audit-00000001.jsonl").read_bytes().splitlines()
    records = [json.loads(line)["record"] for line in lines]
    assert [one["call"] for one in records if one["kind"] == "call"] == ["c0", "c1", "c2"]


async def test_calls_wait_for_no_audit_but_are_refused_without_one(tmp_path):
    def full(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    audit = AuditLog(str(tmp_path / "audit"), write=full)
    log = TraceLog(str(tmp_path / "trace.jsonl"), audit=audit)
    until(lambda: bool(audit.error))
    assert not log.available
    assert log.close(0.2) == 0


def test_the_log_is_masked_tracebacks_and_arguments_too():
    try:
        raise ValueError(f"cannot send {TOKEN}")
    except ValueError as error:
        found = logging.LogRecord(
            "toolgate", logging.ERROR, "f", 1, "asked for %s", (TOKEN,), (type(error), error, None)
        )
    told = RedactedFormatter(holding()).format(found)
    assert TOKEN not in told
    assert "asked for [redacted:credential:bank]" in told
    assert "ValueError: cannot send [redacted:credential:bank]" in told
