"""The configuration of each contestant, as text. One worker each; all of them take ``/up/`` off and stream bodies."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

RULES = 50
MATCHING = 10

_MATCHING_RULES = (
    ("no-such-path", 'request.path == "/deny"'),
    ("agents-gone-bad", 'agent.id.startsWith("evil-")'),
    ("banned-role", '"banned" in agent.roles'),
    ("forbidden-header", '"x-forbidden" in request.headers'),
    ("methods", 'request.method in ["TRACE", "PUT"] && request.host != "localhost"'),
    ("very-large", "request.size > 2000000000"),
    ("amount", "has(args.amount) && double(args.amount) > 1000000.0"),
    ("recipient", 'has(args.recipient) && args.recipient in ["DE00", "DE01", "DE02"]'),
    ("note", 'has(args.note) && string(args.note).contains("password")'),
    ("items", "has(args.items) && size(args.items) > 100"),
)
assert len(_MATCHING_RULES) == MATCHING


def nginx(port: int, upstream: int) -> str:
    """nginx: keep-alive to the upstream, nothing logged, nothing buffered to disk."""
    user = "user root;\n" if os.getuid() == 0 else ""
    return f"""{user}daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  client_max_body_size 0;
  keepalive_requests 100000000;
  tcp_nodelay on;
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location /up/ {{
      proxy_pass http://up/;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_request_buffering off;
      client_body_buffer_size 128k;
      proxy_buffering off;
      proxy_buffer_size 64k;
      proxy_buffers 8 64k;
    }}
  }}
}}
"""


def nginx_upstream(port: int, folder: Path) -> str:
    """The upstream where there is no C compiler: no events, and no 1 GiB."""
    user = "user root;\n" if os.getuid() == 0 else ""
    answer = json.dumps({"choices": [{"message": {"content": "x" * 970}}]})
    return f"""{user}daemon off;
worker_processes 1;
pid upstream.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path ubody; proxy_temp_path uproxy; fastcgi_temp_path ufastcgi;
  uwsgi_temp_path uuwsgi; scgi_temp_path uscgi;
  client_max_body_size 0;
  keepalive_requests 100000000;
  default_type application/json;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location ~ ^/authz.*deny {{ return 403; }}
    location /authz {{ return 200; }}
    location ~ /(json|completions)$ {{ return 200 '{answer}'; }}
    location ~ /upload$ {{ return 200 ok; }}
    location ~ /blob$ {{ alias {folder}/blob; }}
    location / {{ return 404; }}
  }}
}}
"""


def haproxy(port: int, upstream: int) -> str:
    """HAProxy: one thread, connections to the upstream always reused, nothing logged."""
    return f"""global
  maxconn 4096
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 120s
  timeout server 120s
  http-reuse always
frontend agents
  bind 127.0.0.1:{port} backlog 1024
  http-request replace-path /up(/.*) \\1
  default_backend up
backend up
  server up 127.0.0.1:{upstream} pool-max-conn 512
"""


def _typed(kind: str, **fields: Any) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/envoy.extensions.{kind}", **fields}


def _cluster(name: str, port: int) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    many = {"max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [many]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def envoy(port: int, upstream: int, authz: int | None) -> str:
    """Envoy; with ``authz`` also a local rate limit that is never reached and ext_authz over HTTP with the body's
    first 64 KiB, as Toolgate reads them."""
    filters = []
    clusters = [_cluster("up", upstream)]
    if authz is not None:
        clusters.append(_cluster("authz", authz))
        always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
        bucket = {"max_tokens": 100_000_000, "tokens_per_fill": 100_000_000, "fill_interval": "1s"}
        limit = _typed(
            "filters.http.local_ratelimit.v3.LocalRateLimit",
            stat_prefix="limit",
            token_bucket=bucket,
            filter_enabled=always,
            filter_enforced=always,
        )
        check = _typed(
            "filters.http.ext_authz.v3.ExtAuthz",
            transport_api_version="V3",
            http_service={
                "server_uri": {"uri": f"http://127.0.0.1:{authz}", "cluster": "authz", "timeout": "5s"},
                "path_prefix": "/authz",
            },
            with_request_body={"max_request_bytes": 65536, "allow_partial_message": True},
        )
        filters = [
            {"name": "envoy.filters.http.local_ratelimit", "typed_config": limit},
            {"name": "envoy.filters.http.ext_authz", "typed_config": check},
        ]
    filters.append({"name": "envoy.filters.http.router", "typed_config": _typed("filters.http.router.v3.Router")})
    route = {"match": {"prefix": "/up/"}, "route": {"cluster": "up", "prefix_rewrite": "/", "timeout": "0s"}}
    manager = _typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="agents",
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        http_filters=filters,
    )
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": clusters}}, indent=1)


def toolgate(port: int, admin: int, upstream: int, *, full: bool) -> str:
    """Toolgate: one tool and a trace to a file; ``full`` adds tools that the other rules are about."""
    others = "".join(f"\n  other-{n}: {{url: 'http://127.0.0.1:{upstream}'}}" for n in range(8)) if full else ""
    return f"""listen: 127.0.0.1:{port}
admin: 127.0.0.1:{admin}
state: "memory:"
policies: ./policies
identify:
  - header: x-agent-id
tools:
  up:
    url: http://127.0.0.1:{upstream}
    limits: {{concurrency: 1024, timeout: 300s}}
    body: {{limit: 64KiB, otherwise: head-only}}{others}
trace: {{file: ./trace.jsonl, on_failure: drop}}
"""


def _document(kind: str, name: str, spec: str) -> str:
    return f"apiVersion: toolgate/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{spec}"


def _policy(name: str, tool: str, when: str) -> str:
    spec = f"  match: {{tools: [{tool}]}}\n  rules:\n    - name: it\n      when: '{when}'\n      then: deny\n"
    return _document("Policy", name, spec)


def grant() -> str:
    """The one grant of the bare gateway: everybody, everything."""
    return _document("Grant", "everybody", '  agents: ["*"]\n  tools: ["*"]\n')


def policies() -> str:
    """Everything on: a grant, 50 rules (10 about the tool; none refuses a call of the load), 2 limits, a breaker."""
    documents = [grant()]
    documents += [_policy(name, "up", when) for name, when in _MATCHING_RULES]
    for number in range(RULES - MATCHING):
        name, when = _MATCHING_RULES[number % MATCHING]
        documents.append(_policy(f"{name}-{number}", f"other-{number % 8}", when))
    never = "rate: 1000000/s, burst: 1000000"
    documents.append(_document("Limit", "per-agent", f"  {{match: {{tools: [up]}}, per: [agent], {never}}}\n"))
    documents.append(
        _document("Limit", "per-operation", f"  {{match: {{tools: [up]}}, per: [tool, operation], {never}}}\n")
    )
    documents.append(_document("Breaker", "up", "  {match: {tools: [up]}, failures: 5, rate: 50%, window: 30s}\n"))
    return "---\n".join(documents)
