"""``/approvals/ID``: one question to people. Whatever they need for an answer is on it, and so are the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web
from msgspec import Struct

from gateway.admin.principals import APPROVER, principal_of
from gateway.approvals.paths import MISSING, at_path, read_paths
from gateway.approvals.permission import Who
from gateway.approvals.verdicts import edit_of
from gateway.console.desk import Desk
from gateway.console.errors import Missing, Unshown
from gateway.console.inbox import PER_PAGE
from gateway.console.payload import Tree, leaves, tree_of
from gateway.console.render import PAGE_HEADERS
from gateway.console.stream import outcome_of
from gateway.console.suspects import Suspects
from gateway.errors import StoreUnavailable
from gateway.model import RESULT, Approval, ApprovalState
from gateway.observe.store.found import Filter
from gateway.policy.visible import visible

STEPS = 20
"""Newest calls of the run that the page has."""
MOST_COLUMNS = 8
"""Values in which alike calls differ that a table has columns for."""
LONGEST_CELL = 400
"""Characters of a value that such a table shows."""
MOST_ENDORSED = 24
"""Arguments that are offered to be endorsed."""


class Shown(Struct, frozen=True):
    """An approval with all that its page tells of it."""

    approval: Approval
    payload: Mapping[str, Any]
    tree: Tree | None
    """Of its arguments, or of a body that is JSON; None where it is neither."""
    edit: str
    """The edit that the tree shows; empty for the call's own arguments."""
    endorsable: list[tuple[str, Any, bool]]
    """Arguments that can be endorsed: path, value, and whether a rule read it."""
    cut: bool
    """The payload has not all of the body."""
    suspects: Suspects
    """Counts for all texts that the page marked."""
    barred: str
    """Why whoever looks may not decide."""
    connected: bool

    @property
    def waits(self) -> bool:
        """Whether a verdict can be given."""
        return self.approval.state is ApprovalState.WAITING

    @property
    def editable(self) -> bool:
        """Whether other arguments can be put in."""
        return self.approval.editable and isinstance(self.payload.get("args"), dict)

    @property
    def reads(self) -> bool:
        """Whether the call, by its method, changes nothing; not where a field may make it another."""
        plain = not any("method" in name or name == "upgrade" for name in self.payload.get("fields", ()))
        return plain and self.payload.get("method") in ("GET", "HEAD", "OPTIONS") and self._is_http

    @property
    def body(self) -> str:
        """The text that is sent, where the tree does not tell it."""
        return "" if self.tree is not None and self.payload.get("args") is None else self.payload.get("body", "")

    @property
    def result(self) -> str:
        """What people look at before the agent has it, where the call has been made: JSON, or the text that came."""
        result = self.payload.get("result") or {}
        value = result.get("value")
        return result.get("body", "") if value is None else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()

    @property
    def _is_http(self) -> bool:
        return self.payload.get("protocol") == "http"


async def one(desk: Desk, request: web.Request, ident: str) -> web.StreamResponse:
    """The page; with ``alike``, of all that are like it, and of what differs.

    Raises:
        Missing: there is no such approval, or not any more.
    """
    approval = _found(desk, ident)
    shown = await context(desk, request, approval, together=_together(request, approval))
    return await desk.page(request, "approval.html", **shown)


async def part(desk: Desk, request: web.Request) -> web.StreamResponse:
    """``/parts/approval``: the same without what is around it.

    Raises:
        Missing: there is no such approval, or not any more.
    """
    approval = _found(desk, request.query.get("id", ""))
    together = _together(request, approval)
    template = "alike_body.html" if together else "approval_body.html"
    return await desk.page(request, template, **await context(desk, request, approval, together=together))


async def whole(desk: Desk, request: web.Request) -> web.StreamResponse:
    """``/parts/payload``: all that is known of the call, as text.

    Raises:
        Missing: there is no such approval, or not any more.
    """
    approval = _found(desk, request.query.get("id", ""))
    payload = await _payload(desk, approval)
    text = visible(orjson.dumps(payload, option=orjson.OPT_INDENT_2).decode())
    return web.Response(text=text + "\n", content_type="text/plain", charset="utf-8", headers=PAGE_HEADERS)


