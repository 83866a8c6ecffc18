"""All commands."""

from __future__ import annotations

import click

from gateway import __version__
from gateway.cli.approvals import approvals
from gateway.cli.breakers import breakers
from gateway.cli.budgets import budgets
from gateway.cli.calls import calls, tail
from gateway.cli.cases import test
from gateway.cli.check import check
from gateway.cli.demo import demo
from gateway.cli.explain import explain
from gateway.cli.hash_key import hash_key
from gateway.cli.health import health
from gateway.cli.inject import inject
from gateway.cli.mcp import mcp
from gateway.cli.memory import memory
from gateway.cli.pools import pools
from gateway.cli.quarantine import quarantine
from gateway.cli.redirect import redirect
from gateway.cli.replay import replay
from gateway.cli.run import run
from gateway.cli.runs import runs
from gateway.cli.runs_live import live
from gateway.cli.schema import schema
from gateway.cli.shadow import shadow
from gateway.cli.suggest import suggest
from gateway.cli.tools import tools
from gateway.cli.verify import audit, verify


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="toolgate")
def toolgate() -> None:
    """The execution gateway between AI agents and their tools."""


_COMMANDS = (
    *(run, health, check, test, explain, replay, shadow, calls, runs, tail, quarantine, breakers, budgets, pools),
    *(approvals, memory),
    *(suggest, schema, hash_key, demo, mcp, tools, verify, audit, redirect, inject),
)
for command in _COMMANDS:
    toolgate.add_command(command)
runs.add_command(live)
