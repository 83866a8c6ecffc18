"""What an agent of this example can do: a call that is granted, one that is not, and the tool without the gateway."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

GATEWAY = os.environ["TOOLGATE_URL"]
AROUND = os.environ.get("AROUND_URL", "http://files:7000/README.md")
KEY = Path(os.environ.get("AGENT_KEY_FILE", "/run/secrets/agent_key"))


def status(url: str, method: str = "GET") -> int:
    """What a call is answered with; 0 where nothing answers."""
    fields = {"Authorization": f"Bearer {KEY.read_text().strip()}"}
    try:
        request = urllib.request.Request(url, method=method, headers=fields)  # noqa: S310 - the gateway's own URL
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def main() -> None:
    """Exits 1 where anything is otherwise than it should be."""
    granted = status(f"{GATEWAY}/files/README.md")
    refused = status(f"{GATEWAY}/files/README.md", "DELETE")
    around = status(AROUND)
    print(f"through the gateway: {granted}, not granted: {refused}, around it: {around or 'no way'}")
    sys.exit((granted, refused, around) != (200, 403, 0))


if __name__ == "__main__":
    main()