def _found(desk: Desk, ident: str) -> Approval:
    approval = desk.sights.inbox.docket.find(ident)
    if approval is None:
        raise Missing(
            f"No approval {ident!r} stands. An hour after its end it is forgotten; the calls that asked stay on record."
        )
    return approval


def _together(request: web.Request, approval: Approval) -> bool:
    return bool(request.query.get("alike")) and approval.state is ApprovalState.WAITING


async def context(desk: Desk, request: web.Request, approval: Approval, *, together: bool) -> dict[str, Any]:
    """What the template of one approval needs, or of all that are like it."""
    if together:
        return await alike_context(desk, request, approval)
    shown, rows = await asyncio.gather(shown_of(desk, request, approval), _rows(desk, approval))
    group = await desk.sights.inbox.alike(approval) if shown.waits else []
    return {
        "one": shown,
        "approval": approval,
        "rows": [(row, outcome_of(record := row.record), record.get("args")) for row in rows],
        "alike": len(group),
        "past": desk.sights.past(approval),
    }


async def shown_of(desk: Desk, request: web.Request, approval: Approval) -> Shown:
    """The approval as whoever makes this request is shown it."""
    payload = await _payload(desk, approval)
    edit = edit_of(approval)
    if edit and (kept := await desk.sights.inbox.docket.edit(approval.id, edit)) is not None:
        payload = {**payload, "args": _read(desk, kept)}
    read = {path for held in approval.held for path, _ in held.read}
    value, name = _value(payload)
    tree = None if value is None else await asyncio.to_thread(tree_of, value, name, read)
    suspects = Suspects() if tree is None else tree.suspects
    return Shown(
        approval,
        payload,
        tree,
        edit,
        _endorsable(approval, payload.get("args")),
        _is_cut(payload),
        suspects,
        barred(desk, request, approval),
        desk.connected(approval),
    )


def _value(payload: Mapping[str, Any]) -> tuple[Any, str]:
    """What is shown as a tree, and what rules call it."""
    if payload.get("args") is not None:
        return payload["args"], "args"
    if payload.get("parts"):
        return payload["parts"], "parts"
    body = payload.get("body", "")
    if "json" in payload.get("media_type", "") and not _is_cut(payload):
        try:
            return orjson.loads(body), "body"
        except orjson.JSONDecodeError:
            return None, "body"
    return None, "body"


def _endorsable(approval: Approval, args: Any) -> list[tuple[str, Any, bool]]:
    """What rules read first. Nothing where the call has no run, in which alone it would count."""
    if not approval.tree[1] or not isinstance(args, dict) or approval.about == RESULT:
        return []
    found = {path: (path, at_path(args, path), True) for path in read_paths(approval)}
    for name, value in args.items():
        if "." not in name:
            found.setdefault(f"args.{name}", (f"args.{name}", value, False))
    known = [one for one in found.values() if one[1] is not MISSING and not isinstance(one[1], bool | None)]
    return known[:MOST_ENDORSED]


def _is_cut(payload: Mapping[str, Any]) -> bool:
    """Whether not all of the body was kept for people to see."""
    return bool(len(payload.get("body", "").encode()) < payload.get("size", 0))


def barred(desk: Desk, request: web.Request, approval: Approval) -> str:
    """Why whoever makes the request may not decide on it; empty where they may."""
    principal = principal_of(request)
    if not principal.may(APPROVER):
        return f"{principal.id} is no approver, and may only look"
    said = request.query.get("by", "") if principal.source == "loopback" else ""  # as the admin API takes it
    return desk.sights.why_not(approval, Who(said or principal.id, principal.roles, "console"))


