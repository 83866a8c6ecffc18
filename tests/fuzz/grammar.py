"""Messages that are nearly right: pieces that parsers quarrel about, and small random damage."""

from __future__ import annotations

from hypothesis import strategies as st

ENDS = st.sampled_from([b"\r\n"] * 150 + [b"\n", b"\r", b"\r\r\n", b"\n\r\n", b"\r\n ", b"\r\n\t"])
METHODS = st.sampled_from([b"GET", b"POST"] * 4 + [b"PUT", b"DELETE", b"OPTIONS", b"QUERY", b"X", b"get", b"G(T", b""])
TARGETS = st.sampled_from(
    [b"/raw/a"] * 8
    + [
        b"/raw/a",
        b"/raw/b?x=1",
        b"/raw/%2e%2e/c",
        b"*",
        b"http://tool.test/a",
        b"tool.test:80",
        b"//raw/x",
        b"/raw/\x80",
        b"",
    ]
)
VERSIONS = st.sampled_from([b"HTTP/1.1"] * 12 + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b""])
FIELDS = st.sampled_from(
    [
        b"Content-Length: 5", b"Content-Length: 0", b"Content-Length: 5, 5", b"Content-Length:\t5 ",
        b"Content-Length: +5",
        b"content-length: 6", b"Content-Length : 5", b"Content-Length: 0x5", b"Content-Length: 05",
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"transfer-encoding: CHUNKED",
        b"Transfer-Encoding : chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding:\x0bchunked",
        b"Transfer-Encoding: chunked, chunked", b"TE: trailers", b"Trailer: X", b"Expect: 100-continue", b"Expect: no",
        b"Connection: close", b"Connection: keep-alive", b"Connection: Content-Length",
        b"Connection: Transfer-Encoding",
        b"Upgrade: h2c", b"Host: other.test", b"X: y", b"X:", b"X: a\x00b", b" X: folded", b"\tY", b"X y: z", b": z",
        b"X\x80: y",
    ]
)  # fmt: skip
BODIES = st.sampled_from(
    [
        b"", b"", b"hello", b"hello!", b"0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n",
        b"5\nhello\n0\n\n", b"05\r\nhello\r\n00\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n",
        b"6\r\nhello\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n", b"5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n",
        b"ffffffffffffffffff\r\n",
    ]
)  # fmt: skip


FRAMED = st.sampled_from(
    [
        ([], b""), ([b"Content-Length: 5"], b"hello"), ([b"Content-Length: 0"], b""),
        ([b"X: y", b"Expect: 100-continue"], b""),
        ([b"Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n"),
        ([b"Transfer-Encoding: chunked", b"Trailer: X"], b"2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n"),
        ([b"Connection: close, X", b"X: y", b"Content-Length: 5"], b"hello"),
    ]
)  # fmt: skip
"""Fields and a body that fit."""


@st.composite
def sound(draw: st.DrawFn) -> bytes:
    """A request with nothing wrong about it."""
    fields, body = draw(FRAMED)
    line = draw(st.sampled_from([b"GET", b"POST", b"QUERY"])) + b" /raw/sound HTTP/1.1"
    return b"\r\n".join([line, b"Host: gateway.test", *fields, b"", body])


@st.composite
def doubtful(draw: st.DrawFn) -> bytes:
    """One request, mostly with a Host, with up to four fields and a body that may not fit them."""
    line = b" ".join((draw(METHODS), draw(TARGETS), draw(VERSIONS)))
    hosts = st.sampled_from([[b"Host: gateway.test"]] * 12 + [[], [b"Host:"], [b"Host: a b"], [b"Host: a", b"Host: a"]])
    fields, body = draw(FRAMED)
    parts = [line, *draw(hosts), *fields, *draw(st.lists(FIELDS, max_size=2)), b""]
    return b"".join(part + draw(ENDS) for part in parts) + draw(st.one_of(st.just(body), BODIES))


def requests() -> st.SearchStrategy[bytes]:
    return st.one_of(sound(), sound(), doubtful())


ANSWER_LINES = st.sampled_from(
    [b"HTTP/1.1 200 OK"] * 8
    + [b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No", b"HTTP/1.1 304 No", b"HTTP/1.1 100 Go on", b"HTTP/1.1 101 Switch",
       b"HTTP/1.1 200", b"HTTP/1.1 99 x", b"HTTP/1.1 1000 x", b"HTTP/2 200", b"200 OK", b""]
)  # fmt: skip


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """One answer of a tool, in the same spirit."""
    parts = [draw(ANSWER_LINES), *draw(st.lists(FIELDS, max_size=3)), b""]
    return b"".join(part + draw(ENDS) for part in parts) + draw(BODIES)


@st.composite
def damaged(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> bytes:
    """Up to three messages in a row, with up to three small mutations."""
    data = b"".join(draw(st.lists(messages, min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 3)) if draw(st.booleans()) else 0):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["insert", "delete", "replace", "double", "cut"]))
        byte = draw(st.sampled_from([b"\x00", b"\r", b"\n", b" ", b"\t", b":", b"\xff", b"0", b"5", b"A", b";", b","]))
        end = min(len(data), at + draw(st.integers(1, 8)))
        data = {
            "insert": data[:at] + byte + data[at:],
            "delete": data[:at] + data[end:],
            "replace": data[:at] + byte + data[at + 1 :],
            "double": data[:end] + data[at:],
            "cut": data[:at] or b"\r",
        }[kind]
    return data
