//! Signed calls through the whole connection: who called, that it is fresh, that its body is what was signed; and what
//! becomes of the nonce in every ending.

mod world;

use pyproxy_core::action::Flags;
use pyproxy_core::limits::Limits;
use pyproxy_core::rejection::Reason;
use pyproxy_core::{Blocked, UpstreamFailure};
use world::caller::{Call, PRINCIPAL};
use world::{Outcome, World, text};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

fn world() -> World {
    World::signed(Limits::default())
}

/// Bodies above 8 bytes stream.
fn streaming() -> World {
    World::signed(Limits { max_held_body_bytes: 8, ..Limits::default() })
}

#[track_caller]
fn assert_refused(outcome: &Outcome, reason: Reason) {
    let answer = text(&outcome.to_downstream);
    assert!(answer.starts_with(&format!("HTTP/1.1 {} ", reason.status())), "{answer}");
    assert!(answer.contains(reason.label()), "{answer}");
    assert_eq!(outcome.ended.last().and_then(|call| call.rejection.as_ref()).map(|r| r.reason), Some(reason));
    assert!(outcome.to_upstream.is_empty(), "{}", text(&outcome.to_upstream));
    assert!(!outcome.flags.contains(Flags::CONNECT));
}

#[track_caller]
fn assert_forwarded(outcome: &Outcome) {
    assert!(outcome.flags.contains(Flags::CONNECT), "{}", text(&outcome.to_downstream));
}

#[test]
fn the_upstream_learns_from_us_who_called() {
    let mut world = world();
    let sent = world.receive(&Call::get(1).field("X-Pyproxy-Principal", "spiffe://prod.example/root", true).bytes());
    assert_forwarded(&sent);
    let head = text(&sent.to_upstream);
    assert_eq!(head.matches("X-Pyproxy-Principal").count(), 1, "{head}");
    assert!(head.contains(&format!("\r\nX-Pyproxy-Principal: {PRINCIPAL}\r\n")), "{head}");
    let ended = world.respond(OK).ended;
    assert_eq!(ended[0].principal.as_deref(), Some(PRINCIPAL));
    assert_eq!(ended[0].freshness, Some("claimed"));
}

#[test]
fn the_same_bytes_again_are_a_replay_on_any_connection() {
    let mut world = world();
    let call = Call::get(1).bytes();
    assert_forwarded(&world.receive(&call));
    world.respond(OK);
    assert_refused(&world.receive(&call), Reason::Replayed);
    world.reconnect();
    assert_refused(&world.receive(&call), Reason::Replayed);
}

#[test]
fn pipelined_duplicates_are_one_call_and_a_replay() {
    let mut world = world();
    let call = Call::get(1).bytes();
    let first = world.receive(&[call.clone(), call].concat());
    assert_forwarded(&first);
    assert!(first.ended.is_empty(), "the second is not even read before the first is answered");
    assert!(world.respond(OK).flags.contains(Flags::AGAIN));
    assert_refused(&world.receive(b""), Reason::Replayed);
}

#[test]
fn a_copied_head_with_a_bad_body_does_not_burn_the_nonce() {
    for call in [Call::post(1, b"payload"), Call::post(1, b"payload").chunked(3)] {
        let mut world = world();
        let (head, body) = call.sign();
        let bad: Vec<u8> = body.iter().map(|&b| if b == b'a' { b'b' } else { b }).collect();
        let refused = world.receive(&[head.clone(), bad].concat());
        assert_refused(&refused, Reason::DigestMismatch);
        assert!(refused.flags.contains(Flags::CLOSE));
        assert_eq!(world.worker.held_bytes, 0);
        world.reconnect();
        assert_forwarded(&world.receive(&[head, body].concat()));
    }
}

#[test]
fn a_copied_head_without_its_body_does_not_burn_the_nonce() {
    type Ending = fn(&mut World) -> Outcome;
    let endings: [(Ending, Option<Reason>); 4] = [
        (World::eof, Some(Reason::Malformed)),
        (World::lost, None),
        (
            |world| {
                world.pass_s(61.0);
                world.check_timeout(Blocked::Nobody)
            },
            Some(Reason::BodyTimeout),
        ),
        (|world| world.event(|connection, turn| connection.end_drain(turn, false)), Some(Reason::Draining)),
    ];
    for (end, reason) in endings {
        let mut world = world();
        let (head, body) = Call::post(1, b"payload").sign();
        let begun = world.receive(&[&head, &body[..3]].concat());
        assert!(begun.is_empty(), "held: nothing goes upstream");
        assert_eq!(world.worker.held_bytes, body.len());
        let now = world.now;
        let ended = end(&mut world);
        match reason {
            Some(reason) => assert_refused(&ended, reason),
            None => assert_eq!(ended.ended[0].ended, "downstream-closed"),
        }
        assert_eq!(world.worker.held_bytes, 0);
        world.now = now;
        world.reconnect();
        assert_forwarded(&world.receive(&[head, body].concat()));
    }
}

