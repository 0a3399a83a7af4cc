"""Attack: bytes that one reader takes for one request and another for two.

Each message breaks one rule of RFC 9112 that a lenient recipient would repair. It is refused, the connection is closed,
and nothing of it or of what follows reaches the upstream. The core's own tests name the rule for each, in every split.
"""

from __future__ import annotations

import pytest
from wire import Wire, signed

HOST = b"Host: orders.internal\r\n"
INNER = b"GET /v1/admin/users HTTP/1.1\r\nHost: orders.internal\r\n\r\n"


def head(*lines: bytes, start: bytes = b"POST /v1/x HTTP/1.1", host: bytes = HOST) -> bytes:
    return start + b"\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


CHUNKED = b"Transfer-Encoding: chunked"
MESSAGES = {
    "CL.TE": head(b"Content-Length: 6", CHUNKED) + b"0\r\n\r\n",
    "TE.CL": head(CHUNKED, b"Content-Length: 4") + b"5c\r\n",
    "two lengths": head(b"Content-Length: 4", b"Content-Length: 8"),
    "two equal lengths": head(b"Content-Length: 0", b"Content-Length: 0"),
    "a list of lengths": head(b"Content-Length: 4, 4"),
    "a signed length": head(b"Content-Length: +4"),
    "a negative length": head(b"Content-Length: -1"),
    "a hexadecimal length": head(b"Content-Length: 0x4"),
    "an octal length": head(b"Content-Length: 010"),
    "an empty length": head(b"Content-Length:"),
    "a length with a space in it": head(b"Content-Length: 4 2"),
    "a length beyond 64 bits": head(b"Content-Length: 18446744073709551620"),
    "two encodings": head(CHUNKED, CHUNKED),
    "a list of encodings": head(b"Transfer-Encoding: chunked, identity"),
    "gzip": head(b"Transfer-Encoding: gzip, chunked"),
    "identity": head(b"Transfer-Encoding: identity"),
    "xchunked": head(b"Transfer-Encoding: xchunked"),
    "chunked with a parameter": head(b"Transfer-Encoding: chunked;q=1"),
    "a quoted chunked": head(b'Transfer-Encoding: "chunked"'),
    "an empty encoding": head(b"Transfer-Encoding:"),
    "vertical tab before chunked": head(b"Transfer-Encoding: \x0bchunked"),
    "encoding in 1.0": head(CHUNKED, start=b"POST /v1/x HTTP/1.0"),
    "space before the colon": head(b"Transfer-Encoding : chunked"),
    "tab before the colon": head(b"Content-Length\t: 4"),
    "space before the name": head(b" Transfer-Encoding: chunked"),
    "a folded line": head(b"X-A: 1", b" Transfer-Encoding: chunked"),
    "a folded encoding": head(b"Transfer-Encoding:", b" chunked"),
    "bare LF": head(CHUNKED).replace(b"\r\n", b"\n"),
    "one bare LF": head(b"X-A: 1\nTransfer-Encoding: chunked"),
    "bare CR": head(b"X-A: 1\rTransfer-Encoding: chunked"),
    "NUL in a value": head(b"X-A: 1\x00"),
    "NUL in a name": head(b"X-\x00A: 1"),
    "a control in a value": head(b"X-A: \x01"),
    "a name that is no token": head(b"X(A): 1"),
    "a line without a colon": head(b"X-A"),
    "an empty name": head(b": x"),
    "HTTP/0.9": b"GET /v1/x\r\n\r\n",
    "HTTP/1.2": head(start=b"GET /v1/x HTTP/1.2"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http/1.1": head(start=b"GET /v1/x http/1.1"),
    "two spaces": head(start=b"GET  /v1/x HTTP/1.1"),
    "a tab": head(start=b"GET\t/v1/x HTTP/1.1"),
    "a trailing space": head(start=b"GET /v1/x HTTP/1.1 "),
    "no target": head(start=b"GET HTTP/1.1"),
    "a space in the target": head(start=b"GET /v1/x y HTTP/1.1"),
    "a fragment": head(start=b"GET /v1/x#y HTTP/1.1"),
    "a relative target": head(start=b"GET v1/x HTTP/1.1"),
    "CONNECT": head(start=b"CONNECT orders.internal:443 HTTP/1.1"),
    "asterisk with GET": head(start=b"GET * HTTP/1.1"),
    "another scheme": head(start=b"GET ftp://orders.internal/v1/x HTTP/1.1"),
    "userinfo": head(start=b"GET http://u@orders.internal/v1/x HTTP/1.1"),
    "no host": head(host=b""),
    "no host in 1.0": head(start=b"GET /v1/x HTTP/1.0", host=b""),
    "two hosts": head(HOST.strip()),
    "an empty host": head(host=b"Host:\r\n"),
    "a host with a path": head(host=b"Host: orders.internal/v1\r\n"),
    "a host with a comma": head(host=b"Host: orders.internal, x\r\n"),
    "a host with userinfo": head(host=b"Host: x@orders.internal\r\n"),
    "a host with an odd port": head(host=b"Host: orders.internal:0x50\r\n"),
    "a host against the target": head(start=b"GET http://admin.internal/v1/x HTTP/1.1"),
    "two empty lines before": b"\r\n\r\n" + head(start=b"GET /v1/x HTTP/1.1"),
}

CHUNKS = {
    "an extension": b"5;a=b\r\nhello\r\n0\r\n\r\n",
    "an extension without a value": b"5;\r\nhello\r\n0\r\n\r\n",
    "a space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "a space behind the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "a sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "an underscore": b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "17 digits": b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    "a bare LF behind the size": b"5\nhello\r\n0\r\n\r\n",
    "a bare LF behind the content": b"5\r\nhello\n0\r\n\r\n",
    "content longer than its size": b"3\r\nhello\r\n0\r\n\r\n",
    "a bare LF at the end": b"5\r\nhello\r\n0\n\n",
    "a trailer that is no field": b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n",
    "a folded trailer": b"5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n",
    "a NUL in a trailer": b"5\r\nhello\r\n0\r\nA: \x00\r\n\r\n",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_an_ambiguous_head_is_refused_and_nothing_of_it_gets_through(relay: Wire, name: str) -> None:
    relay.send(MESSAGES[name] + INNER)
    assert relay.refused("malformed"), relay
    assert relay.closed
    assert relay.send(INNER).refused("malformed"), "what follows is discarded"


@pytest.mark.parametrize("name", MESSAGES)
def test_the_same_byte_by_byte(relay: Wire, name: str) -> None:
    for byte in MESSAGES[name] + INNER:
        relay.send(bytes([byte]))
    assert relay.refused("malformed"), relay


@pytest.mark.parametrize("name", CHUNKS)
def test_an_ambiguous_body_is_cut_off_and_what_hides_in_it_is_no_request(relay: Wire, name: str) -> None:
    relay.send(head(CHUNKED))
    relay.send(CHUNKS[name] + INNER)
    assert relay.reasons == ["malformed"] and relay.aborted and relay.closed, relay
    assert len(relay.upstream) == 1
    content = relay.upstream[0].split(b"\r\n\r\n", 1)[1]
    assert b"admin" not in content and not content.endswith(b"0\r\n\r\n")
    assert len(relay.send(INNER).upstream) == 1


def test_what_a_body_holds_is_never_a_request(relay: Wire) -> None:
    relay.send(head(b"Content-Length: %d" % len(INNER)) + INNER)
    assert relay.passed()
    relay.respond()
    assert len(relay.upstream) == 1
    relay.send(head(CHUNKED) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER)).respond()
    assert len(relay.upstream) == 2


def test_a_get_with_a_body_is_one_request(relay: Wire) -> None:
    relay.send(head(b"Content-Length: %d" % len(INNER), start=b"GET /v1/x HTTP/1.1") + INNER)
    assert relay.passed() and b"Content-Length: %d\r\n" % len(INNER) in relay.upstream[0]


def test_what_is_forwarded_is_framed_anew(relay: Wire) -> None:
    relay.send(
        head(b"transfer-encoding:   cHuNkEd  ", b"X-A:1") + b"0005\r\nhello\r\n000\r\nX-Pyproxy-Principal: x\r\n\r\n"
    )
    assert relay.passed(), relay
    assert relay.upstream[0].lower().count(b"transfer-encoding: chunked\r\n") == 1
    assert relay.upstream[0].endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "trailers are dropped"


def test_a_signature_makes_no_ambiguity_good(wire: Wire) -> None:
    call = signed("POST", body=b"payload").plus(("Transfer-Encoding", "chunked"))
    call.body = b"7\r\npayload\r\n0\r\n\r\n"
    assert wire.send(call.bytes()).refused("malformed"), wire


def test_the_request_behind_a_refused_one_is_judged_on_its_own(relay: Wire) -> None:
    relay.send(head(start=b"GET /nowhere HTTP/1.1") + head(start=b"GET /v1/x HTTP/1.1"))
    assert relay.reasons == ["no-route"] and len(relay.upstream) == 1
