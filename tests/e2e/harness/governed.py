"""The policies of the governed gateway: one tool for each thing that is governed, all the same upstream."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

KEY = "analyst-key-1"

POLICIES = """
apiVersion: toolgate/v1
kind: Approval
metadata: {name: later}
spec: {hold: 0s}
---
apiVersion: toolgate/v1
kind: Grant
metadata: {name: testers}
spec:
  agents: ["tester-*"]
  tools:
    [open, bank, lists, heads, shop, limited, waiting, busy, fragile, picky, narrow, audited, warned, secret, plain]
---
apiVersion: toolgate/v1
kind: Grant
metadata: {name: analysts}
spec: {roles: [analyst], tools: [open, notes, plain], operations: ["GET *"]}
---
apiVersion: toolgate/v1
kind: Grant
metadata: {name: public-notes}
spec: {agents: ["reader"], tools: [notes], operations: ["GET /public/*"]}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: payments}
spec:
  match: {tools: [bank, lists, heads], operations: ["POST /transfers", "GET /transfers"]}
  variables:
    - {name: amount, expression: double(args.amount)}
  rules:
    - {name: large, when: variables.amount > 1000.0, then: deny, message: "at most 1000"}
    - {name: medium, when: variables.amount > 500.0 && variables.amount <= 1000.0, then: approve, message: "ask first"}
    - {name: small, when: variables.amount < 1.0, then: warn, message: "hardly worth it"}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: shop}
spec:
  match: {tools: [shop], operations: ["DELETE /items/{id}"]}
  rules:
    - name: keep-one
      when: request.params.id == "1"
      then: deny
      messageExpression: '"item " + request.params.id + " stays"'
    - {name: no-header, when: 'request.headers["x-danger"] == "yes"', then: deny}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: shadow}
spec:
  mode: Audit
  match: {tools: [audited]}
  rules: [{name: everything, when: "true", then: deny, message: would be refused}]
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: heads-up}
spec:
  mode: Warn
  match: {tools: [warned]}
  rules: [{name: everything, when: "true", then: deny, message: think twice}]
---
apiVersion: toolgate/v1
kind: Limit
metadata: {name: three}
spec: {match: {tools: [limited]}, per: [agent], rate: 30/m, burst: 3, mode: reject}
---
apiVersion: toolgate/v1
kind: Limit
metadata: {name: in-turn}
spec: {match: {tools: [waiting]}, per: [tool], rate: 20/s, burst: 1, mode: wait, max_wait: 5s}
---
apiVersion: toolgate/v1
kind: Limit
metadata: {name: too-long}
spec: {match: {tools: [busy]}, per: [agent], rate: 2/m, burst: 1, mode: wait, max_wait: 100ms}
---
apiVersion: toolgate/v1
kind: Breaker
metadata: {name: fragile}
spec: {match: {tools: [fragile]}, failures: 3, rate: 0, open: 1s, probes: 1}
---
apiVersion: toolgate/v1
kind: Breaker
metadata: {name: picky}
spec: {match: {tools: [picky]}, per: [tool, operation], failures: 2, rate: 0, open: 60s, probes: 1}
"""


def tools(url: str, secret: Path) -> dict[str, Any]:
    """The tools of the governed gateway; ``secret`` is a file that holds a credential."""
    names = "open bank notes limited waiting busy fragile picky audited warned shop".split()
    return {
        **{name: {"url": url} for name in names},
        "plain": {"url": url, "strip": ["x-internal"]},
        "shop": {"url": url, "operations": ["GET /items", "GET /items/{id}", "DELETE /items/{id}"]},
        "bank": {"url": url, "body": {"limit": "4KiB"}},
        "lists": {"url": url, "repeated_parameters": "list"},
        "heads": {"url": url, "body": {"limit": 100, "otherwise": "head-only"}},
        "narrow": {"url": url, "limits": {"concurrency": 1}},
        "secret": {
            "url": url,
            "credential": [
                {"header": "Authorization", "value": f"Bearer ${{file:{secret}}}"},
                {"header": "X-Tenant", "value": "acme"},
            ],
        },
    }


IDENTIFY = [
    {"header": "x-agent-id"},
    {"api_key": {"keys": [{"sha256": hashlib.sha256(KEY.encode()).hexdigest(), "agent": "ann", "roles": ["analyst"]}]}},
]