#[test]
fn a_nonce_is_given_back_only_if_nothing_was_written() {
    for (failure, reason) in [
        (UpstreamFailure::NoEndpoint, Reason::UpstreamUnreachable),
        (UpstreamFailure::Connect, Reason::UpstreamUnreachable),
        (UpstreamFailure::ConnectTimeout, Reason::UpstreamTimeout),
        (UpstreamFailure::Pushback, Reason::Overloaded),
    ] {
        let mut world = world();
        let call = Call::post(1, b"payload").bytes();
        world.receive(&call);
        assert_refused(&world.upstream_failed(failure, false, false), reason);
        assert_forwarded(&world.receive(&call));
        assert_refused(&world.upstream_failed(UpstreamFailure::Closed, true, false), Reason::UpstreamClosed);
        assert_refused(&world.receive(&call), Reason::Replayed);
    }
}

#[test]
fn a_call_that_timed_out_while_it_waited_for_a_connection_may_be_made_again() {
    for (blocked, again) in [(Blocked::ByPool, None), (Blocked::ByUpstream, Some(Reason::Replayed))] {
        let mut world = World::signed(Limits { response_head_timeout_s: 5.0, ..Limits::default() });
        let call = Call::get(1).bytes();
        world.receive(&call);
        world.pass_s(6.0);
        assert_refused(&world.check_timeout(blocked), Reason::UpstreamTimeout);
        let outcome = world.receive(&call);
        match again {
            None => assert_forwarded(&outcome),
            Some(reason) => assert_refused(&outcome, reason),
        }
    }
}

#[test]
fn a_call_that_found_no_route_keeps_its_nonce() {
    let mut world = world();
    let mut call = Call::get(1);
    call.retarget("/elsewhere");
    assert_refused(&world.receive(&call.bytes()), Reason::NoRoute);
    assert_refused(&world.receive(&call.bytes()), Reason::Replayed);
}

#[test]
fn no_upstream_gets_a_complete_request_whose_digest_failed() {
    for chunks in [None, Some(5)] {
        let mut call = Call::post(1, b"a body that is longer than what is held");
        if let Some(size) = chunks {
            call = call.chunked(size);
        }
        let (head, body) = call.sign();
        let bad: Vec<u8> = body.iter().map(|&b| if b == b'y' { b'z' } else { b }).collect();
        for step in [1, 7, body.len()] {
            let mut world = streaming();
            let mut sent = Vec::new();
            let mut last = world.receive(&head);
            for piece in bad.chunks(step) {
                sent.extend_from_slice(&last.to_upstream);
                last = world.receive(piece);
                if last.flags.contains(Flags::RELAY_UPSTREAM) {
                    last.to_upstream = piece.to_vec();
                }
            }
            assert_refused(&last, Reason::DigestMismatch);
            let received = text(&sent);
            let content = received.split_once("\r\n\r\n").map_or("", |(_, content)| content);
            match chunks {
                None => assert!(content.len() < body.len(), "{received}"),
                Some(_) => assert!(!content.ends_with("0\r\n\r\n"), "{received}"),
            }
            assert_eq!(world.worker.held_bytes, 0);
        }
    }
}

#[test]
fn a_streamed_body_that_matches_arrives_whole() {
    for chunks in [None, Some(5)] {
        let mut call = Call::post(1, b"a body that is longer than what is held");
        if let Some(size) = chunks {
            call = call.chunked(size);
        }
        let mut world = streaming();
        let (up, down, _) = world.run(&call.bytes(), &(0..1000).collect::<Vec<_>>());
        assert!(up.ends_with("a body that is longer than what is held"), "{up}");
        assert!(down.starts_with("HTTP/1.1 200 OK"), "{down}");
    }
}

#[test]
fn a_body_that_was_stripped_is_missed() {
    let mut world = world();
    let call = Call::post(1, b"payload");
    let (head, body) = call.sign();
    let stripped = text(&head).replace("Content-Length: 7\r\n", "Content-Length: 0\r\n");
    assert_refused(&world.receive(stripped.as_bytes()), Reason::DigestMismatch);
    world.reconnect();
    let without = text(&head).replace("Content-Length: 7\r\n", "");
    assert_refused(&world.receive(without.as_bytes()), Reason::DigestMismatch);
    world.reconnect();
    assert_forwarded(&world.receive(&[head, body].concat()));
}

