"""``toolgate demo``: real tools, the real gateway as a process of its own, an agent, and a table of what happened."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from shutil import which

import aiohttp
from msgspec import Struct

from gateway.demo.agent import play
from gateway.demo.client import TREASURER_KEY, Client, TraceReader
from gateway.demo.scene import Stage, Surprise
from gateway.demo.stage import ADMIN, AGENTS, TOOL_PORTS, choose_folder, free_port, write_files
from gateway.demo.table import Table
from gateway.demo.tools import serve

_PATIENCE = 30.0
"""Seconds for the gateway to get ready, and to end."""


class Failed(Exception):  # noqa: N818 - said to the user as it is
    """The demo cannot go on. The message says why."""


class Place(Struct, frozen=True):
    """Where things are. The two addresses are ``host:port``."""

    folder: Path
    config: Path
    agents: str
    admin: str
    search: str
    library: str


def run(once: bool = False, folder: Path | None = None) -> int:
    """Play the demo, then stay up until Ctrl-C (``once``: end right away). Returns the exit code.

    ``folder``: where the configuration, policies and traces go; by default ``./toolgate-demo``.
    """
    table = Table()
    try:
        return asyncio.run(_run(once, folder, table))
    except (Failed, Surprise) as error:
        table.say()
        table.say(f"The demo stopped: {error}", "31")
        return 1


async def _run(once: bool, wanted: Path | None, table: Table) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        place = await _build(stack, choose_folder(wanted), table)
        gateway = await _start_gateway(stack, place)
        traces = TraceReader(place.folder / "trace.jsonl")
        table.say(f"Starting the gateway on http://{place.agents} (its log: {place.folder / 'gateway.log'})")
        client = await stack.enter_async_context(
            Client(f"http://{place.agents}", f"http://{place.admin}", traces, table)
        )
        stage = Stage(client, place.folder / "policies", place.search, place.library)
        ended, stopped, playing = (
            asyncio.ensure_future(each) for each in (gateway.wait(), stop.wait(), _play(client, stage))
        )
        for task in (ended, stopped, playing):
            stack.callback(task.cancel)
        await asyncio.wait((playing, ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        if playing.done() and not ended.done():
            playing.result()
            table.summary()
            _goodbye(table, place, once)
            if not once:
                await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        if ended.done() and not stop.is_set():
            raise Failed(f"the gateway ended (exit code {gateway.returncode}); its last words:\n{_last_words(place)}")
    return 0


async def _build(stack: AsyncExitStack, folder: Path, table: Table) -> Place:
    """Start the tools, find ports, write the files."""
    ports: dict[int, int] = {}
    for name, port in TOOL_PORTS.items():
        try:
            runner = await serve(name, port)
        except OSError:
            runner = await serve(name, 0)
        stack.push_async_callback(runner.cleanup)
        ports[port] = runner.addresses[0][1]
    for port in (AGENTS, ADMIN):
        ports[port] = free_port(port)
    for port, chosen in ports.items():
        if port != chosen:
            table.say(f"Port {port} is taken; using {chosen} instead.", "33")
    config = write_files(folder, ports)
    search, library = (f"http://127.0.0.1:{ports[TOOL_PORTS[name]]}" for name in ("search", "library"))
    return Place(folder, config, f"127.0.0.1:{ports[AGENTS]}", f"127.0.0.1:{ports[ADMIN]}", search, library)


async def _start_gateway(stack: AsyncExitStack, place: Place) -> asyncio.subprocess.Process:
    """``toolgate run`` as a process; it is ended with SIGTERM when the stack unwinds."""
    log = stack.enter_context((place.folder / "gateway.log").open("wb"))
    gateway = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "run", "-c", str(place.config),
        stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
    )  # fmt: skip

    async def end() -> None:
        if gateway.returncode is None:
            gateway.terminate()
            try:
                async with asyncio.timeout(_PATIENCE):
                    await gateway.wait()
            except TimeoutError:
                gateway.kill()
                await gateway.wait()

    stack.push_async_callback(end)
    return gateway


async def _play(client: Client, stage: Stage) -> None:
    try:
        async with asyncio.timeout(_PATIENCE):
            while not await _ready(client):  # noqa: ASYNC110 - another process, which sends us no event
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise Failed(f"the gateway was not ready after {_PATIENCE:g} s") from None
    try:
        await play(stage)
    except aiohttp.ClientError as error:
        raise Failed(f"the gateway broke off: {error!r}") from error


async def _ready(client: Client) -> bool:
    try:
        return bool((await client.readiness())["status"] == "ready")
    except aiohttp.ClientError:
        return False


def _last_words(place: Place) -> str:
    return "\n".join((place.folder / "gateway.log").read_text("utf-8", "replace").splitlines()[-20:])


def _goodbye(table: Table, place: Place, once: bool) -> None:
    trace = shlex.quote(str(place.folder / "trace.jsonl"))
    store = shlex.quote(str(place.folder / "traces.db"))
    table.say(f"Every call left a line in {place.folder / 'trace.jsonl'}")
    if once:
        return
    toolgate = "toolgate" if which("toolgate") else shlex.quote(str(Path(sys.executable).with_name("toolgate")))
    key = f"-H 'Authorization: Bearer {TREASURER_KEY}'"
    order = """-H 'Content-Type: application/json' -d '{"recipient": "XX66", "amount": 2500}'"""
    assistant = "-H 'x-agent-id: assistant' -H 'Content-Type: application/json'"
    call = '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "delete_all"}}'
    prompt = '{"model": "demo-large", "messages": [{"role": "user", "content": "hello"}]}'
    table.say()
    table.say(f"Look at it in a browser, the console: http://{place.admin}/", "1")
    table.say()
    table.say("Try it yourself; the tools and the gateway stay up until Ctrl-C:", "1")
    for line in (
        f"curl -i -H 'x-agent-id: researcher' http://{place.agents}/notes/notes",
        f"curl -i -X DELETE -H 'x-agent-id: researcher' http://{place.agents}/notes/notes/1",
        f"curl -i {key} {order} http://{place.agents}/bank/transfers",
        f"curl -N -H 'x-agent-id: researcher' 'http://{place.agents}/clock/ticks?count=20'",
        f"curl -s {assistant} -d '{call}' http://{place.agents}/library",
        f"curl -s {assistant} -d '{prompt}' http://{place.agents}/llm/v1/chat/completions",
        f"curl -s http://{place.admin}/readyz",
        f"curl -s http://{place.admin}/metrics | grep toolgate_calls_total",
        f"tail -n 1 {trace} | {sys.executable} -m json.tool",
        f"{toolgate} runs --store {store}",
        f"{toolgate} run show stuck --store {store}",
        f"{toolgate} calls --store {store} --where 'decision == \"refuse\"'",
        f"{toolgate} tail --store {store}",
        f"{toolgate} budgets --admin {place.admin}",
        f"{toolgate} quarantine --admin {place.admin}",
    ):
        table.say(f"  {line}")
    table.say(f"Change a policy in {place.folder / 'policies'}: the next call follows it.")
