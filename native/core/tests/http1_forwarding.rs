//! What an upstream and a caller see of a message that is passed on, and of a refusal.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::IpAddr;

use pyproxy_core::http1::{
    BodyLength, FieldId, Forwarding, Hop, Refusal, ResponseForwarding, carried, parse_request, parse_response,
    write_refusal, write_request, write_response,
};
use pyproxy_core::limits::Limits;
use pyproxy_core::rejection::{Reason, Rejection};

const NOW_UNIX_S: u64 = 784_111_777; // Sun, 06 Nov 1994 08:49:37 GMT

fn hop() -> Hop {
    Hop::new("edge-1", Some("192.0.2.7".parse().unwrap()), "http")
}

fn nothing(_: &str) -> bool {
    false
}

fn forwarding<'a>(hop: &'a Hop, body: BodyLength) -> Forwarding<'a> {
    Forwarding {
        hop,
        request_id: "our-id",
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        principal: Some("spiffe://example/caller"),
        upstream_host: None,
        body,
        upgrade: false,
        covered: &nothing,
        strip_uncovered: false,
    }
}

/// Forwards `request` as `with` makes it, and splits what comes out into its lines.
fn forwarded_with(request: &str, with: impl FnOnce(&mut Forwarding<'_>)) -> Vec<String> {
    let head = parse_request(request.as_bytes(), &Limits::default()).unwrap_or_else(|r| panic!("{r:?}: {request:?}"));
    let hop = hop();
    let mut f = forwarding(&hop, head.body());
    with(&mut f);
    let mut out = b"before".to_vec();
    write_request(&mut out, &head, &f);
    let text = String::from_utf8(out).unwrap();
    let text = text.strip_prefix("before").unwrap();
    assert!(text.ends_with("\r\n\r\n"), "{text:?}");
    // What we write must pass our own rules.
    parse_request(text.as_bytes(), &Limits::default()).unwrap_or_else(|r| panic!("{r:?}: {text:?}"));
    text.trim_end().split("\r\n").map(str::to_owned).collect()
}

fn forwarded(request: &str) -> Vec<String> {
    forwarded_with(request, |_| {})
}

/// The lines of `request` among what is forwarded, without those that we always add.
fn kept(lines: &[String]) -> Vec<&str> {
    let ours = ["Via: 1.1 edge-1", "X-Forwarded-", "Forwarded: for=192", "X-Request-Id: our-id", "traceparent: 00-0af"];
    let ours = |line: &str| {
        ours.iter().any(|o| line.starts_with(o)) || line.starts_with("X-Pyproxy-Principal: spiffe://example/caller")
    };
    lines[1..].iter().map(String::as_str).filter(|line| !ours(line)).collect()
}

#[test]
fn an_ordinary_request_is_forwarded_with_what_we_know_about_it() {
    let lines = forwarded("GET /v1/a?b=c HTTP/1.1\r\nHost: orders.internal:8080\r\nAccept: */*\r\n\r\n");
    assert_eq!(
        lines,
        [
            "GET /v1/a?b=c HTTP/1.1",
            "Host: orders.internal:8080",
            "Accept: */*",
            "Via: 1.1 edge-1",
            "X-Forwarded-For: 192.0.2.7",
            "X-Forwarded-Proto: http",
            "Forwarded: for=192.0.2.7;by=_edge-1;proto=http;host=\"orders.internal:8080\"",
            "X-Forwarded-Host: orders.internal:8080",
            "X-Request-Id: our-id",
            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "X-Pyproxy-Principal: spiffe://example/caller",
        ]
    );
}

#[test]
fn addresses_are_written_as_rfc_7239_has_them() {
    let line = |peer: Option<&str>| {
        let head = parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &Limits::default()).unwrap();
        let hop = Hop::new("n", peer.map(|p| p.parse::<IpAddr>().unwrap()), "https");
        let mut out = Vec::new();
        write_request(&mut out, &head, &forwarding(&hop, BodyLength::None));
        let text = String::from_utf8(out).unwrap();
        let of = |name: &str| text.split("\r\n").find_map(|l| l.strip_prefix(name)).unwrap().to_owned();
        (of("Forwarded: "), of("X-Forwarded-For: "))
    };
    assert_eq!(
        line(Some("2001:db8::1")),
        (r#"for="[2001:db8::1]";by=_n;proto=https;host="a""#.into(), "2001:db8::1".into())
    );
    assert_eq!(
        line(Some("::ffff:192.0.2.1")),
        (r#"for=192.0.2.1;by=_n;proto=https;host="a""#.into(), "192.0.2.1".into())
    );
    assert_eq!(line(None), (r#"for=unknown;by=_n;proto=https;host="a""#.into(), "unknown".into()));
}

#[test]
fn nobody_but_us_says_who_called() {
    let lines = forwarded(concat!(
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "X-Pyproxy-Principal: spiffe://example/admin\r\nx-pyproxy-anything: 1\r\nX_Pyproxy_Principal: 1\r\n",
        "X-Pyproxy_Principal: 1\r\nForwarded: for=10.0.0.1\r\nX-Forwarded-For: 10.0.0.1\r\nx-forwarded-port: 1\r\n",
        "X_Forwarded_For: 10.0.0.1\r\nX-Real-IP: 10.0.0.1\r\nTrue-Client-IP: 10.0.0.1\r\nX-Request-Id: theirs\r\n",
        "X_Request_Id: theirs\r\ntraceparent: theirs\r\ntracestate: theirs\r\nany_thing: 1\r\n_: 1\r\nAccept: */*\r\n\r\n",
    ));
    assert_eq!(kept(&lines), ["Host: a", "Accept: */*"]);
    assert_eq!(lines.len(), 1 + 2 + 8);
}

#[test]
fn our_own_claims_are_never_taken_from_outside_even_if_they_are_covered() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Pyproxy-Principal: x\r\nForwarded: for=x\r\nX-Forwarded-For: x\r\na_b: x\r\n\r\n";
    let lines = forwarded_with(request, |f| f.covered = &|_| true);
    assert_eq!(kept(&lines), ["Host: a"]);
}

#[test]
fn what_overrides_method_or_path_passes_only_if_it_is_covered() {
    let request = concat!(
        "POST / HTTP/1.1\r\nHost: a\r\nX-HTTP-Method-Override: DELETE\r\nX-Method-Override: DELETE\r\n",
        "x-http-method: DELETE\r\nX-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\n\r\n",
    );
    assert_eq!(kept(&forwarded(request)), ["Host: a"]);
    let lines = forwarded_with(request, |f| f.covered = &|name| name == "x-original-url");
    assert_eq!(kept(&lines), ["Host: a", "X-Original-URL: /admin"]);
}

#[test]
fn a_covered_request_id_and_trace_survive() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-REQUEST-ID: theirs\r\nTraceparent: t\r\ntracestate: s\r\n\r\n";
    let lines = forwarded_with(request, |f| f.covered = &|name| name == "x-request-id");
    assert_eq!(kept(&lines), ["Host: a", "X-REQUEST-ID: theirs"]);
    assert!(!lines.contains(&"X-Request-Id: our-id".to_owned()));
    let lines = forwarded_with(request, |f| f.covered = &|name| name.starts_with("trace"));
    assert_eq!(kept(&lines), ["Host: a", "Traceparent: t", "tracestate: s"]);
    let lines = forwarded_with(request, |f| f.covered = &|name| name == "tracestate");
    assert_eq!(kept(&lines), ["Host: a"]);
}

#[test]
fn a_request_id_that_is_not_one_plain_word_is_not_carried() {
    let all = |_: &str| true;
    for (lines, carries) in [
        ("X-Request-Id: one\r\n", Some("one")),
        ("X-Request-Id: one\r\nX-Request-Id: two\r\n", None),
        ("X-Request-Id: one two\r\n", None),
        ("X-Request-Id:\r\n", None),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let head = parse_request(request.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(carried(&head, FieldId::RequestId, &all), carries);
        assert_eq!(carried(&head, FieldId::RequestId, &nothing), None);
        let ours = forwarded_with(&request, |f| f.covered = &|_| true).contains(&"X-Request-Id: our-id".to_owned());
        assert_eq!(ours, carries.is_none());
    }
}

#[test]
fn hop_by_hop_fields_end_here() {
    let request = concat!(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop ,, te\r\nConnection: upgrade\r\nKeep-Alive: 5\r\n",
        "Proxy-Connection: close\r\nProxy-Authorization: secret\r\nTE: trailers\r\nTrailer: X\r\nUpgrade: websocket\r\n",
        "HTTP2-Settings: AAMAAABk\r\nX-HOP: 1\r\nX-Hop-2: 2\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(kept(&forwarded(request)), ["Host: a", "X-Hop-2: 2"]);
}

#[test]
fn what_the_signature_covers_cannot_be_removed_by_naming_it_in_connection() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: x-tenant\r\nX-Tenant: 7\r\n\r\n";
    assert_eq!(kept(&forwarded(request)), ["Host: a"]);
    let lines = forwarded_with(request, |f| f.covered = &|name| name == "x-tenant");
    assert_eq!(kept(&lines), ["Host: a", "X-Tenant: 7"]);
}

#[test]
fn an_upgrade_is_passed_on_only_into_a_tunnel() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(kept(&forwarded(request)), ["Host: a"]);
    let lines = forwarded_with(request, |f| f.upgrade = true);
    assert_eq!(kept(&lines), ["Host: a", "Connection: upgrade", "Upgrade: websocket"]);
    // In 1.0, or when Connection does not ask for it, there is nothing to pass on.
    for request in [
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
    ] {
        assert!(!forwarded_with(request, |f| f.upgrade = true).iter().any(|l| l.contains("websocket")));
    }
}

#[test]
fn uncovered_fields_are_stripped_but_for_what_http_needs() {
    let request = concat!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/html\r\nContent-Length: 3\r\nSignature: s=:AA==:\r\n",
        "Signature-Input: s=()\r\nX-Covered: 1\r\nX-Uncovered: 2\r\nVia: 1.1 other\r\nCookie: c\r\n\r\n",
    );
    let lines = forwarded_with(request, |f| {
        f.covered = &|name| name == "x-covered";
        f.strip_uncovered = true;
    });
    assert_eq!(
        kept(&lines),
        ["Host: a", "Signature: s=:AA==:", "Signature-Input: s=()", "X-Covered: 1", "Content-Length: 3"]
    );
}

#[test]
fn lines_that_are_kept_are_written_with_one_space_and_nothing_else() {
    let request = "GET / HTTP/1.1\r\nHost:a\r\nA:1\r\nB:\t2\r\nC: 3 \r\nD:   4\t \r\nE:\r\nF: \r\nG: 7\r\nH: 8\r\n\r\n";
    assert_eq!(kept(&forwarded(request)), ["Host: a", "A: 1", "B: 2", "C: 3", "D: 4", "E: ", "F: ", "G: 7", "H: 8"]);
}

#[test]
fn the_target_goes_on_in_origin_form_with_its_bytes_as_they_came() {
    for (target, host, line) in [
        ("/a%2Fb//c;d=1?e=%20f?g", "a", "GET /a%2Fb//c;d=1?e=%20f?g HTTP/1.1"),
        ("http://a/b?c", "a", "GET /b?c HTTP/1.1"),
        ("HTTP://A:80?c", "a:80", "GET /?c HTTP/1.1"),
        ("https://a", "a", "GET / HTTP/1.1"),
        ("http://a/?", "a", "GET /? HTTP/1.1"),
    ] {
        assert_eq!(forwarded(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"))[0], line);
    }
    assert_eq!(forwarded("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")[0], "OPTIONS * HTTP/1.1");
    assert_eq!(forwarded("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n")[0], "OPTIONS * HTTP/1.1");
    assert_eq!(forwarded("GET / HTTP/1.0\r\nHost: a\r\n\r\n")[0], "GET / HTTP/1.1");
}

#[test]
fn via_tells_the_version_that_came_and_who_was_before() {
    let lines = forwarded("GET / HTTP/1.0\r\nHost: a\r\nVia: 1.1 first, 1.1 second\r\n\r\n");
    let via: Vec<_> = lines.iter().filter(|l| l.starts_with("Via")).collect();
    assert_eq!(via, ["Via: 1.1 first, 1.1 second", "Via: 1.0 edge-1"]);
}

#[test]
fn the_upstream_is_told_another_host_if_the_route_says_so() {
    let lines = forwarded_with("GET / HTTP/1.1\r\nA: 1\r\nHost: a\r\nB: 2\r\n\r\n", |f| f.upstream_host = Some("u:1"));
    assert_eq!(kept(&lines), ["Host: u:1", "A: 1", "B: 2"]);
    assert!(lines.contains(&"X-Forwarded-Host: a".to_owned()));
}

#[test]
fn framing_is_what_we_chose() {
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(kept(&forwarded(request)), ["Host: a", "Transfer-Encoding: chunked"]);
    let lines = forwarded_with(request, |f| f.body = BodyLength::Length(1_073_741_824));
    assert_eq!(kept(&lines), ["Host: a", "Content-Length: 1073741824"]);
    assert_eq!(
        kept(&forwarded("POST / HTTP/1.1\r\nContent-Length: 0\r\nHost: a\r\n\r\n")),
        ["Host: a", "Content-Length: 0"]
    );
}

#[test]
fn a_line_end_in_what_we_say_does_not_become_one() {
    let lines = forwarded_with("GET / HTTP/1.1\r\nHost: a\r\n\r\n", |f| f.principal = Some("x\r\nX-Admin: yes"));
    assert_eq!(lines.last().unwrap(), "X-Pyproxy-Principal: x??X-Admin: yes");
}

fn passed_back(response: &str, method: &str, with: impl FnOnce(&mut ResponseForwarding<'_>)) -> Vec<String> {
    let head =
        parse_response(response.as_bytes(), &Limits::default()).unwrap_or_else(|r| panic!("{r:?}: {response:?}"));
    let hop = hop();
    let framing = head.body(method);
    let mut f = ResponseForwarding { hop: &hop, framing, close: false, now_unix_s: NOW_UNIX_S, request_id: None };
    with(&mut f);
    let mut out = Vec::new();
    write_response(&mut out, &head, &f);
    let text = String::from_utf8(out).unwrap();
    parse_response(text.as_bytes(), &Limits::default()).unwrap_or_else(|r| panic!("{r:?}: {text:?}"));
    text.trim_end().split("\r\n").map(str::to_owned).collect()
}

#[test]
fn a_response_loses_what_was_of_its_connection_and_gains_via_and_date() {
    let response = concat!(
        "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n",
        "Trailer: X\r\nProxy-Authenticate: x\r\nX-Own: 1\r\nUpgrade: h2c\r\n\r\n",
    );
    let lines = passed_back(response, "GET", |_| {});
    assert_eq!(
        lines,
        [
            "HTTP/1.1 200 Fine",
            "X-Own: 1",
            "Content-Length: 2",
            "Via: 1.1 edge-1",
            "Date: Sun, 06 Nov 1994 08:49:37 GMT",
        ]
    );
    let lines = passed_back(
        "HTTP/1.1 200 \r\nDate: theirs\r\nX-Request-Id: theirs\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET",
        |f| {
            f.close = true;
            f.request_id = Some("ours");
        },
    );
    assert_eq!(
        lines,
        [
            "HTTP/1.1 200 ",
            "Date: theirs",
            "Connection: close",
            "Transfer-Encoding: chunked",
            "Via: 1.1 edge-1",
            "X-Request-Id: ours",
        ]
    );
}

#[test]
fn a_response_that_ends_with_its_connection_says_so() {
    let lines = passed_back("HTTP/1.0 200 OK\r\nDate: d\r\n\r\n", "GET", |_| {});
    assert_eq!(lines, ["HTTP/1.1 200 OK", "Date: d", "Connection: close", "Via: 1.0 edge-1"]);
}

#[test]
fn the_length_of_content_that_does_not_come_is_kept() {
    for (response, method) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "HEAD"),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", "GET"),
    ] {
        assert!(passed_back(response, method, |_| {}).contains(&"Content-Length: 7".to_owned()));
    }
    assert!(
        !passed_back("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "GET", |_| {})
            .iter()
            .any(|l| l.starts_with("Content"))
    );
}

#[test]
fn interim_and_switching_responses_pass() {
    let lines =
        passed_back("HTTP/1.1 103 Early Hints\r\nLink: x\r\nConnection: close\r\n\r\n", "GET", |f| f.close = true);
    assert_eq!(lines, ["HTTP/1.1 103 Early Hints", "Link: x"]);
    let switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: k\r\nDate: d\r\n\r\n";
    assert_eq!(
        passed_back(switching, "GET", |_| {}),
        [
            "HTTP/1.1 101 Switching Protocols",
            "Sec-WebSocket-Accept: k",
            "Date: d",
            "Connection: upgrade",
            "Upgrade: websocket",
            "Via: 1.1 edge-1",
        ]
    );
}

fn refusal(rejection: &Rejection, with: impl FnOnce(&mut Refusal<'_>)) -> (Vec<String>, String) {
    let mut r = Refusal {
        accept_signature: None,
        close: false,
        head_request: false,
        request_id: "our-id",
        now_unix_s: NOW_UNIX_S,
    };
    with(&mut r);
    let mut out = Vec::new();
    write_refusal(&mut out, rejection, &r);
    let text = String::from_utf8(out).unwrap();
    let (head, content) = text.split_once("\r\n\r\n").unwrap();
    parse_response(format!("{head}\r\n\r\n").as_bytes(), &Limits::default()).unwrap();
    (head.split("\r\n").map(str::to_owned).collect(), content.to_owned())
}

#[test]
fn a_refusal_is_problem_details() {
    let (lines, content) = refusal(&Rejection::new(Reason::Malformed, "bare line feed"), |_| {});
    assert_eq!(
        content,
        r#"{"type":"urn:pyproxy:problem:malformed","title":"malformed","status":400,"reason":"malformed","detail":"bare line feed"}"#
    );
    assert_eq!(
        lines,
        [
            "HTTP/1.1 400 Bad Request".to_owned(),
            "Content-Type: application/problem+json".into(),
            format!("Content-Length: {}", content.len()),
            "Cache-Control: no-store".into(),
            "Date: Sun, 06 Nov 1994 08:49:37 GMT".into(),
            "X-Request-Id: our-id".into(),
            "Connection: close".into(),
        ]
    );
}

#[test]
fn a_refusal_tells_the_caller_the_reason_and_not_the_detail() {
    let (lines, content) = refusal(&Rejection::new(Reason::SignatureInvalid, "for the log"), |r| {
        r.accept_signature = Some(r#"sig=("@method");created"#);
    });
    assert_eq!(
        content,
        r#"{"type":"urn:pyproxy:problem:signature-invalid","title":"signature invalid","status":401,"reason":"signature-invalid"}"#
    );
    assert!(lines.contains(&r#"Accept-Signature: sig=("@method");created"#.to_owned()));
    assert!(!lines.iter().any(|l| l.starts_with("Connection")));
}

#[test]
fn a_refusal_says_when_to_come_back_and_whether_the_connection_ends() {
    let (lines, content) = refusal(&Rejection::new(Reason::ReplayFenced, "x").retry_after(6), |r| {
        r.close = true;
        r.head_request = true;
        r.accept_signature = Some("not with a 503");
    });
    assert_eq!(content, "");
    assert!(lines.contains(&"Retry-After: 6".to_owned()) && lines.contains(&"Connection: close".to_owned()));
    assert!(
        lines.iter().any(|l| l.starts_with("Content-Length: 1"))
            && !lines.iter().any(|l| l.starts_with("Accept-Signature"))
    );
}

#[test]
fn every_reason_has_a_status_line() {
    for &reason in Reason::ALL {
        let (lines, _) = refusal(&Rejection::new(reason, ""), |_| {});
        assert!(lines[0].len() > "HTTP/1.1 400 ".len(), "{reason:?} has no reason phrase");
    }
}
