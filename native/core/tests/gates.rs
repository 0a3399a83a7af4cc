//! Whatever happens to a connection, in whatever order: nothing is held in the end, nothing is forwarded that did not pass,
//! and no event is answered with a contradiction.

mod world;

use proptest::prelude::*;
use pyproxy_core::action::Flags;
use pyproxy_core::admission::Gates;
use pyproxy_core::httpsig::KeySet;
use pyproxy_core::limits::Limits;
use pyproxy_core::settings::{Authenticate, Credential, Freshness};
use pyproxy_core::{Blocked, UpstreamFailure};
use world::caller::{self, Call};
use world::{Outcome, World, settings, text};

#[derive(Clone, Debug)]
enum Event {
    /// The next call of a caller with a key, in pieces of this size.
    Call(Call, usize),
    /// Bytes that are no call.
    Noise(Vec<u8>),
    Answer(&'static [u8]),
    Fails(UpstreamFailure, bool, bool),
    Eof,
    Lost,
    Later(u8, Blocked),
    Progress,
    Reload,
    EndDrain(bool),
    Drain,
}

fn call() -> impl Strategy<Value = Call> {
    let body = prop::sample::select(vec![&b""[..], b"payload", b"a body that is longer than what is held"]);
    (0_u32..6, body, prop::option::of(1_usize..9)).prop_map(|(nonce, body, chunks)| {
        let call = if body.is_empty() { Call::get(nonce) } else { Call::post(nonce, body) };
        chunks.map_or(call.clone(), |size| call.chunked(size))
    })
}

fn event() -> impl Strategy<Value = Event> {
    let blocked = prop::sample::select(vec![Blocked::Nobody, Blocked::ByUpstream, Blocked::ByDownstream]);
    let failure = prop::sample::select(vec![
        UpstreamFailure::NoEndpoint,
        UpstreamFailure::Connect,
        UpstreamFailure::ConnectTimeout,
        UpstreamFailure::Pushback,
        UpstreamFailure::Closed,
        UpstreamFailure::Reset,
    ]);
    let answer = prop::sample::select(vec![
        &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        b"hi",
        b"HTTP/1.1 200 OK\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"nonsense\r\n\r\n",
    ]);
    prop_oneof![
        6 => (call(), 1_usize..400).prop_map(|(call, size)| Event::Call(call, size)),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Event::Noise),
        4 => answer.prop_map(Event::Answer),
        1 => (failure, any::<bool>(), any::<bool>()).prop_map(|(failure, written, reused)| Event::Fails(failure, written, reused)),
        1 => Just(Event::Eof),
        1 => Just(Event::Lost),
        1 => (0_u8..120, blocked).prop_map(|(seconds, blocked)| Event::Later(seconds, blocked)),
        1 => Just(Event::Progress),
        1 => Just(Event::Reload),
        1 => any::<bool>().prop_map(Event::EndDrain),
        1 => Just(Event::Drain),
    ]
}

/// What one event may never come to.
fn check(outcome: &Outcome) {
    let flags = outcome.flags;
    let has = |flag| flags.contains(flag);
    assert!(!(has(Flags::RELEASE) && has(Flags::ABORT)), "{flags:?}");
    assert!(!(has(Flags::CONNECT) && (has(Flags::RELEASE) || has(Flags::ABORT) || has(Flags::AGAIN))), "{flags:?}");
    assert!(!(has(Flags::CLOSE) && has(Flags::AGAIN)), "{flags:?}");
    assert!(!(has(Flags::PAUSE) && has(Flags::RESUME)), "{flags:?}");
    assert!(!has(Flags::RELAY_UPSTREAM) || outcome.to_upstream.is_empty(), "{flags:?}");
    assert!(!has(Flags::RELAY_DOWNSTREAM) || outcome.to_downstream.is_empty(), "{flags:?}");
    if has(Flags::CONNECT) && !has(Flags::RESEND) {
        let head = text(&outcome.to_upstream);
        assert!(head.contains("\r\nX-Pyproxy-Principal: spiffe://prod.example/shop\r\n"), "{head}");
    }
}

fn play(world: &mut World, event: Event) {
    let outcome = match event {
        Event::Call(call, size) => {
            for piece in call.bytes().chunks(size) {
                let outcome = world.receive(piece);
                follow(world, outcome);
            }
            return;
        }
        Event::Noise(bytes) => world.receive(&bytes),
        Event::Answer(bytes) => world.respond(bytes),
        Event::Fails(failure, written, reused) => world.upstream_failed(failure, written, reused),
        Event::Eof => world.eof(),
        Event::Lost => world.lost(),
        Event::Later(seconds, blocked) => {
            world.pass_s(f64::from(seconds));
            world.check_timeout(blocked)
        }
        Event::Progress => world.event(|connection, turn| connection.progressed(turn)),
        Event::Reload => {
            world.reload(world.gates.settings().clone());
            return;
        }
        Event::EndDrain(written) => world.event(|connection, turn| connection.end_drain(turn, written)),
        Event::Drain => {
            world.worker.draining = true;
            return;
        }
    };
    follow(world, outcome);
}

