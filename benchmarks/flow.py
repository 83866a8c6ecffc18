"""How often values are found where nobody told them, missed where somebody did, and what asking costs:
``python -m benchmarks.flow [--write-docs]``.

The texts are real ones that every installation has: the reference of Python (``pydoc_data``), and what installed
packages say of themselves. The values are drawn at random, with a fixed seed, and have nothing to do with them. No
network, no model.
"""

from __future__ import annotations

import argparse
import base64
import importlib.metadata
import random
import string
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import orjson

from benchmarks import flow_calls
from gateway.flow.run import MOST_BYTES, MOST_WORDS, RunFlow
from gateway.flow.vouched import Vouched
from gateway.model import FlowLabels

PAGE = Path(__file__).parent.parent / "docs" / "origins.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
DRAWN = 1_000
SIZES = (2_000, 32_000, 256_000)
FIRST = "Alice Bob Carol David Emma Frank Grace Henry Irene Jack Karen Liam Mia Noah Olivia Paul Quinn Rosa".split()
LAST = "Smith Jones Miller Davis Wilson Moore Taylor Lee White Harris Martin Clark Lewis Young King Hill Green".split()


CALLS = """Calls through the gateway, without sockets, with a plain rule alone and followed by the library's `origins`
(CPU, µs, the least of 20 turns; the turns of both are interleaved):"""


def corpus() -> str:
    """Some MB of English text about technical things, the same wherever the same packages are installed."""
    told = [str(text) for _, text in sorted(topics.items())]
    for package in sorted(importlib.metadata.distributions(), key=lambda each: each.metadata["Name"] or ""):
        told.append(package.read_text("METADATA") or "")
    return "\n\n".join(told)


def flow_of() -> RunFlow:
    nothing = Vouched(())
    return RunFlow(lambda _: FlowLabels(("*",)), lambda _: False, lambda: nothing, lambda _: False)


def slices(text: str, size: int) -> Iterator[str]:
    """Five pieces of this size, spread over the text."""
    for at in range(5):
        start = (len(text) - size) * at // 4
        yield text[start : start + size]


def _digits(rng: random.Random, count: int) -> str:
    return str(rng.randrange(10 ** (count - 1), 10**count))


def _word(rng: random.Random, count: int) -> str:
    return "".join(rng.choices(string.ascii_lowercase, k=count))


def _day(rng: random.Random) -> date:
    return date(2020, 1, 1) + timedelta(rng.randrange(4_000))


def _iban(rng: random.Random) -> str:
    return f"DE{rng.randrange(10**20):020d}"


def _mail(rng: random.Random) -> str:
    return f"{rng.choice(FIRST)}.{rng.choice(LAST)}@{rng.choice(LAST)}.com".lower()


DRAWS: dict[str, Callable[[random.Random], Any]] = {
    "number of 1 digit": lambda rng: rng.randrange(10),
    "number of 2 digits": lambda rng: int(_digits(rng, 2)),
    "number of 3 digits": lambda rng: int(_digits(rng, 3)),
    "number of 4 digits": lambda rng: int(_digits(rng, 4)),
    "number of 6 digits": lambda rng: int(_digits(rng, 6)),
    "amount with cents": lambda rng: rng.randrange(100, 1_000_000) / 100,
    "word of 2 letters": lambda rng: _word(rng, 2),
    "word of 3 letters": lambda rng: _word(rng, 3),
    "word of 4 letters": lambda rng: _word(rng, 4),
    "word of 6 letters": lambda rng: _word(rng, 6),
    "first name": lambda rng: rng.choice(FIRST),
    "first and last name": lambda rng: f"{rng.choice(FIRST)} {rng.choice(LAST)}",
    "day": lambda rng: _day(rng).isoformat(),
    "time of day": lambda rng: f"{rng.randrange(24):02d}:{rng.randrange(60):02d}",
    "mail address": _mail,
    "host name": lambda rng: f"{rng.choice(LAST)}-{rng.choice(LAST)}.com".lower(),
    "URL": lambda rng: f"https://{rng.choice(LAST)}.com/{_word(rng, 5)}/{_digits(rng, 3)}".lower(),
    "file name": lambda rng: f"{rng.choice(LAST).lower()}-{_day(rng).isoformat()}.pdf",
    "path": lambda rng: f"/home/{rng.choice(FIRST).lower()}/{_word(rng, 6)}",
    "IBAN": _iban,
    "telephone number": lambda rng: f"+49{_digits(rng, 10)}",
}


