"""What would have changed a recorded call, as lines for a page."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli.explanation_changes_text import change_lines
from gateway.cli.explanation_recorded import explanation_of_record
from gateway.config.load import Loaded


def changes_of(record: dict[str, Any], loaded: Loaded) -> list[str]:
    """By the policies as they are now; or why that cannot be told."""
    try:
        return list(change_lines(explanation_of_record(record, loaded)))
    except click.ClickException as error:
        return [error.message]
