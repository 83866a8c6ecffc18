"""Signs exactly what is sent (AWS Signature Version 4), by botocore's signer.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from gateway.execute.forward import Forwarder
from gateway.lend.sources import Unavailable
from gateway.model import Call, Lent
from gateway.model.credentials import Aws

_UNSIGNED = "UNSIGNED-PAYLOAD"
_TRAILED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_FIELDS = ("X-Amz-Date", "X-Amz-Content-SHA256", "Authorization")
_HASH = b"x-amz-content-sha256"

logging.getLogger("botocore").setLevel(logging.INFO)  # at debug it logs signatures and session tokens


class _S3(S3SigV4Auth):  # type: ignore[misc]
    """Paths as they are. What hash of the body counts is told in the request."""

    def _modify_request_before_signing(self, request: Any) -> None:
        SigV4Auth._modify_request_before_signing(self, request)


class Signer:
    """Signs calls to one tool."""

    def __init__(self, settings: Aws, forwarder: Forwarder) -> None:
        self._settings, self._forwarder = settings, forwarder
        self._s3 = settings.service.startswith("s3")
        self._tls = forwarder.tool.origin.scheme == "https"
        self._scheme = forwarder.tool.origin.scheme

    def sign(self, call: Call, body: bytes | None, keys: ReadOnlyCredentials, so_far: Lent) -> Lent:
        """The fields that prove who asks for just this.

        Raises:
            Unavailable: the body would have to be read and cannot.
        """
        forwarder = self._forwarder
        host = forwarder.host(call).decode("latin-1")
        url = f"{self._scheme}://{host}{forwarder.target(call, so_far)}"
        request = AWSRequest(method=call.request.method, url=url)
        request.headers["Host"] = host
        for name, value in forwarder.kept(call, so_far):
            low = name.lower()
            if low == b"content-type" or low.startswith(b"x-amz-"):
                request.headers[low.decode("latin-1")] = value.decode("latin-1")
        for name, value in so_far.fields:
            if name.lower().startswith(b"x-amz-"):
                request.headers[name.lower().decode("latin-1")] = value.decode("latin-1")
        request.headers["X-Amz-Content-SHA256"] = self._hash(call, body)
        kind = _S3 if self._s3 else SigV4Auth
        kind(keys, self._settings.service, self._settings.region).add_auth(request)
        names = (*_FIELDS, "X-Amz-Security-Token") if keys.token else _FIELDS
        fields = tuple([(name.encode(), request.headers[name].encode("latin-1")) for name in names])
        signature = request.headers["Authorization"].rpartition("Signature=")[2]
        return Lent(fields, (), (signature, keys.token) if keys.token else (signature,))

    def _hash(self, call: Call, body: bytes | None) -> str:
        if body is None and not call.request.length:
            body = b""
        told = call.request.lookup.get(_HASH, b"").decode("latin-1")
        if self._s3 and self._tls and told == _TRAILED:
            return _TRAILED
        if told.startswith("STREAMING-"):
            raise Unavailable("the agent has signed the body in pieces; it must send it unsigned, or in one piece", 400)
        if body is not None:
            return hashlib.sha256(body).hexdigest()
        if self._s3 and self._tls:
            return _UNSIGNED
        raise Unavailable(f"the body is over {call.tool.body_limit} bytes and could not be read to sign it", 413)


__all__ = ["Signer"]
