"""A folder over WebDAV, by WsgiDAV: ``wsgidav_server.py FOLDER --port PORT``. Runs in the folder of the servers."""

import sys

from cheroot.wsgi import Server
from wsgidav.fs_dav_provider import FilesystemProvider
from wsgidav.wsgidav_app import WsgiDAVApp

folder, port = sys.argv[1], int(sys.argv[3])
app = WsgiDAVApp(
    {
        "provider_mapping": {"/": FilesystemProvider(folder)},
        "simple_dc": {"user_mapping": {"*": True}},
        "http_authenticator": {"accept_basic": False, "accept_digest": False, "default_to_digest": False},
        "verbose": 0,
    }
)
Server(("127.0.0.1", port), app).start()
