"""TLS of the admin address. New files take effect with the next connection."""

from __future__ import annotations

import ssl

from gateway.config.schema_admin import AdminTls


def _read(context: ssl.SSLContext, config: AdminTls) -> None:
    context.load_cert_chain(config.cert_file, config.key_file, password=lambda: "")  # or the terminal would be asked


class Certificate:
    """The certificate of the moment."""

    def __init__(self, config: AdminTls) -> None:
        """Raises OSError or ssl.SSLError where the files cannot be used."""
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        _read(self.context, config)

    def renew(self, config: AdminTls) -> None:
        """Take what the files hold now. Raises as the constructor, and then stays as it is."""
        _read(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), config)
        _read(self.context, config)