/// As the driver: goes on while more waits.
fn follow(world: &mut World, mut outcome: Outcome) {
    let mut rounds = 0;
    loop {
        check(&outcome);
        if !outcome.flags.contains(Flags::AGAIN) {
            return;
        }
        rounds += 1;
        assert!(rounds < 100, "it never ends");
        outcome = world.receive(b"");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_the_end_nothing_is_held_whatever_happened(events in prop::collection::vec(event(), 0..24)) {
        let mut world = World::signed(Limits { max_held_body_bytes: 8, max_held_worker_bytes: 20, ..Limits::default() });
        for event in events {
            play(&mut world, event);
            prop_assert!(world.worker.held_bytes <= 20);
        }
        check(&world.lost());
        prop_assert_eq!(world.worker.held_bytes, 0);
    }
}

#[test]
fn a_listener_that_takes_any_of_nothing_is_a_mistake() {
    let settings = settings(Authenticate::Any(Vec::new()), Freshness::Claimed);
    let keys = KeySet::from_jwks(caller::JWKS.as_bytes()).expect("keys");
    let mistakes = Gates::new(settings, keys, None).err().expect("it would verify nothing");
    assert!(mistakes[0].contains("any of nothing"), "{mistakes:?}");
}

#[test]
fn signed_calls_without_a_filter_are_a_mistake() {
    let settings = settings(Authenticate::All(vec![Credential::Signature]), Freshness::Claimed);
    let keys = KeySet::from_jwks(caller::JWKS.as_bytes()).expect("keys");
    assert!(Gates::new(settings, keys, None).is_err());
}

#[test]
fn a_half_closed_caller_gets_its_answer_and_then_the_end() {
    let mut world = World::open();
    world.receive(&world::get("/v1/x"));
    world.respond(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    assert!(world.eof().is_empty());
    assert!(world.respond(b"hi").flags.contains(Flags::CLOSE), "nobody will ask again");
}

#[test]
fn a_fin_ahead_of_the_101_is_passed_on() {
    let mut world = World::open();
    world.receive(b"GET /v1/x HTTP/1.1\r\nHost: orders.internal\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    world.eof();
    let switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert!(world.respond(switched).flags.contains(Flags::END_UPSTREAM));
}

#[test]
fn a_reset_does_not_complete_a_response_that_only_a_fin_ends() {
    let mut world = World::open();
    world.receive(&world::get("/v1/x"));
    world.respond(b"HTTP/1.1 200 OK\r\n\r\nabc");
    let broken = world.upstream_failed(UpstreamFailure::Reset, true, false);
    assert!(broken.flags.contains(Flags::RESET) && broken.to_downstream.is_empty());
}

#[test]
fn only_a_websocket_becomes_a_tunnel() {
    for upgrade in ["h2c", "websocket, h2c", "TLS/1.0", "websocket/13"] {
        let mut world = World::open();
        let head = format!(
            "GET /v1/x HTTP/1.1\r\nHost: orders.internal\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\n\
             HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
        );
        let sent = text(&world.receive(head.as_bytes()).to_upstream).to_lowercase();
        assert!(!sent.contains("upgrade") && !sent.contains("http2-settings"), "{sent}");
    }
    let request = b"POST /v1/x HTTP/1.1\r\nHost: orders.internal\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert!(!text(&World::open().receive(request).to_upstream).to_lowercase().contains("upgrade"));
}

#[test]
fn a_101_is_to_what_was_asked_for_or_the_upstreams_fault() {
    for bad in [
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        let mut world = World::open();
        world.receive(
            b"GET /v1/x HTTP/1.1\r\nHost: orders.internal\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        let answer = world.respond(bad.as_bytes());
        assert!(text(&answer.to_downstream).starts_with("HTTP/1.1 502 "), "{bad}");
        assert!(answer.flags.contains(Flags::ABORT));
    }
    let mut world = World::open();
    world.receive(&world::get("/v1/x"));
    let bare = world.respond(b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
    assert!(text(&bare.to_downstream).starts_with("HTTP/1.1 502 "), "a caller that did not ask sees no 101");
}
