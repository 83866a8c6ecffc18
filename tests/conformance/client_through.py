"""The client of ``client.py`` with a gateway between it and the server that the suite started."""

from __future__ import annotations

import sys

from . import client, places

if __name__ == "__main__":
    with places.through(sys.argv[-1]) as url:
        client.main(url)
