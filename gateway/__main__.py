"""``toolgate`` and ``python -m gateway``."""

from __future__ import annotations

from gateway.cli.root import toolgate


def main() -> None:
    """Run the command line; exits the process."""
    toolgate(prog_name="toolgate")


if __name__ == "__main__":
    main()
