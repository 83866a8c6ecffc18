"""Toolgate beside other gateways for agents: ``python -m benchmarks.peers --help``.

They are not equal in features, and most do more for a call than a plain proxy; each is set up as its documentation
says, one worker, no authentication where it can be off, nothing logged. Each is installed into ``.venv-peers/``.
"""

from __future__ import annotations

import http.client
import json
import secrets
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from benchmarks import report
from benchmarks.__main__ import arguments, guard, pin, plan_of, publish
from benchmarks.contestants import (
    Builder,
    Contestant,
    Upstream,
    nginx,
    pip_install,
    start_upstream,
    toolgate_full,
)
from benchmarks.load import CASES, Target, tools
from benchmarks.measure import assemble, measure, say
from benchmarks.processes import ROOT, Site, Unavailable

HOME = ROOT / ".venv-peers"
START = 90.0  # seconds; the largest of them import for half a minute


def _venv(name: str, package: str, command: str) -> str:
    """The path of a peer's command, installed at the first run."""
    path = HOME / name / "bin" / command
    if not path.exists():
        pip_install(HOME / name, package)
    return str(path)


def _version(name: str, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run(
        [str(HOME / name / "bin/python"), "-c", code], capture_output=True, text=True, timeout=20, check=False
    )
    return f"{name}/{done.stdout.strip()}"


def mitmproxy(site: Site, upstream: Upstream) -> Contestant:
    """mitmproxy as a reverse proxy."""
    command = _venv("mitmproxy", "mitmproxy", "mitmdump")
    port = site.port()
    where = ["--mode", f"reverse:http://127.0.0.1:{upstream.port}", "--listen-host", "127.0.0.1"]
    options = ["--listen-port", str(port), "--set", f"confdir={site.folder}/mitmproxy"]
    child = site.spawn("mitmproxy", [command, "-q", *where, *options], site.proxy_core)
    site.await_port("mitmproxy", child, port, START)
    return Contestant("mitmproxy", Target(port, "/", {}), (child.pid,), _version("mitmproxy", "mitmproxy"))


def litellm(site: Site, upstream: Upstream) -> Contestant:
    """LiteLLM's proxy with one pass-through endpoint; it insists on a master key."""
    command = _venv("litellm", "litellm[proxy]", "litellm")
    port, key = site.port(), f"sk-{secrets.token_hex(16)}"
    endpoint = {
        "path": "/up/json",
        "target": f"http://127.0.0.1:{upstream.port}/json",
        "headers": {"content-type": "application/json"},
    }
    config = {
        "model_list": [],
        "general_settings": {"master_key": key, "pass_through_endpoints": [endpoint]},
        "litellm_settings": {"telemetry": False},
    }
    path = site.write("litellm.yaml", json.dumps(config))
    options = ["--config", str(path), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    child = site.spawn("litellm", [command, *options], site.proxy_core, env)
    site.await_port("litellm", child, port, START)
    target = Target(port, "/up/", {"Authorization": f"Bearer {key}"})
    return Contestant("litellm", target, (child.pid,), _version("litellm", "litellm"))


def portkey(site: Site, upstream: Upstream) -> Contestant:
    """Portkey's gateway in front of an OpenAI-compatible upstream: it passes chat completions only."""
    home = HOME / "portkey"
    package = home / "node_modules/@portkey-ai/gateway"
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Unavailable("it needs Node.js: apt-get install nodejs npm")
    if not package.exists():
        home.mkdir(parents=True, exist_ok=True)
        say("installing @portkey-ai/gateway ...")
        done = subprocess.run(
            [npm, "install", "--silent", "--prefix", str(home), "@portkey-ai/gateway"],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if done.returncode:
            raise Unavailable(f"npm could not install it: {done.stderr.strip()[-300:]}")
    port = site.port()
    script = str(package / "build/start-server.js")
    child = site.spawn(
        "portkey", [node, script, "--headless", f"--port={port}"], site.proxy_core, {"NODE_ENV": "production"}
    )
    site.await_port("portkey", child, port, START)
    headers = {
        "Authorization": "Bearer none",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream.port}/v1",
    }
    chat: dict[str, object] = {"model": "bench", "messages": [{"role": "user", "content": ""}]}
    chat["messages"] = [{"role": "user", "content": "x" * (512 - len(json.dumps(chat)))}]
    version = json.loads((package / "package.json").read_text())["version"]
    target = Target(port, "/", headers, json.dumps(chat).encode(), "/v1/chat/completions", wraps=True)
    return Contestant("portkey", target, (child.pid,), f"portkey/{version}")


def contextforge(site: Site, upstream: Upstream) -> Contestant:
    """ContextForge with the upstream as a REST tool, called over JSON-RPC."""
    command = _venv("contextforge", "mcp-contextforge-gateway", "mcpgateway")
    port = site.port()
    env = {
        "AUTH_REQUIRED": "false",
        "ALLOW_UNAUTHENTICATED_ADMIN": "true",
        "SSRF_ALLOW_LOCALHOST": "true",
        "RATE_LIMITING_ENABLED": "false",
        "ENVIRONMENT": "development",
        "LOG_LEVEL": "ERROR",
        "JWT_SECRET_KEY": secrets.token_urlsafe(48),
        "AUTH_ENCRYPTION_SECRET": secrets.token_urlsafe(48),
        "DATABASE_URL": f"sqlite:///{site.folder}/contextforge.db",
        "MCPGATEWAY_UI_ENABLED": "false",
        "MCPGATEWAY_ADMIN_API_ENABLED": "false",
        "PLUGINS_ENABLED": "false",
    }
    options = ["--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
    child = site.spawn("contextforge", [command, *options], site.proxy_core, env)
    site.await_port("contextforge", child, port, START)
    given = json.loads(CASES["json"].body or b"{}")
    tool = {
        "name": "bench",
        "url": f"http://127.0.0.1:{upstream.port}/json",
        "integration_type": "REST",
        "request_type": "POST",
        "input_schema": {"type": "object", "properties": {"amount": {"type": "number"}}},
    }
    _post(port, "/tools", {"tool": tool})
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "bench", "arguments": given}}
    target = Target(port, "/", {}, json.dumps(call).encode(), "/rpc", wraps=True)
    return Contestant("contextforge", target, (child.pid,), _version("contextforge", "mcp-contextforge-gateway"))


def _post(port: int, path: str, content: Mapping[str, object]) -> None:
    """Posts JSON, and again while the server still starts; Unavailable where it is not accepted within 20 s."""
    said = "no answer"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with suppress(OSError, http.client.HTTPException):
            link.request("POST", path, json.dumps(content), {"Content-Type": "application/json"})
            answer = link.getresponse()
            said = f"{answer.status}: {answer.read(300)!r}"
            if answer.status in (200, 201):
                return
        link.close()
        time.sleep(0.5)
    raise Unavailable(f"POST {path} is not accepted: {said}")


PEERS: Mapping[str, Builder] = {
    "nginx": nginx,
    "toolgate-full": toolgate_full,
    "mitmproxy": mitmproxy,
    "portkey": portkey,
    "litellm": litellm,
    "contextforge": contextforge,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; 0 when something was measured, 2 when nothing could be."""
    given = sys.argv[1:] if argv is None else list(argv)
    parser = arguments((__doc__ or "").partition("\n")[0], list(PEERS), "json", "1,32")
    options = parser.parse_args(given)
    plan = plan_of(parser, options, list(PEERS))
    if [case.name for case in plan.cases] != ["json"]:
        parser.error("--cases: only json is measured here")
    limit = 1800 + 2 * plan.duration(len(options.only))
    guard(limit)
    try:
        tools()
        with Site() as site:
            notes = pin(site)
            upstream = start_upstream(site, int(limit))
            ready, skipped = assemble(site, upstream, {name: PEERS[name] for name in options.only}, plan.cases)
            if not ready:
                raise Unavailable("no contestant is ready")
            samples = measure(site, upstream, ready, plan, skipped)
    except Unavailable as reason:
        print(f"benchmarks.peers: {reason}", file=sys.stderr)
        return 2
    command = shlex.join(["python", "-m", "benchmarks.peers", *given])
    known = {who.name: who.version for who in ready}
    results = report.Results(command, samples, known, skipped, notes=notes, base="toolgate-full")
    publish(results, "peers", docs=options.write_docs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