def found_falsely(text: str) -> list[list[str]]:
    """Per kind of value: how many of those that nobody told count as told by whom all of the text comes from."""
    rows = []
    for kind, draw in DRAWS.items():
        row = [kind]
        for size in SIZES:
            rng, seen = random.Random(kind), 0
            for piece in slices(text, size):
                flow = flow_of()
                flow.hear("user", (), piece.encode(), "text/plain")
                seen += sum(bool(flow.origin(draw(rng))["trusted"]) for _ in range(DRAWN // 5))
            row.append(f"{100 * seen / DRAWN:.1f} %")
        rows.append(row)
    return rows


TOLD: dict[str, tuple[Callable[[random.Random], Any], Callable[[Any], str], Callable[[Any], Any]]] = {
    "mail address: case, in brackets": (_mail, lambda value: f"<{value.title()}>", lambda value: value),
    "mail address: `mailto:`": (_mail, str, lambda value: f"mailto:{value}"),
    "mail address: base64": (_mail, str, lambda value: base64.b64encode(value.encode()).decode()),
    "mail address told in base64": (
        _mail,
        lambda value: base64.b64encode(value.encode()).decode(),
        lambda value: value,
    ),
    "mail address with invisible signs": (_mail, lambda value: "\u200b".join(value), lambda value: value),
    "URL: scheme, `www.`, slash": (
        DRAWS["URL"],
        lambda value: value.replace("https://", "www.") + "/.",
        lambda value: value,
    ),
    "IBAN: in groups of four": (
        _iban,
        lambda value: " ".join(value[at : at + 4] for at in range(0, 22, 4)),
        lambda value: value,
    ),
    "telephone number: grouped": (
        DRAWS["telephone number"],
        lambda value: f"{value[:3]} ({value[3:6]}) {value[6:9]}-{value[9:]}",
        lambda value: value,
    ),
    "amount: thousands, currency": (
        DRAWS["amount with cents"],
        lambda value: f"${value:,.2f}",
        lambda value: value,
    ),
    "amount: decimal comma": (
        DRAWS["amount with cents"],
        lambda value: f"{value:.2f}".replace(".", ","),
        lambda value: value,
    ),
    "day: in words": (_day, lambda value: value.strftime("%B %d, %Y"), lambda value: value.isoformat()),
    "day: with points": (_day, lambda value: value.strftime("%d.%m.%Y"), lambda value: value.isoformat()),
    "names: case, line break": (
        DRAWS["first and last name"],
        lambda value: value.upper().replace(" ", "\n  "),
        lambda value: value,
    ),
    "JSON in JSON, escaped": (_mail, lambda value: orjson.dumps({"to": value}).decode().replace("@", "\\u0040"), str),
}


def missed(text: str) -> list[list[str]]:
    """Per way of writing: how many values are not found though they were told so, at a random place of a result."""
    rows = []
    for way, (draw, written, asked) in TOLD.items():
        rng, lost = random.Random(way), 0
        for _ in range(200):
            value, at = draw(rng), rng.randrange(len(text) - 20_000)
            told = written(value)
            around = [text[at : at + 5_000], told, text[at + 5_000 : at + 10_000]]
            data = orjson.dumps([*around]) if "JSON" in way else " ".join(around).encode()
            flow = flow_of()
            flow.hear("mail/read", ("untrusted",), data, "application/json" if "JSON" in way else "text/plain")
            lost += not flow.origin(asked(value))["seen"]
        rows.append([way, f"{lost / 2:.1f} %"])
    return rows


def costs(text: str) -> list[list[str]]:
    """What hearing and asking take, in seconds of CPU, the fastest of five."""
    whole = text[:MOST_BYTES].encode()[:MOST_BYTES]

    def best(make: Callable[[], Any], run: Callable[[Any], Any], count: int) -> float:
        times = []
        for _ in range(5):
            made = make()
            began = time.process_time()
            for _ in range(count):
                run(made)
            times.append((time.process_time() - began) / count)
        return min(times) * 1e6

    def full(ask: bool) -> RunFlow:
        flow = flow_of()
        for at in range(0, len(whole), 32_768):
            flow.hear(f"tool/{at}", (), whole[at : at + 32_768], "text/plain")
        if ask:
            flow.origin("x")
        return flow

    mails = iter(_mail(random.Random(at)) + "x" for at in range(1_000_000))
    texts = iter(f"{_word(random.Random(at), 8)} {at}" for at in range(1_000_000))
    indexed = full(True)
    spoken = iter(range(1_000_000))

    def small(flow: RunFlow) -> None:
        at = next(spoken)
        flow.say([{"query": f"dental {at}", "limit": 10}])
        flow.hear("a/b", ("untrusted",), b'{"id": %d, "title": "Dental check-up"}' % at, "application/json")

    return [
        ["remember a small call and its answer", f"{best(flow_of, small, 500):.0f} µs"],
        ["hear a result of 32 KB", f"{best(flow_of, lambda flow: flow.hear('a/b', (), whole[:32_768], ''), 1):.0f} µs"],
        [
            "first question about 32 KB",
            f"{best(lambda: _one(whole[:32_768]), lambda flow: flow.origin('x'), 1):,.0f} µs",
        ],
        ["first question about 512 KB", f"{best(lambda: full(False), lambda flow: flow.origin('x'), 1):,.0f} µs"],
        ["an address, 512 KB indexed", f"{best(lambda: indexed, lambda flow: flow.origin(next(mails)), 50):.0f} µs"],
        ["a text, 512 KB indexed", f"{best(lambda: indexed, lambda flow: flow.origin(next(texts)), 50):.0f} µs"],
        ["the same value again", f"{best(lambda: indexed, lambda flow: flow.origin('x'), 50):.1f} µs"],
        ["memory: 512 KB heard", f"{full(False).size / 1024:,.0f} KB"],
        ["memory: the same, indexed", f"{indexed.size / 1024:,.0f} KB"],
    ]


def _one(data: bytes) -> RunFlow:
    flow = flow_of()
    flow.hear("a/b", (), data, "text/plain")
    return flow


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def report() -> str:
    """All tables, in Markdown."""
    text = corpus()
    sizes = [f"of {size // 1000} KB" for size in SIZES]
    return "\n\n".join(
        [
            f"Text: {len(text) / 1e6:.1f} MB of Python's reference and of installed packages' descriptions.",
            "Values that nobody told and that count as told by somebody trusted, who said so much:",
            table(["value drawn at random", *sizes], found_falsely(text)),
            "Values that were told in one form, amid 10 KB, asked for in another, and not found:",
            table(["told", "missed"], missed(text)),
            "Costs:",
            table(["", ""], costs(text)),
            CALLS,
            table(["call", "plain rule", "followed", "added"], flow_calls.measure(text)),
        ]
    )


def main() -> None:
    """Print the tables; with ``--write-docs`` put them into docs/origins.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/origins.md")
    said = report()
    if parser.parse_args().write_docs:
        page = PAGE.read_text()
        before, _, rest = page.partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{said}\n\n{END}{rest.partition(END)[2]}")
    print(said)


if __name__ == "__main__":
    assert MOST_WORDS >= SIZES[-1]
    main()