async def _payload(desk: Desk, approval: Approval) -> dict[str, Any]:
    try:
        found = await desk.sights.inbox.docket.payload(approval.id)
    except StoreUnavailable as error:
        raise Unshown(f"What the call carries cannot be read now: {error}") from None
    payload: dict[str, Any] = {} if found is None else _read(desk, found)
    return payload


def _read(desk: Desk, data: bytes) -> Any:
    try:
        return orjson.loads(desk.sights.hide(data))
    except orjson.JSONDecodeError:
        raise Unshown("What the call carries holds a secret, and cannot be shown without it.") from None


async def _rows(desk: Desk, approval: Approval) -> Sequence[Any]:
    """The newest calls of its run, oldest first; none where there is no run, or the records cannot be had now."""
    if not approval.run:
        return []
    wanted = Filter(agent=approval.agent, run=approval.run)
    try:
        found = await desk.records.ask(lambda reader: reader.calls(wanted, STEPS))
    except Unshown:
        return []
    return found[::-1]


async def alike_context(desk: Desk, request: web.Request, approval: Approval) -> dict[str, Any]:
    """What the template of alike approvals needs: as many of them as are decided at once, and what differs."""
    group = await desk.sights.inbox.alike(approval)
    members = group[:PER_PAGE]
    payloads = await asyncio.gather(*[_payload(desk, member) for member in members])
    table = await asyncio.to_thread(table_of, payloads, read_paths(approval))
    barring = [
        barred(desk, request, member) or _alone(member, payload, table, values)
        for member, payload, values in zip(members, payloads, table.rows, strict=True)
    ]
    return {
        "approval": approval,
        "members": list(zip(members, table.rows, barring, strict=True)),
        "table": table,
        "total": len(group),
        "suspects": Suspects(),
        "most": MOST_COLUMNS,
        "longest": LONGEST_CELL,
    }


def _alone(approval: Approval, payload: Mapping[str, Any], table: Table, values: Mapping[str, str]) -> str:
    """Why it must be looked at by itself; empty where the table tells all in which it differs."""
    if len(table.differ) > MOST_COLUMNS:
        return "they differ in more than a table shows: open it"
    if approval.about == RESULT:
        return "it is about a result: open it"
    if _is_cut(payload) or any(len(value) > LONGEST_CELL for value in values.values()):
        return "it carries more than a table shows: open it"
    return "a person has edited it: open it" if approval.edited else ""


class Table(Struct, frozen=True):
    """What alike calls carry: in which values they differ, and which are the same in all."""

    differ: list[str]
    """Paths: what rules read, then those in which the most calls differ."""
    same: list[tuple[str, str]]
    rows: list[dict[str, str]]
    """For each call the values at ``differ`` as JSON; no key where it has none."""


def table_of(payloads: Sequence[Mapping[str, Any]], read: Sequence[str] = ()) -> Table:
    """The table of these calls. All that they carry is compared: whoever decides on all of them looks at this only.
    What rules ``read`` comes first, wherever else agents let them differ."""
    flats = [_flat(payload) for payload in payloads]
    paths = dict.fromkeys(path for flat in flats for path in flat)
    values = {path: {flat.get(path) for flat in flats} for path in paths}
    ranked = sorted(paths, key=lambda path: (not _within(path, read), -len(values[path])))
    differ = [path for path in ranked if len(values[path]) > 1]
    same = [(path, flats[0][path]) for path in ranked if len(values[path]) == 1]
    return Table(differ, same, [{path: flat[path] for path in differ if path in flat} for flat in flats])


def _within(path: str, read: Sequence[str]) -> bool:
    return any(path == one or path.startswith(one + ".") for one in read)


def _flat(payload: Mapping[str, Any]) -> dict[str, str]:
    """Everything of a call that its tool gets, by path, as JSON."""
    found = {"request": payload.get("target", "")}
    for name in ("fields", "args", "parts", "body"):
        if payload.get(name) is not None:
            found |= {path: orjson.dumps(value).decode() for path, value in leaves(payload[name], name)}
    return found