#[test]
fn a_100_is_sent_only_once_the_gates_have_passed() {
    let mut world = world();
    let (head, body) = Call::post(1, b"payload").field("Expect", "100-continue", false).sign();
    let forged = text(&head).replace("POST", "PUT");
    let refused = world.receive(forged.as_bytes());
    assert_refused(&refused, Reason::SignatureInvalid);
    assert!(!text(&refused.to_downstream).contains("100 Continue"));
    world.reconnect();
    assert_eq!(text(&world.receive(&head).to_downstream), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_forwarded(&world.receive(&body));
}

#[test]
fn a_refusal_before_the_body_was_read_closes_and_discards_the_rest() {
    let mut world = world();
    let (head, body) = Call::post(1, b"payload").sign();
    let refused = world.receive(text(&head).replace("POST", "PUT").as_bytes());
    assert_refused(&refused, Reason::SignatureInvalid);
    assert!(refused.flags.contains(Flags::CLOSE | Flags::LINGER));
    assert!(text(&refused.to_downstream).contains("Connection: close\r\n"));
    assert!(world.receive(&[body, Call::get(2).bytes()].concat()).is_empty(), "the rest is no request");
    world.pass_s(6.0);
    assert!(world.check_timeout(Blocked::Nobody).flags.contains(Flags::RESET));
}

#[test]
fn held_bodies_share_a_budget_and_what_does_not_fit_streams() {
    let mut world = World::signed(Limits { max_held_worker_bytes: 10, ..Limits::default() });
    let (head, body) = Call::post(1, b"payload").sign();
    assert!(world.receive(&head).is_empty());
    assert_eq!(world.worker.held_bytes, 7);
    let holding = world.connection_swapped();
    let (second, _) = Call::post(2, b"payload").sign();
    assert_forwarded(&world.receive(&second));
    assert_eq!(world.worker.held_bytes, 7, "the second streams");
    world.connection = holding;
    assert_forwarded(&world.receive(&body));
    assert_eq!(world.worker.held_bytes, 0);
}

#[test]
fn a_chunked_body_that_outgrows_the_hold_streams_on() {
    let mut world = streaming();
    let (head, body) = Call::post(1, b"more than eight bytes").chunked(4).sign();
    assert!(world.receive(&head).is_empty());
    assert_eq!(world.worker.held_bytes, 8);
    assert!(world.receive(&body[..4]).is_empty());
    assert_forwarded(&world.receive(&body[4..12]));
    assert_eq!(world.worker.held_bytes, 0);
    assert!(text(&world.receive(&body[12..]).to_upstream).ends_with("0\r\n\r\n"));
}

#[test]
fn a_reload_while_a_body_is_held_does_not_send_the_call_elsewhere() {
    let mut world = world();
    let (head, body) = Call::post(1, b"payload").sign();
    assert!(world.receive(&head).is_empty());
    let mut settings = world.gates.settings().clone();
    settings.upstreams.insert(0, pyproxy_core::settings::UpstreamSettings { name: "payments".into() });
    settings.routes[0].upstream = 1;
    world.reload(settings);
    let mut index = usize::MAX;
    world.event(|connection, turn| {
        connection.receive_data(turn, &body);
        index = turn.out.upstream;
    });
    assert_eq!(index, 1, "orders has moved");

    let mut world = self::world();
    assert!(world.receive(&head).is_empty());
    let mut settings = world.gates.settings().clone();
    settings.upstreams[0].name = "payments".into();
    let before = world.gates.settings().clone();
    world.reload(settings);
    let refused = world.receive(&[body.clone(), Call::get(2).bytes()].concat());
    assert_refused(&refused, Reason::UpstreamUnreachable);
    assert!(refused.flags.contains(Flags::AGAIN), "what follows is a call of its own");
    world.reload(before);
    assert_forwarded(&world.receive(b""));
    world.respond(OK);
    assert_forwarded(&world.receive(&[head, body].concat()));
}

#[test]
fn a_stranger_cannot_turn_a_signed_call_into_a_tunnel() {
    let upgrade =
        |covered| Call::get(1).field("Connection", "Upgrade", false).field("Upgrade", "websocket", covered).bytes();
    let mut world = world();
    let sent = world.receive(&upgrade(false));
    assert_forwarded(&sent);
    assert!(!text(&sent.to_upstream).to_lowercase().contains("upgrade"), "{}", text(&sent.to_upstream));
    let switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_refused(&world.respond(switched), Reason::UpstreamMalformed);

    let mut world = self::world();
    assert!(text(&world.receive(&upgrade(true)).to_upstream).contains("Connection: upgrade\r\nUpgrade: websocket\r\n"));
    assert!(text(&world.respond(switched).to_downstream).starts_with("HTTP/1.1 101 "));
}
