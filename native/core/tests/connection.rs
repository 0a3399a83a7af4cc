//! The whole connection in memory: time is an argument, any byte split gives the same outcome.

mod world;

use proptest::prelude::*;
use pyproxy_core::action::Flags;
use pyproxy_core::rejection::Reason;
use pyproxy_core::{Blocked, UpstreamFailure};
use world::{GET, World, get, text};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn a_call_is_forwarded_and_its_response_returned() {
    let mut world = World::open();
    let sent = world.receive(&get("/v1/x?a=b"));
    assert!(sent.flags.contains(Flags::CONNECT));
    let head = text(&sent.to_upstream);
    assert!(head.starts_with("GET /v1/x?a=b HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nHost: orders.internal\r\n"), "{head}");
    assert!(head.contains("\r\nVia: 1.1 edge-1\r\n"), "{head}");
    let answer = world.respond(OK);
    assert!(text(&answer.to_downstream).starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(text(&answer.to_downstream).ends_with("\r\n\r\nhi"));
    assert_eq!(answer.flags, Flags::RELEASE);
    assert_eq!(answer.ended[0].status, 200);
    assert_eq!(answer.ended[0].response_body_bytes, 2);
}

#[test]
fn the_next_request_waits_until_the_answer_is_complete() {
    let mut world = World::open();
    let two = [get("/v1/a"), get("/v1/b")].concat();
    let first = world.receive(&two);
    assert!(text(&first.to_upstream).starts_with("GET /v1/a "));
    assert!(!text(&first.to_upstream).contains("/v1/b"));
    assert!(first.flags.contains(Flags::CONNECT | Flags::PAUSE));
    let answer = world.respond(OK);
    assert!(answer.flags.contains(Flags::RELEASE | Flags::AGAIN | Flags::RESUME));
    let second = world.receive(b"");
    assert!(text(&second.to_upstream).starts_with("GET /v1/b "));
}

#[test]
fn a_refusal_on_a_kept_connection_lets_the_next_call_through() {
    let mut world = World::open();
    let refused = world.receive(b"GET /other HTTP/1.1\r\nHost: orders.internal\r\n\r\n");
    assert!(text(&refused.to_downstream).starts_with("HTTP/1.1 404 "));
    assert_eq!(refused.ended[0].rejection.as_ref().unwrap().reason, Reason::NoRoute);
    assert!(!refused.flags.contains(Flags::CLOSE));
    assert!(world.receive(&get("/v1/x")).flags.contains(Flags::CONNECT));
}

#[test]
fn a_malformed_head_is_refused_at_once_and_nothing_reaches_the_upstream() {
    let mut world = World::open();
    let refused = world.receive(b"GET /v1/x HTTP/1.1\nHost: orders.internal\n\n");
    assert!(text(&refused.to_downstream).starts_with("HTTP/1.1 400 "));
    assert!(refused.flags.contains(Flags::CLOSE | Flags::LINGER));
    assert!(refused.to_upstream.is_empty());
    assert!(world.receive(&get("/v1/x")).to_upstream.is_empty(), "what follows is discarded");
}

#[test]
fn a_response_of_two_is_one_and_its_connection_is_not_used_again() {
    let mut world = World::open();
    world.receive(&get("/v1/x"));
    let answer = world.respond(&[OK, OK].concat());
    assert_eq!(text(&answer.to_downstream).matches("HTTP/1.1").count(), 1);
    assert!(answer.flags.contains(Flags::ABORT) && !answer.flags.contains(Flags::RELEASE));
}

#[test]
fn a_close_delimited_response_is_chunked_for_the_caller() {
    let mut world = World::open();
    world.receive(&get("/v1/x"));
    let head = world.respond(b"HTTP/1.1 200 OK\r\n\r\nabc");
    assert!(text(&head.to_downstream).contains("Transfer-Encoding: chunked\r\n"));
    assert!(text(&head.to_downstream).ends_with("\r\n3\r\nabc\r\n"));
    let end = world.upstream_failed(UpstreamFailure::Closed, true, false);
    assert_eq!(text(&end.to_downstream), "0\r\n\r\n");
    assert_eq!(end.flags, Flags::ABORT);
}

#[test]
fn a_cut_off_response_resets_the_caller() {
    let mut world = World::open();
    world.receive(&get("/v1/x"));
    world.respond(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    let end = world.upstream_failed(UpstreamFailure::Closed, true, false);
    assert!(end.flags.contains(Flags::RESET | Flags::ABORT));
    assert!(end.to_downstream.is_empty());
    assert_eq!(end.ended[0].ended, "upstream-closed");
}

#[test]
fn a_safe_call_is_sent_again_once_where_a_reused_connection_had_closed() {
    let mut world = World::open();
    world.receive(&get("/v1/x"));
    let again = world.upstream_failed(UpstreamFailure::Closed, true, true);
    assert_eq!(again.flags, Flags::CONNECT | Flags::RESEND);
    let failed = world.upstream_failed(UpstreamFailure::Closed, true, true);
    assert!(text(&failed.to_downstream).starts_with("HTTP/1.1 502 "));
}

#[test]
fn an_unsafe_call_is_never_sent_twice_once_written() {
    for (written, reused, resent) in [(true, true, false), (true, false, false), (false, false, true)] {
        let mut world = World::open();
        world.receive(b"POST /v1/x HTTP/1.1\r\nHost: orders.internal\r\nContent-Length: 0\r\n\r\n");
        let outcome = world.upstream_failed(UpstreamFailure::Closed, written, reused);
        assert_eq!(outcome.flags.contains(Flags::RESEND), resent, "{written} {reused}");
    }
}

#[test]
fn a_large_call_is_not_sent_again_for_nobody_keeps_it() {
    for (length, resent) in [(1_000, true), (70_000, false)] {
        let mut world = World::open();
        let head = format!("OPTIONS /v1/x HTTP/1.1\r\nHost: orders.internal\r\nContent-Length: {length}\r\n\r\n");
        world.receive(&[head.as_bytes(), &vec![b'x'; length]].concat());
        let outcome = world.upstream_failed(UpstreamFailure::Closed, true, true);
        assert_eq!(outcome.flags.contains(Flags::RESEND), resent, "{length}");
    }
}

#[test]
fn timeouts_end_each_state_in_its_own_way() {
    let mut world = World::open();
    world.pass_s(74.0);
    assert!(world.check_timeout(Blocked::Nobody).is_empty());
    world.pass_s(2.0);
    let idle = world.check_timeout(Blocked::Nobody);
    assert!(idle.flags.contains(Flags::CLOSE) && idle.to_downstream.is_empty(), "an idle connection just ends");

    let mut world = World::open();
    world.receive(b"GET /v1/x HTT");
    world.pass_s(9.0);
    world.receive(b"P");
    world.pass_s(2.0);
    let slow = world.check_timeout(Blocked::Nobody);
    assert!(text(&slow.to_downstream).starts_with("HTTP/1.1 408 "), "the time runs from the first byte");

    let mut world = World::open();
    world.receive(&get("/v1/x"));
    world.pass_s(61.0);
    let silent = world.check_timeout(Blocked::Nobody);
    assert!(text(&silent.to_downstream).starts_with("HTTP/1.1 504 "));
    assert!(silent.flags.contains(Flags::ABORT));
}

#[test]
fn an_upgrade_becomes_a_tunnel_only_after_101() {
    let mut world = World::open();
    let sent = world
        .receive(b"GET /v1/ws HTTP/1.1\r\nHost: orders.internal\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert!(text(&sent.to_upstream).contains("Upgrade: websocket\r\n"));
    assert!(world.receive(b"early").flags.contains(Flags::PAUSE), "kept until the upstream agrees");
    let switched =
        world.respond(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello");
    assert!(text(&switched.to_downstream).starts_with("HTTP/1.1 101 "));
    assert!(text(&switched.to_downstream).ends_with("hello"));
    assert_eq!(text(&switched.to_upstream), "early");
    assert!(world.receive(b"frame").flags.contains(Flags::RELAY_UPSTREAM));
    assert!(world.respond(b"frame").flags.contains(Flags::RELAY_DOWNSTREAM));
}

#[test]
fn a_101_that_nobody_asked_for_is_the_upstreams_fault() {
    let mut world = World::open();
    world.receive(&get("/v1/x"));
    let bad = world.respond(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert!(text(&bad.to_downstream).starts_with("HTTP/1.1 502 "));
}

#[test]
fn a_caller_that_leaves_takes_its_upstream_connection_along() {
    let mut world = World::open();
    world.receive(&get("/v1/x"));
    let lost = world.lost();
    assert!(lost.flags.contains(Flags::ABORT));
    assert_eq!(lost.ended[0].ended, "downstream-closed");
}

#[test]
fn draining_ends_the_connection_with_its_answer() {
    let mut world = World::open();
    world.worker.draining = true;
    world.receive(&get("/v1/x"));
    let answer = world.respond(OK);
    assert!(text(&answer.to_downstream).contains("Connection: close\r\n"));
    assert!(answer.flags.contains(Flags::CLOSE | Flags::RELEASE));
}

#[test]
fn an_early_answer_ends_the_connection_and_the_rest_of_the_body_is_discarded() {
    let mut world = World::open();
    world.receive(b"POST /v1/x HTTP/1.1\r\nHost: orders.internal\r\nContent-Length: 10\r\n\r\nabc");
    let answer = world.respond(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
    assert!(text(&answer.to_downstream).contains("Connection: close\r\n"));
    assert!(answer.flags.contains(Flags::CLOSE | Flags::LINGER | Flags::ABORT));
    assert!(world.receive(b"defghij").is_empty());
}

#[test]
fn max_forwards_is_counted_down_for_trace_and_options_alone_and_ends_at_zero() {
    let ask = |method: &str, value: &str| {
        World::open().receive(
            format!("{method} /v1/x HTTP/1.1\r\nHost: orders.internal\r\nMax-Forwards: {value}\r\n\r\n").as_bytes(),
        )
    };
    assert!(text(&ask("OPTIONS", "5").to_upstream).contains("Max-Forwards: 4\r\n"));
    assert!(text(&ask("GET", "0").to_upstream).contains("Max-Forwards: 0\r\n"));
    for value in ["0", "x", "-1", "0\r\nMax-Forwards: 9"] {
        let refused = ask("TRACE", value);
        assert!(refused.to_upstream.is_empty(), "{value}");
        assert_eq!(refused.ended[0].rejection.as_ref().unwrap().reason, Reason::MaxForwards, "{value}");
    }
}

/// Requests of every framing, as one stream.
fn stream() -> Vec<u8> {
    [
        get("/v1/a"),
        b"POST /v1/b HTTP/1.1\r\nHost: orders.internal\r\nContent-Length: 11\r\n\r\nhello world".to_vec(),
        b"PUT /v1/c HTTP/1.1\r\nHost: orders.internal\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
            .to_vec(),
        GET.replace("/v1/x", "/nowhere").into_bytes(),
        get("/v1/d"),
    ]
    .concat()
}

proptest! {
    #[test]
    fn any_split_of_the_stream_gives_the_same_calls(cuts in proptest::collection::vec(0_usize..420, 0..12)) {
        let whole = World::open().run(&stream(), &[]);
        let split = World::open().run(&stream(), &cuts);
        prop_assert_eq!(whole, split);
    }

    #[test]
    fn any_bytes_at_all_end_in_an_answer_or_wait_for_more(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut world = World::open();
        let outcome = world.receive(&bytes);
        prop_assert!(outcome.to_upstream.is_empty());
    }
}

#[test]
fn byte_by_byte_gives_the_same_calls() {
    let stream = stream();
    let cuts: Vec<usize> = (0..stream.len()).collect();
    assert_eq!(World::open().run(&stream, &[]), World::open().run(&stream, &cuts));
}
