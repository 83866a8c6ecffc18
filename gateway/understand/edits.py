"""A call with other arguments, which a person put in the place of the agent's own.

All that reaches the tool must agree with what is approved: so what was written is read again, by the same reader, and
must come to exactly the arguments that the person gave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from msgspec import structs

from gateway.errors import Refused
from gateway.model import UNREAD, Call, Reason
from gateway.policy.fingerprints import canonical
from gateway.understand import strict_json
from gateway.understand.jsonrpc import messages
from gateway.understand.mcp_headers import PARAM
from gateway.understand.mcp_operations import subject
from gateway.understand.members import dump

EDITED = "arguments edited by a person"
"""The amendment of such a call."""

_WITH_ARGUMENTS = frozenset({"tools/call", "prompts/get"})
Read = Callable[[str, bytes | None], Mapping[str, Any]]
"""The arguments that a query and a body hold. Raises Refused."""


def inexact(why: str) -> Refused:
    """The refusal of arguments that cannot take the place of a call's own."""
    return Refused(
        Reason.APPROVAL_REQUIRED,
        403,
        f"other arguments were approved than the call has, and they cannot be put in: {why}",
        "do not repeat this call; ask for what is needed in another way",
    )


def edited_http(call: Call, args: Mapping[str, Any], body: bytes | None, read: Read, *, form: bool) -> Call:
    """The call with these arguments in its query and its body (JSON, or a ``form``). What was in the query stays there;
    new ones go into the body where there is one. ``body`` is the whole body that came.

    Raises:
        Refused: nobody has read its arguments, or these cannot be written there.
    """
    if call.args is UNREAD:
        raise inexact("no rule of this tool reads arguments")
    sent = call.body if call.body is not None else body or b""
    asked = read(call.query, None) if call.query else {}
    if not sent and not asked:
        raise inexact("the call has none")
    above = {name: value for name, value in args.items() if name in asked or not sent}
    below = {name: value for name, value in args.items() if name not in above}
    query = call.query if canonical(above) == canonical(asked) else _pairs(call.query, above)
    written = sent
    if sent and canonical(below) != canonical(read("", sent)):
        written = _pairs(sent.decode("ascii"), below).encode("ascii") if form else dump(below)
    found = read(query, written or None)
    if canonical(found) != canonical(args):
        raise inexact("they would be read in another way")
    path = call.target.partition("?")[0]
    return structs.replace(
        call,
        args=found,
        query=query,
        target=call.target if query == call.query else f"{path}?{query}" if query else path,
        body=call.body if written is sent else written,
        amendments=(*call.amendments, EDITED),
    )


def edited_mcp(call: Call, args: Mapping[str, Any], body: bytes | None) -> Call:
    """The call with these arguments in its message, all else of which stays. ``body`` is the message that came.

    Raises:
        Refused: it calls no tool and gets no prompt, or its header fields repeat arguments.
    """
    message = call.body if call.body is not None else body
    if message is None or call.facts["mcp.method"] not in _WITH_ARGUMENTS:
        raise inexact("only arguments of tools and of prompts can be others")
    if any(name.replace(b"_", b"-").startswith(PARAM) for name in call.request.lookup):
        raise inexact("its header fields Mcp-Param-* repeat arguments")
    value = strict_json.parse(message)
    written = dump({**value, "params": {**value["params"], "arguments": args}})
    try:
        found = subject(messages(strict_json.parse(written))[0]).args
    except ValueError as error:
        raise inexact(str(error)) from None
    return structs.replace(call, args=found, body=written, amendments=(*call.amendments, EDITED))


def _pairs(pairs: str, values: Mapping[str, Any]) -> str:
    """A query or form with these values. Pairs that stay the same stay as they came, byte for byte, in their places."""
    left = {name: _texts(name, value) for name, value in values.items()}
    written = []
    for pair in pairs.split("&"):
        name, _, value = pair.partition("=")
        key = unquote_plus(name)
        if not left.get(key):
            continue
        new = left[key].pop(0)
        written.append(pair if "=" in pair and new == unquote_plus(value) else f"{name}={quote_plus(new)}")
    written += [f"{quote_plus(name)}={quote_plus(value)}" for name, more in left.items() for value in more]
    return "&".join(written)


def _texts(name: str, value: Any) -> list[str]:
    texts = value if isinstance(value, list) and value else [value]
    if not all(isinstance(text, str) for text in texts):
        raise inexact(f'{name[:64]!r} is not a text, as all in a query or form is: write "50", not 50')
    return list(texts)
