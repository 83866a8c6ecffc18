"""Pages out of templates. Whatever is put into one is escaped, and what people would not see in it is made visible."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from aiohttp import web
from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape

from gateway.admin.problems import HEADERS
from gateway.console import plots
from gateway.observe.guards import counts
from gateway.policy.visible import visible

PAGE_HEADERS = {
    **HEADERS,
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # "no-referrer" would make browsers say "Origin: null" of our own forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every page: scripts and styles from here only, none of them inline; in no frame; kept by no cache."""

LONGEST = 4000
"""Characters of one text that a page shows."""


def render(template: str, **context: Any) -> str:
    """The template with this context."""
    return environment().get_template(template).render(**context)


def page(template: str, status: int = 200, **context: Any) -> web.Response:
    """The same as an answer."""
    body = render(template, **context).encode("utf-8", "replace")
    return web.Response(body=body, status=status, content_type="text/html", charset="utf-8", headers=PAGE_HEADERS)


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Jinja with our filters."""
    made = Environment(
        loader=PackageLoader("gateway.console"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.filters |= {
        "moment": moment,
        "clock": clock,
        "ms": milliseconds,
        "took": took,
        "usd": usd,
        "count": count,
        "amount": amount,
        "measure": measure,
        "bytes": size,
        "json": as_json,
        "compact": compact,
    }
    made.tests["counting"] = counts
    made.globals |= {"link": link, "query": query, "plots": plots}
    return made


def _shown(value: Any) -> Any:
    """Every text that a template writes out, but for markup of our own."""
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup):
        text = visible(value)
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"
    return value


def link(kind: str, *parts: str | None) -> str:
    """The address of a page: ``/runs/AGENT/RUN``. Names that a browser would take for steps of a path go by query."""
    names = [part or "" for part in parts]
    if any(name in ("", ".", "..") for name in names):
        return f"/at/{kind}?{urlencode([('part', name) for name in names], errors='replace')}"
    return "/" + "/".join([kind, *[quote(name, safe="", errors="replace") for name in names]])


def query(path: str, **members: Any) -> str:
    """An address with a query of those members that have a value."""
    given = {name: value for name, value in members.items() if value not in (None, "", False)}
    return f"{path}?{urlencode(given, errors='replace')}" if given else path


def moment(at: float) -> Markup:
    """Seconds since the epoch, as a time that the page's script writes in the reader's zone."""
    return _time(at, f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC", "moment")


def clock(at: float) -> Markup:
    """The same without the day."""
    return _time(at, f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}", "clock")


def _time(at: float, text: str, form: str) -> Markup:
    exact = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" data-form="{}">{}</time>').format(exact, form, text)


def milliseconds(value: float | None) -> str:
    """Milliseconds, short."""
    if value is None:
        return "-"
    if value < 10:
        return f"{value:.1f} ms"
    return f"{value:.0f} ms" if value < 1000 else took(value / 1e3)


def took(seconds: float) -> str:
    """A stretch of time in seconds, short."""
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def usd(value: float | None) -> str:
    """US dollars; as many digits as it takes to see something."""
    if value is None:
        return "-"
    if value < 0:
        return f"-{usd(-value)}"  # a budget that was overdrawn
    if value == 0 or value >= 0.01:
        return f"${value:,.2f}"
    return f"${value:.3g}" if value >= 0.0001 else f"${value:.1e}"


def count(value: float) -> str:
    """A number with its thousands apart."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3g}"


def amount(value: int, unit: str) -> str:
    """What a budget counts: usd in millionths of a US dollar, tokens, calls."""
    return measure(value / 1_000_000 if unit == "usd" else value, unit)


def measure(value: float, unit: str) -> str:
    """The same of a record, where US dollars are whole ones."""
    return usd(value) if unit == "usd" else f"{count(value)} {unit}"


def size(value: int | None) -> str:
    """Bytes, short."""
    if value is None:
        return "-"
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value = value / 1024  # type: ignore[assignment]
    return f"{value:.1f} GiB"


def as_json(value: Any) -> Markup:
    """A value as JSON for people; escaped here, since it may be longer than other texts."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()
    return escape(visible(text))


def compact(value: Any) -> str:
    """A value as JSON in one line."""
    return orjson.dumps(value, default=str).decode()
