"""The client of ``client.py`` with a gateway between it and the server that the suite started."""

from __future__ import annotations

import os
import sys

from . import client, places


def main(url: str) -> None:
    """Give the client the gateway's URL, or, with OAuth, the server's own URL and the gateway as its HTTP proxy.

    A server that asks for OAuth names the URL that its tokens are for, and clients hold it against the URL they called.
    """
    if os.environ["MCP_CONFORMANCE_SCENARIO"].startswith("auth/"):
        with places.gateway_before(url) as gateway:
            client.main(url, proxy=gateway.url)
    else:
        with places.through(url) as changed:
            client.main(changed)


if __name__ == "__main__":
    main(sys.argv[-1])
