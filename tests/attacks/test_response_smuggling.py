"""Attack: a hostile upstream answers so that one caller gets what was meant for another, or two answers to one call."""

from __future__ import annotations

import pytest
from wire import OK, Wire

GET = b"GET /v1/x HTTP/1.1\r\nHost: orders.internal\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

MALFORMED = {
    "CL and TE": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
    "a list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n",
    "two encodings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
    "gzip": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "chunked in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\n",
    "bare CR": b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
    "a folded line": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    "NUL": b"HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n",
    "space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n",
    "HTTP/2": b"HTTP/2 200 OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status above 599": b"HTTP/1.1 600 OK\r\n\r\n",
    "an empty line first": b"\r\n" + OK,
    "no http": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "content in 204": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    "content in 103": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello",
    "101 that nobody asked for": b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "a bare 101": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_an_ambiguous_response_is_refused_and_its_connection_ends(relay: Wire, name: str) -> None:
    relay.send(GET).respond(MALFORMED[name])
    assert relay.reasons == ["upstream-malformed"] and relay.aborted, relay
    assert relay.caller.startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize(
    "response",
    [
        OK + OK,
        b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
        CHUNKED + b"2\r\nhi\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nhello",
    ],
)
def test_what_follows_a_response_belongs_to_nobody(relay: Wire, response: bytes) -> None:
    relay.send(GET).respond(response)
    assert relay.caller.count(b"HTTP/1.1 ") == 1 and b"hello" not in relay.caller
    assert relay.aborted and not relay.closed, "the upstream connection is not used again"


def test_a_response_to_head_has_no_content(relay: Wire) -> None:
    relay.send(HEAD).respond(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    assert relay.caller.endswith(b"\r\n\r\n") and b"Content-Length: 2\r\n" in relay.caller and relay.aborted


def test_bytes_between_calls_belong_to_nobody(relay: Wire) -> None:
    relay.send(GET).respond().respond(OK)
    assert relay.caller.count(b"HTTP/1.1 ") == 1 and relay.aborted


@pytest.mark.parametrize("end", [b"5\r\nhel", b"zz\r\n", b"5;x\r\nhello\r\n", b"5\r\nhello0\r\n\r\n"])
def test_a_response_that_cannot_be_completed_is_cut_off_and_not_completed(relay: Wire, end: bytes) -> None:
    relay.send(GET).respond(CHUNKED + b"2\r\nhi\r\n").respond(end)
    relay.fail(4, written=True)
    assert relay.reset and not relay.caller.endswith(b"0\r\n\r\n")
    assert relay.caller.count(b"HTTP/1.1 ") == 1


def test_a_broken_connection_does_not_complete_a_response_that_its_end_would(relay: Wire) -> None:
    relay.send(GET).respond(b"HTTP/1.1 200 OK\r\n\r\nhello").fail(5, written=True)
    assert relay.reset and not relay.caller.endswith(b"0\r\n\r\n")


def test_fields_of_the_upstreams_connection_stay_there(relay: Wire) -> None:
    relay.send(GET).respond(
        b"HTTP/1.1 200 OK\r\nConnection: x-internal, close\r\nX-Internal: 1\r\nKeep-Alive: 5\r\n"
        b"Proxy-Authenticate: x\r\n"
        b"X-Request-Id: theirs\r\nContent-Length: 0\r\n\r\n"
    )
    lower = relay.caller.lower()
    assert not any(name in lower for name in (b"x-internal", b"keep-alive", b"proxy-authenticate", b"theirs"))
    assert relay.aborted, "the upstream said that it would close"


def test_interim_responses_come_to_an_end(relay: Wire) -> None:
    relay.send(GET).respond(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 17)
    assert relay.reasons == ["upstream-malformed"]


def test_a_caller_of_1_0_gets_neither_chunks_nor_interim_responses(relay: Wire) -> None:
    relay.send(GET.replace(b"HTTP/1.1", b"HTTP/1.0"))
    relay.respond(b"HTTP/1.1 103 Early Hints\r\n\r\n" + CHUNKED + b"2\r\nhi\r\n0\r\n\r\n")
    assert relay.caller.endswith(b"\r\n\r\nhi") and b" 103 " not in relay.caller and b"chunked" not in relay.caller
    assert relay.closed


def test_an_endless_response_head_is_refused(relay: Wire) -> None:
    relay.send(GET).respond(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 40_000)
    assert relay.reasons == ["upstream-malformed"]
