"""Requests that must never reach a tool: each a name and its bytes."""

from __future__ import annotations

HOST = b"Host: gateway.test\r\n"
NEXT = b"GET /raw/smuggled HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
"""What an attacker hopes the tool takes for a second request."""


def _post(fields: bytes, body: bytes = b"") -> bytes:
    return b"POST /raw/x HTTP/1.1\r\n" + HOST + fields + b"\r\n" + body


def _get(fields: bytes = b"", line: bytes = b"GET /raw/x HTTP/1.1") -> bytes:
    return line + b"\r\n" + fields + b"\r\n"


CHUNKED = b"Transfer-Encoding: chunked\r\n"

FRAMING = {
    "CL then TE": _post(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n" + NEXT),
    "TE then CL": _post(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n" + NEXT),
    "two lengths that differ": _post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"aaaaaa" + NEXT),
    "two lengths that agree": _post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"aaaaa" + NEXT),
    "list of lengths": _post(b"Content-Length: 5, 5\r\n", b"aaaaa" + NEXT),
    "signed length": _post(b"Content-Length: +5\r\n", b"aaaaa" + NEXT),
    "negative length": _post(b"Content-Length: -5\r\n", b"aaaaa" + NEXT),
    "hex length": _post(b"Content-Length: 0x5\r\n", b"aaaaa" + NEXT),
    "length with underscore": _post(b"Content-Length: 1_0\r\n", b"a" * 10 + NEXT),
    "empty length": _post(b"Content-Length:\r\n", NEXT),
    "huge length": _post(b"Content-Length: 99999999999999999999999999\r\n", b"a" + NEXT),
    "length with inner space": _post(b"Content-Length: 1 0\r\n", b"a" * 10 + NEXT),
    "length with NUL": _post(b"Content-Length: 5\x00\r\n", b"aaaaa" + NEXT),
    "unknown coding": _post(b"Transfer-Encoding: cow\r\n", b"0\r\n\r\n" + NEXT),
    "gzip, chunked": _post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n" + NEXT),
    "chunked, gzip": _post(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n" + NEXT),
    "chunked twice in one": _post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n" + NEXT),
    "chunked twice": _post(CHUNKED + CHUNKED, b"0\r\n\r\n" + NEXT),
    "identity and chunked": _post(b"Transfer-Encoding: identity\r\n" + CHUNKED, b"0\r\n\r\n" + NEXT),
    "identity": _post(b"Transfer-Encoding: identity\r\nContent-Length: 0\r\n", NEXT),
    "coding with vertical tab": _post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n" + NEXT),
    "quoted coding": _post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n" + NEXT),
    "coding with parameter": _post(b"Transfer-Encoding: chunked;x=y\r\n", b"0\r\n\r\n" + NEXT),
    "empty coding": _post(b"Transfer-Encoding:\r\nContent-Length: 3\r\n", b"abc" + NEXT),
    "empty element": _post(b"Transfer-Encoding: ,chunked\r\n", b"0\r\n\r\n" + NEXT),
    "coding in HTTP/1.0": b"POST /raw/x HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n0\r\n\r\n" + NEXT,
    "coding on a folded line": _post(b"X-A: b\r\n Transfer-Encoding: chunked\r\n", b"0\r\n\r\n" + NEXT),
    "folded coding": _post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n" + NEXT),
    "space before colon": _post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n" + NEXT),
    "space before colon of length": _post(b"Content-Length : 5\r\n", b"aaaaa" + NEXT),
    "tab before colon": _post(b"Content-Length\t: 5\r\n", b"aaaaa" + NEXT),
    "name with leading space": _post(b" Content-Length: 5\r\n", b"aaaaa" + NEXT),
    "name with underscore twin": _post(b"Content_Length: 5\r\nContent-Length: 0, 5\r\n", b"aaaaa" + NEXT),
}
"""The length of the body can be read in two ways."""

CHUNKS = {
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "not hex": b"xyz\r\nabc\r\n0\r\n\r\n",
    "0x prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "sign": b"+3\r\nabc\r\n0\r\n\r\n",
    "minus": b"-3\r\nabc\r\n0\r\n\r\n",
    "underscore": b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n",
    "leading space": b" 3\r\nabc\r\n0\r\n\r\n",
    "overflow": b"ffffffffffffffff1\r\nabc\r\n0\r\n\r\n",
    "LF after size": b"3\nabc\r\n0\r\n\r\n",
    "CR after size": b"3\rabc\r\n0\r\n\r\n",
    "LF after data": b"3\r\nabc\n0\r\n\r\n",
    "data too long": b"3\r\nabcd\r\n0\r\n\r\n",
    "nothing after data": b"3\r\nabc0\r\n\r\n",
    "LF in extension": b"3;a\nb=1\r\nabc\r\n0\r\n\r\n",
    "CR in extension": b"3;a\rb=1\r\nabc\r\n0\r\n\r\n",
    "NUL in extension": b"3;a=\x00\r\nabc\r\n0\r\n\r\n",
    "endless extension": b"3;" + b"a" * 100_000 + b"\r\nabc\r\n0\r\n\r\n",
    "LF after last": b"3\r\nabc\r\n0\n\n",
    "trailer without colon": b"3\r\nabc\r\n0\r\nbroken\r\n\r\n",
    "trailer with space before colon": b"3\r\nabc\r\n0\r\nX : y\r\n\r\n",
    "trailer with bare LF": b"3\r\nabc\r\n0\r\nX: a\nY: b\r\n\r\n",
    "endless trailers": b"3\r\nabc\r\n0\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
    "many trailers": b"3\r\nabc\r\n0\r\n" + b"X: y\r\n" * 3000 + b"\r\n",
}
"""Chunked bodies that parsers read differently (the body only; a chunked head comes before)."""

HEADS = {
    "bare LF after line": b"GET /raw/x HTTP/1.1\n" + HOST + b"\r\n",
    "bare LF after field": b"GET /raw/x HTTP/1.1\r\nHost: tool.test\nX: y\r\n\r\n",
    "bare LF at the end": b"GET /raw/x HTTP/1.1\r\n" + HOST + b"\n",
    "all bare LF": b"GET /raw/x HTTP/1.1\nHost: tool.test\n\n",
    "bare CR in value": _get(HOST + b"X: a\rb\r\n"),
    "CR CR LF": b"GET /raw/x HTTP/1.1\r\r\n" + HOST + b"\r\n",
    "bare CR as line end": b"GET /raw/x HTTP/1.1\rHost: tool.test\r\n\r\n",
    "NUL in value": _get(HOST + b"X: a\x00b\r\n"),
    "NUL in name": _get(HOST + b"X\x00Y: a\r\n"),
    "control character in value": _get(HOST + b"X: a\x07b\r\n"),
    "DEL in value": _get(HOST + b"X: a\x7fb\r\n"),
    "folded field": _get(HOST + b"X: a\r\n b\r\n"),
    "folded first field": b"GET /raw/x HTTP/1.1\r\n Host: tool.test\r\n\r\n",
    "space in name": _get(HOST + b"X Y: a\r\n"),
    "space before colon": _get(HOST + b"X : a\r\n"),
    "no colon": _get(HOST + b"Nonsense\r\n"),
    "empty name": _get(HOST + b": a\r\n"),
    "non-ASCII name": _get(HOST + b"X-\xc3\xa9: a\r\n"),
    "brackets in name": _get(HOST + b"X(Y): a\r\n"),
    "no Host": _get(b"X: y\r\n"),
    "two Hosts": _get(HOST + b"Host: other.test\r\n"),
    "two same Hosts": _get(HOST + HOST),
    "empty Host": _get(b"Host:\r\n"),
    "Host with space": _get(b"Host: tool.test evil.test\r\n"),
    "Host with comma": _get(b"Host: tool.test,evil.test\r\n"),
    "Host with slash": _get(b"Host: tool.test/evil\r\n"),
    "Host with user": _get(b"Host: tool.test@evil.test\r\n"),
    "Host with query": _get(b"Host: tool.test?x\r\n"),
    "Host with bad port": _get(b"Host: tool.test:80x\r\n"),
    "Host with non-ASCII": _get(b"Host: t\xc3\xb6\xc3\xb6l.test\r\n"),
    "Host with open bracket": _get(b"Host: [::1\r\n"),
    "absolute form without Host": b"GET http://tool.test/x HTTP/1.1\r\n\r\n",
    "no version": b"GET /raw/x\r\n" + HOST + b"\r\n",
    "a method alone": b"GET\r\n\r\n",
    "one word": b"nonsense\r\n\r\n",
    "lower-case version": _get(HOST, b"GET /raw/x http/1.1"),
    "version 2": _get(HOST, b"GET /raw/x HTTP/2.0"),
    "version 1.2": _get(HOST, b"GET /raw/x HTTP/1.2"),
    "version 0.9": _get(HOST, b"GET /raw/x HTTP/0.9"),
    "version 1.10": _get(HOST, b"GET /raw/x HTTP/1.10"),
    "version ICY": _get(HOST, b"GET /raw/x ICY/1.1"),
    "two spaces": _get(HOST, b"GET  /raw/x HTTP/1.1"),
    "tab for space": _get(HOST, b"GET\t/raw/x HTTP/1.1"),
    "space in target": _get(HOST, b"GET /raw/x y HTTP/1.1"),
    "space at the end": _get(HOST, b"GET /raw/x HTTP/1.1 "),
    "no target": _get(HOST, b"GET  HTTP/1.1"),
    "relative target": _get(HOST, b"GET raw/x HTTP/1.1"),
    "fragment": _get(HOST, b"GET /raw/x#frag HTTP/1.1"),
    "NUL in target": _get(HOST, b"GET /raw/\x00 HTTP/1.1"),
    "control character in target": _get(HOST, b"GET /raw/\x01 HTTP/1.1"),
    "lower-case method": _get(HOST, b"get /raw/x HTTP/1.1"),
    "method of other characters": _get(HOST, b"GE(T /raw/x HTTP/1.1"),
    "leading space": b" " + _get(HOST),
    "oversized head": _get(HOST + b"X: " + b"y" * 70_000 + b"\r\n"),
    "oversized target": _get(HOST, b"GET /raw/" + b"y" * 70_000 + b" HTTP/1.1"),
    "oversized name": _get(HOST + b"X" * 70_000 + b": y\r\n"),
    "too many fields": _get(HOST + b"".join(b"X-%d: y\r\n" % number for number in range(129))),
}
"""Heads that are not HTTP/1.1, or that two readers could read in two ways."""
