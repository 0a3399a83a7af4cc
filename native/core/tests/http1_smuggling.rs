//! Every rule of the strict parser with the messages that break it: each is refused, by the rule that is named.
//!
//! The shapes are those of the literature on request smuggling (RFC 9112 section 11.2; James Kettle, "HTTP Desync
//! Attacks", 2019, and "HTTP/1.1 must die", 2025; the cases of nodejs/llhttp and h11), written here anew.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use pyproxy_core::http1::{BodyDecoder, BodyLength, HeadScanner, parse_request, parse_response, rule};
use pyproxy_core::limits::Limits;
use pyproxy_core::rejection::{After, Reason, Rejection};

/// What a connection does with bytes: find the head's end, then judge it.
fn arrive(bytes: &[u8], limits: &Limits) -> Result<(), Rejection> {
    match HeadScanner::request().find_end(bytes, limits)? {
        Some(end) => parse_request(&bytes[..end], limits).map(|_| ()),
        None => panic!("no end found in {:?}", String::from_utf8_lossy(bytes)),
    }
}

/// Refused as it arrives, and also if someone hands it to the parser as if it were one head.
#[track_caller]
fn refused(request: impl AsRef<[u8]>, rule: &str) {
    let bytes = request.as_ref();
    let shown = String::from_utf8_lossy(bytes);
    let limits = Limits::default();
    let rejection = arrive(bytes, &limits).expect_err(&shown);
    assert_eq!((rejection.reason, &*rejection.detail), (Reason::Malformed, rule), "{shown:?}");
    assert_eq!(rejection.reason.status(), 400);
    assert_eq!(rejection.reason.after(), After::Close);
    let rejection = parse_request(bytes, &limits).expect_err(&shown);
    assert_eq!(rejection.reason, Reason::Malformed, "{shown:?}");
}

/// A request with these field lines after a Host.
fn with(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n")
}

#[test]
fn two_answers_to_where_a_request_ends_are_refused() {
    refused(with("Content-Length: 4\r\nTransfer-Encoding: chunked"), rule::LENGTH_AND_ENCODING);
    refused(with("Transfer-Encoding: chunked\r\nContent-Length: 4"), rule::LENGTH_AND_ENCODING);
    refused(with("Transfer-Encoding: identity\r\nContent-Length: 0"), rule::LENGTH_AND_ENCODING);
    refused(with("Transfer-Encoding:\r\nContent-Length: 4"), rule::LENGTH_AND_ENCODING);
    refused(with("Content-Length: 4\r\nContent-Length: 4"), rule::LENGTH_REPEATED);
    refused(with("Content-Length: 4\r\ncontent-length: 5"), rule::LENGTH_REPEATED);
    refused(with("Content-Length:\r\nContent-Length: 5"), rule::LENGTH_REPEATED);
    refused(with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), rule::ENCODING_REPEATED);
    refused(with("Transfer-Encoding: chunked\r\ntransfer-encoding: identity"), rule::ENCODING_REPEATED);
}

#[test]
fn an_odd_content_length_is_refused() {
    for odd in [
        "",
        "4, 4",
        "4,4",
        "+4",
        "-4",
        "-0",
        "04",
        "00",
        "4 4",
        "4;",
        "0x4",
        "4e1",
        "4.0",
        "4_0",
        "\"4\"",
        "four",
        "4\t4",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999",
        "100000000000000000000000000000004",
        "\u{664}",
    ] {
        refused(with(&format!("Content-Length: {odd}")), rule::LENGTH_SYNTAX);
    }
}

#[test]
fn a_transfer_encoding_other_than_chunked_is_refused() {
    for odd in [
        "",
        "identity",
        "xchunked",
        "chunkedx",
        "chunked, chunked",
        "gzip, chunked",
        "chunked, identity",
        "chunked,",
        ", chunked",
        "chunked;q=1",
        "\"chunked\"",
        "chunked chunked",
        "cow",
        "chunk\u{212a}ed",
        "chunked\tx",
    ] {
        refused(with(&format!("Transfer-Encoding: {odd}")), rule::ENCODING);
    }
    refused("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", rule::ENCODING_IN_1_0);
}

#[test]
fn hiding_transfer_encoding_from_one_of_two_readers_is_refused() {
    refused(with("Transfer-Encoding : chunked"), rule::SPACE_BEFORE_COLON);
    refused(with("Transfer-Encoding\t: chunked"), rule::SPACE_BEFORE_COLON);
    refused(with(" Transfer-Encoding: chunked"), rule::OBS_FOLD);
    refused(with("Transfer-Encoding:\r\n chunked"), rule::OBS_FOLD);
    refused(with("Transfer-Encoding: \x0bchunked"), rule::FIELD_VALUE);
    refused(with("Transfer-Encoding: chunked\x0c"), rule::FIELD_VALUE);
    refused(with("Transfer-Encoding: chunked\x7f"), rule::FIELD_VALUE);
    refused(with("\x0bTransfer-Encoding: chunked"), rule::FIELD_NAME);
    refused(with("Transfer-Encoding\x00: chunked"), rule::NUL);
    refused(with("Transfer\rEncoding: chunked"), rule::BARE_CR);
    refused(with("X: y\nTransfer-Encoding: chunked"), rule::BARE_LF);
    refused(with("X: y\rTransfer-Encoding: chunked"), rule::BARE_CR);
    refused(with("X: y\n\rTransfer-Encoding: chunked"), rule::BARE_LF);
    refused(with("Transfer-Encoding"), rule::FIELD_NAME);
    refused(with(": chunked"), rule::FIELD_NAME);
    refused(with("\u{fb01}eld: chunked"), rule::FIELD_NAME);
    refused(with("Transfer-Encoding: chunked\r\n folded"), rule::OBS_FOLD);
}

#[test]
fn bare_line_ends_and_nul_are_refused_wherever_they_are() {
    let good = b"POST /p HTTP/1.1\r\nHost: a\r\nX: some value\r\nY:\r\n\r\n";
    // A byte before the last would complete the head, and the last be left for the next.
    for at in 0..good.len() - 1 {
        let name = String::from_utf8_lossy(&good[..at]).into_owned();
        let crlf = good[at..].starts_with(b"\r\n");
        if crlf {
            let bare_lf = [&good[..at], &good[at + 1..]].concat();
            let rejection = arrive(&bare_lf, &Limits::default()).expect_err(&name);
            assert_eq!(&*rejection.detail, rule::BARE_LF, "{name:?}");
            assert!(parse_request(&bare_lf, &Limits::default()).is_err(), "{name:?}");
        }
        // In the middle of a CRLF, both halves are bare: which is found first does not matter.
        for (byte, rules) in [
            (b'\n', &[rule::BARE_LF, rule::BARE_CR][..]),
            (b'\r', &[rule::BARE_CR, rule::BARE_LF, rule::EMPTY_LINES]),
            (0, &[rule::NUL, rule::BARE_CR]),
        ] {
            let bad = [&good[..at], &[byte], &good[at..]].concat();
            let rejection = arrive(&bad, &Limits::default()).expect_err(&name);
            assert!(rules.contains(&&*rejection.detail), "{name:?} {byte} {rejection:?}");
            assert!(parse_request(&bad, &Limits::default()).is_err(), "{name:?} {byte}");
        }
    }
}

#[test]
fn bare_line_ends_and_nul_are_refused_before_the_head_is_complete() {
    for (begun, rule) in [
        ("GET / HTTP/1.1\nHo", rule::BARE_LF),
        ("GET / HTTP/1.1\n", rule::BARE_LF),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", rule::BARE_LF),
        ("GET / HTTP/1.1\rH", rule::BARE_CR),
        ("GET /\r ", rule::BARE_CR),
        ("GET /\0", rule::NUL),
        ("\n", rule::BARE_LF),
        ("\r\n\r\n", rule::EMPTY_LINES),
        ("\r\r", rule::BARE_CR),
        ("\x16\x03\x01\x02\0", rule::NUL), // a TLS ClientHello
    ] {
        let rejection = HeadScanner::request().find_end(begun.as_bytes(), &Limits::default()).expect_err(begun);
        assert_eq!(&*rejection.detail, rule, "{begun:?}");
    }
}

#[test]
fn no_control_character_or_odd_byte_passes_anywhere_in_a_field() {
    for byte in 0..=255_u8 {
        let value_ok = matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
        let name_ok = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        for filler in 0..40 {
            let filler = "x".repeat(filler);
            for (line, ok) in [
                ([b"X: ", filler.as_bytes(), &[byte], b"end"].concat(), value_ok),
                // A colon ends the name, and the rest is a value.
                ([b"X", filler.as_bytes(), &[byte], b"end: v"].concat(), name_ok || byte == b':'),
            ] {
                let request = [b"GET / HTTP/1.1\r\nHost: a\r\n", &line[..], b"\r\n\r\n"].concat();
                assert_eq!(
                    parse_request(&request, &Limits::default()).is_ok(),
                    ok,
                    "{:?}",
                    String::from_utf8_lossy(&request)
                );
            }
        }
    }
}

#[test]
fn a_request_without_exactly_one_good_host_is_refused() {
    refused("GET / HTTP/1.1\r\n\r\n", rule::HOST_MISSING);
    refused("GET / HTTP/1.0\r\n\r\n", rule::HOST_MISSING);
    refused("GET http://a/ HTTP/1.1\r\n\r\n", rule::HOST_MISSING);
    refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", rule::HOST_REPEATED);
    refused("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhost: b\r\n\r\n", rule::HOST_REPEATED);
    for bad in [
        "",
        "a b",
        "a,b",
        "a, a",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "a:",
        ":80",
        ":",
        "a:b",
        "a:0",
        "a:080",
        "a:65536",
        "a:-1",
        "a:+1",
        "a:80:80",
        "a%2eb",
        "a%00b",
        "a;b",
        "a=b",
        "(a)",
        "a|b",
        "\u{e9}",
        "http://a",
        "[::1",
        "::1",
        "[::1]80",
        "[::1]:",
        "[::1]:0",
        "[::1%25eth0]",
        "[v1.x]",
        "[1.2.3.4]",
        "[]",
        "a\tb",
        "a\"",
    ] {
        refused(format!("GET / HTTP/1.1\r\nHost: {bad}\r\n\r\n"), rule::HOST_SYNTAX);
    }
    refused("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", rule::USERINFO);
    refused("GET / HTTP/1.1\r\nHost: a\x01\r\n\r\n", rule::FIELD_VALUE);
    for good in [
        "a",
        "A.b-c_d~e",
        "a.",
        "127.0.0.1",
        "127.0.0.1:1",
        "a:65535",
        "[::1]",
        "[2001:db8::1]:443",
        "xn--bcher-kva.example",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: \t{good} \r\n\r\n");
        assert_eq!(parse_request(request.as_bytes(), &Limits::default()).unwrap().authority(), good);
    }
}

#[test]
fn a_target_for_another_host_than_host_is_refused() {
    for (target, host) in [
        ("http://a/", "b"),
        ("http://a/", "a:80"),
        ("http://a:80/", "a"),
        ("http://a.b/", "a"),
        ("https://[::1]/", "[::2]"),
    ] {
        refused(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"), rule::HOST_DISAGREES);
    }
    refused("GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n", rule::USERINFO);
    refused("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", rule::HOST_SYNTAX);
    refused("GET http://a\\b/ HTTP/1.1\r\nHost: a\r\n\r\n", rule::HOST_SYNTAX);
    let request = b"GET HTTP://A.Example/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let head = parse_request(request, &Limits::default()).unwrap();
    assert_eq!(
        (head.authority(), head.path(), head.query(), head.scheme()),
        ("a.example", "/x", Some("y"), Some("HTTP"))
    );
}

#[test]
fn a_target_in_another_form_is_refused() {
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    refused(line("CONNECT a:443 HTTP/1.1"), rule::CONNECT);
    refused(line("CONNECT / HTTP/1.1"), rule::CONNECT);
    refused(line("GET * HTTP/1.1"), rule::ASTERISK);
    refused(line("options * HTTP/1.1"), rule::ASTERISK);
    for target in ["a", "a:80", "a/b", "ftp://a/", "http:/a", "://a/", "*/", "?a", "file:///etc/passwd", "javascript:x"]
    {
        refused(line(&format!("GET {target} HTTP/1.1")), rule::TARGET_FORM);
    }
    refused(line("GET /#f HTTP/1.1"), rule::TARGET_FRAGMENT);
    refused(line("GET /?q#f HTTP/1.1"), rule::TARGET_FRAGMENT);
    refused(line("GET http://a#@b/ HTTP/1.1"), rule::TARGET_FRAGMENT);
    refused(line("GET /\u{e9} HTTP/1.1"), rule::TARGET_BYTES);
    assert!(parse_request(line("OPTIONS * HTTP/1.1").as_bytes(), &Limits::default()).is_ok());
}

#[test]
fn no_odd_byte_passes_in_a_target() {
    for byte in 0..=255_u8 {
        for filler in 0..40 {
            let filler = "x".repeat(filler);
            let request = [b"GET /", filler.as_bytes(), &[byte], b"end HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            let ok = (b'!'..=b'~').contains(&byte) && byte != b'#';
            assert_eq!(parse_request(&request, &Limits::default()).is_ok(), ok, "{byte}");
        }
    }
}

#[test]
fn a_start_line_that_is_not_exactly_one_is_refused() {
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    for bad in [
        "GET  / HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /",
        "GET",
        "GET\t/ HTTP/1.1",
        "GET /a b HTTP/1.1",
        "G(T / HTTP/1.1",
        "\u{e9} / HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / HTTP/1.1 x",
    ] {
        let rejection = arrive(line(bad).as_bytes(), &Limits::default()).expect_err(bad);
        assert!([rule::REQUEST_LINE, rule::VERSION].contains(&&*rejection.detail), "{bad:?} {rejection:?}");
    }
    for bad in [
        "GET / HTTP/0.9",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / HTTP/2",
        "GET / http/1.1",
        "GET / HTTP/1.10",
        "GET / HTTP/01.1",
        "GET / HTTPS/1.1",
        "GET /  HTTP/1.1",
    ] {
        let rejection = arrive(line(bad).as_bytes(), &Limits::default()).expect_err(bad);
        assert!([rule::REQUEST_LINE, rule::VERSION].contains(&&*rejection.detail), "{bad:?} {rejection:?}");
    }
    refused(line("GET / HTTP/2.0"), rule::VERSION);
    refused(line("GET  / HTTP/1.1"), rule::REQUEST_LINE);
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", rule::VERSION);
    refused(line(&format!("{} / HTTP/1.1", "M".repeat(33))), rule::METHOD);
    assert!(parse_request(line(&format!("{} / HTTP/1.1", "M".repeat(32))).as_bytes(), &Limits::default()).is_ok());
}

#[test]
fn one_empty_line_before_a_request_is_skipped_and_no_more() {
    let bytes = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
    let end = HeadScanner::request().find_end(bytes, &Limits::default()).unwrap().unwrap();
    let head = parse_request(&bytes[..end], &Limits::default()).unwrap();
    assert_eq!((end, head.len(), head.method()), (bytes.len() - 4, end, "GET"));
    refused("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", rule::EMPTY_LINES);
}

#[test]
fn what_is_not_exactly_one_head_is_refused() {
    let good = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for end in 0..good.len() {
        assert_eq!(&*parse_request(&good[..end], &Limits::default()).unwrap_err().detail, rule::HEAD_BOUNDARY, "{end}");
    }
    let more = [&good[..], b"GET"].concat();
    assert_eq!(&*parse_request(&more, &Limits::default()).unwrap_err().detail, rule::HEAD_BOUNDARY);
}

#[test]
fn connection_cannot_hide_what_others_rely_on() {
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "Content-Digest",
        "Content-Type",
        "Signature",
        "SIGNATURE-INPUT",
        "Authorization",
        "Cookie",
        "Date",
        "Via",
        "Forwarded",
        "X-Forwarded-For",
        "X-Request-Id",
        "X-Pyproxy-Principal",
        "traceparent",
        "Expect",
        "Connection",
        "Cache-Control",
        "X-Original-URL",
    ] {
        refused(with(&format!("Connection: keep-alive, {name}")), rule::CONNECTION_HIDES);
        refused(with(&format!("Connection: close\r\nConnection: x,{name} ,y")), rule::CONNECTION_HIDES);
    }
    for bad in ["a b", "a;b", "\"a\"", "a/b", "\u{e9}"] {
        refused(with(&format!("Connection: {bad}")), rule::CONNECTION_SYNTAX);
    }
}

#[test]
fn an_unknown_expectation_is_417() {
    for bad in ["200-ok", "100-continue, x", "", "100-continue;x"] {
        let rejection = arrive(with(&format!("Expect: {bad}")).as_bytes(), &Limits::default()).unwrap_err();
        assert_eq!((rejection.reason, rejection.reason.status()), (Reason::ExpectationFailed, 417), "{bad:?}");
    }
    for (request, expects) in [
        (with("Expect: 100-Continue\r\nContent-Length: 1"), true),
        (with("Expect: 100-continue\r\nTransfer-Encoding: chunked"), true),
        (with("Expect: 100-continue\r\nContent-Length: 0"), false),
        (with("Expect: 100-continue"), false),
        ("POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n".into(), false),
    ] {
        assert_eq!(
            parse_request(request.as_bytes(), &Limits::default()).unwrap().expects_continue(),
            expects,
            "{request:?}"
        );
    }
}

#[test]
fn a_head_over_its_limits_is_refused_as_soon_as_that_is_known() {
    let limits =
        Limits { max_head_bytes: 200, max_fields: 3, max_target_bytes: 20, max_body_bytes: 10, ..Limits::default() };
    let reason = |request: &str| arrive(request.as_bytes(), &limits).map_err(|r| r.reason);
    let target = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(len - 1));
    assert_eq!(reason(&target(20)), Ok(()));
    assert_eq!(reason(&target(21)), Err(Reason::TargetTooLong));
    assert_eq!(reason(&target(500)), Err(Reason::TargetTooLong));
    let fields = |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(n - 1));
    assert_eq!(reason(&fields(3)), Ok(()));
    assert_eq!(reason(&fields(4)), Err(Reason::HeadTooLarge));
    let sized = |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "y".repeat(n - 32));
    assert_eq!((sized(200).len(), reason(&sized(200))), (200, Ok(())));
    assert_eq!(reason(&sized(201)), Err(Reason::HeadTooLarge));
    assert_eq!(parse_request(sized(201).as_bytes(), &limits).unwrap_err().reason, Reason::HeadTooLarge);
    assert_eq!(reason("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"), Ok(()));
    assert_eq!(reason("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n"), Err(Reason::BodyTooLarge));
    // Nobody needs to send the end for that.
    let begun = |n: usize| {
        HeadScanner::request().find_end(format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(n - 19)).as_bytes(), &limits)
    };
    assert_eq!(begun(200), Ok(None));
    let complete = HeadScanner::request().find_end(sized(201).as_bytes(), &limits);
    assert_eq!(complete.unwrap_err().reason, Reason::HeadTooLarge);
    assert_eq!(begun(201).unwrap_err().reason, Reason::HeadTooLarge);
    assert_eq!(HeadScanner::request().find_end(&[b'x'; 201], &limits).unwrap_err().reason, Reason::TargetTooLong);
}

#[test]
fn more_fields_than_fit_on_the_stack_are_a_matter_of_settings() {
    let limits = Limits { max_fields: 1000, ..Limits::default() };
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(999));
    assert_eq!(parse_request(request.as_bytes(), &limits).unwrap().fields().len(), 1000);
    assert!(parse_request(request.replace("Host", "x: y\r\nHost").as_bytes(), &limits).is_err());
}

/// Reads a whole body, and says how much of the input it took.
fn body(length: BodyLength, input: &[u8]) -> Result<(Vec<u8>, usize, bool), Rejection> {
    let mut decoder = BodyDecoder::new(length, 100);
    let (mut content, mut at) = (Vec::new(), 0);
    while at < input.len() && !decoder.is_done() {
        let decoded = decoder.decode(&input[at..])?;
        content.extend_from_slice(decoded.content);
        at += decoded.consumed;
    }
    Ok((content, at, decoder.is_done()))
}

#[test]
fn a_chunked_body_is_read_to_the_letter() {
    for (input, content, rest) in [
        ("0\r\n\r\n", "", ""),
        ("5\r\nhello\r\n0\r\n\r\nGET", "hello", "GET"),
        ("000000000000000A\r\n0123456789\r\n1\r\nx\r\n00\r\n\r\n", "0123456789x", ""),
        ("b\r\n\r\n0\r\n\r\nabcd\r\n0\r\n\r\n", "\r\n0\r\n\r\nabcd", ""),
        ("1\r\nx\r\n0\r\nT: v\r\nU:\r\n\r\nrest", "x", "rest"),
    ] {
        let (got, at, done) = body(BodyLength::Chunked, input.as_bytes()).unwrap_or_else(|r| panic!("{input:?} {r:?}"));
        assert_eq!((got.as_slice(), &input[at..], done), (content.as_bytes(), rest, true), "{input:?}");
    }
}

#[test]
fn an_odd_chunk_is_refused() {
    for (input, rule) in [
        ("\r\n", rule::CHUNK_SIZE),
        (" 5\r\nhello", rule::CHUNK_SIZE),
        ("5 \r\nhello", rule::CHUNK_SIZE),
        ("5\t\r\nhello", rule::CHUNK_SIZE),
        ("+5\r\nhello", rule::CHUNK_SIZE),
        ("-5\r\nhello", rule::CHUNK_SIZE),
        ("0x5\r\nhello", rule::CHUNK_SIZE),
        ("5_\r\nhello", rule::CHUNK_SIZE),
        ("5h\r\nhello", rule::CHUNK_SIZE),
        ("g\r\n", rule::CHUNK_SIZE),
        ("\u{665}\r\n", rule::CHUNK_SIZE),
        ("00000000000000005\r\nhello", rule::CHUNK_SIZE),
        ("fffffffffffffffff\r\n", rule::CHUNK_SIZE),
        (";a\r\n", rule::CHUNK_SIZE),
        ("5;\r\nhello", rule::CHUNK_EXTENSION),
        ("5;a=b\r\nhello", rule::CHUNK_EXTENSION),
        ("0;a\r\n\r\n", rule::CHUNK_EXTENSION),
        ("5\nhello", rule::CHUNK_END),
        ("5\rhello", rule::CHUNK_END),
        ("5\r\rhello", rule::CHUNK_END),
        ("5\r\nhello5\r\nworld", rule::CHUNK_END),
        ("5\r\nhello\n0", rule::CHUNK_END),
        ("5\r\nhello\r0", rule::CHUNK_END),
        ("5\r\nhelloo\r\n0", rule::CHUNK_END),
        ("5\r\nhellox\n0\r\n\r\n", rule::CHUNK_END),
        ("5\r\nhell\r\n0\r\n\r\n", rule::CHUNK_END),
        ("0\r\n\n", rule::TRAILER),
        ("0\r\n\r\r", rule::TRAILER),
        ("0\r\nGET / HTTP/1.1\r\n", rule::TRAILER),
        ("0\r\n: x\r\n\r\n", rule::TRAILER),
        ("0\r\nA : x\r\n\r\n", rule::TRAILER),
        ("0\r\nA: x\r\n fold\r\n\r\n", rule::TRAILER),
        ("0\r\nA: x\n\r\n", rule::TRAILER),
        ("0\r\nA: x\rb\r\n\r\n", rule::TRAILER),
        ("0\r\nA: \0\r\n\r\n", rule::TRAILER),
        ("0\r\nA: \x7f\r\n\r\n", rule::TRAILER),
        ("0\r\nA\r\n\r\n", rule::TRAILER),
    ] {
        let rejection = body(BodyLength::Chunked, input.as_bytes()).expect_err(input);
        assert_eq!((rejection.reason, &*rejection.detail), (Reason::Malformed, rule), "{input:?}");
    }
}

#[test]
fn a_body_over_its_limit_is_413_before_its_content_is_given_out() {
    for input in ["65\r\n", "64\r\nx", "1\r\nx\r\n64\r\n", "ffffffffffffffff\r\n", "1\r\nx\r\nffffffffffffffff\r\n"] {
        let outcome = body(BodyLength::Chunked, input.as_bytes());
        match input {
            "64\r\nx" => assert!(outcome.is_ok()),
            _ => assert_eq!(outcome.unwrap_err().reason, Reason::BodyTooLarge, "{input:?}"),
        }
    }
    assert_eq!(body(BodyLength::Length(101), b"x").unwrap_err().reason, Reason::BodyTooLarge);
    assert!(body(BodyLength::Length(100), b"x").is_ok());
    assert!(BodyDecoder::new(BodyLength::Length(u64::MAX), 0).decode(b"x").is_ok(), "0 is no limit");
}

#[test]
fn a_trailer_section_is_dropped_and_bounded() {
    let mut decoder = BodyDecoder::new(BodyLength::Chunked, 0).max_trailer_bytes(8);
    assert!(decoder.clone().decode(b"0\r\nA: xx\r\n\r\n").is_err());
    assert_eq!(&*decoder.clone().decode(b"0\r\nA: xxxxxxxxxxxx").unwrap_err().detail, rule::TRAILER_SIZE);
    let decoded = decoder.decode(b"0\r\nA: x\r\n\r\nB").unwrap();
    assert_eq!((decoded.consumed, decoded.content, decoded.done), (11, &b""[..], true));
}

#[test]
fn a_refused_body_stays_refused() {
    let mut decoder = BodyDecoder::new(BodyLength::Chunked, 0);
    assert!(decoder.decode(b"5;").is_err());
    assert_eq!(&*decoder.decode(b"0\r\n\r\n").unwrap_err().detail, rule::CHUNK_EXTENSION);
    assert!(!decoder.is_done() && !decoder.is_done_at_close());
}

#[test]
fn a_body_ends_where_its_length_says() {
    assert_eq!(body(BodyLength::Length(3), b"abcdef").unwrap(), (b"abc".to_vec(), 3, true));
    assert_eq!(body(BodyLength::Length(3), b"ab").unwrap(), (b"ab".to_vec(), 2, false));
    for nothing in [BodyLength::None, BodyLength::Length(0)] {
        assert_eq!(body(nothing, b"ab").unwrap(), (vec![], 0, true));
        assert!(BodyDecoder::new(nothing, 1).is_done());
    }
    let mut decoder = BodyDecoder::response(BodyLength::UntilClose);
    assert_eq!(decoder.decode(b"ab").unwrap().content, b"ab");
    assert!(!decoder.is_done() && decoder.is_done_at_close());
    assert!(!BodyDecoder::response(BodyLength::Length(1)).is_done_at_close());
    assert!(!BodyDecoder::response(BodyLength::Chunked).is_done_at_close());
}

#[test]
fn a_response_is_held_to_the_same_rules() {
    for (response, rule) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", rule::LENGTH_AND_ENCODING),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", rule::LENGTH_REPEATED),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", rule::LENGTH_SYNTAX),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", rule::ENCODING),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", rule::ENCODING_IN_1_0),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n", rule::CONTENT_FORBIDDEN),
        ("HTTP/1.1 103 Early\r\nTransfer-Encoding: chunked\r\n\r\n", rule::CONTENT_FORBIDDEN),
        ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", rule::SPACE_BEFORE_COLON),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", rule::OBS_FOLD),
        ("HTTP/1.1 200 OK\nA: b\r\n\r\n", rule::BARE_LF),
        ("HTTP/1.1 200 OK\r\nA: b\n\r\n", rule::BARE_LF),
        ("HTTP/1.1 200 O\rK\r\n\r\n", rule::BARE_CR),
        ("HTTP/1.1 200 OK\r\nA: b\r\n\n", rule::BARE_LF),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", rule::EMPTY_LINES),
        ("HTTP/1.1 099 OK\r\n\r\n", rule::STATUS_LINE),
        ("HTTP/1.1 600 OK\r\n\r\n", rule::STATUS_LINE),
        ("HTTP/1.1 20 OK\r\n\r\n", rule::STATUS_LINE),
        ("HTTP/1.1 2000 OK\r\n\r\n", rule::STATUS_LINE),
        ("HTTP/1.1  200 OK\r\n\r\n", rule::STATUS_LINE),
        ("HTTP/1.1 200 O\x01\r\n\r\n", rule::STATUS_LINE),
        ("HTTP/2.0 200 OK\r\n\r\n", rule::VERSION),
        ("ICY 200 OK\r\n\r\n", rule::VERSION),
        ("HTTP/1.1 200 OK\r\nConnection: a b\r\n\r\n", rule::CONNECTION_SYNTAX),
    ] {
        let rejection = parse_response(response.as_bytes(), &Limits::default()).expect_err(response);
        assert_eq!((rejection.reason, &*rejection.detail), (Reason::UpstreamMalformed, rule), "{response:?}");
    }
    let mut scanner = HeadScanner::response();
    assert_eq!(
        scanner.find_end(b"HTTP/1.1 200 OK\n", &Limits::default()).unwrap_err().reason,
        Reason::UpstreamMalformed
    );
    assert_eq!(&*HeadScanner::response().find_end(b"\r\n", &Limits::default()).unwrap_err().detail, rule::EMPTY_LINES);
    let mut decoder = BodyDecoder::response(BodyLength::Chunked);
    assert_eq!(decoder.decode(b"5;").unwrap_err().reason, Reason::UpstreamMalformed);
}

#[test]
fn where_a_response_ends_depends_on_its_request() {
    let parse = |text: &'static str| parse_response(text.as_bytes(), &Limits::default()).unwrap();
    let sized = parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert_eq!((sized.body("GET"), sized.body("HEAD")), (BodyLength::Length(5), BodyLength::None));
    let chunked = parse("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n");
    assert_eq!((chunked.body("GET"), chunked.body("HEAD")), (BodyLength::Chunked, BodyLength::None));
    assert!(chunked.keep_alive("GET"));
    let unsaid = parse("HTTP/1.1 200 OK\r\n\r\n");
    assert_eq!((unsaid.body("GET"), unsaid.body("HEAD")), (BodyLength::UntilClose, BodyLength::None));
    assert!(!unsaid.keep_alive("GET") && unsaid.keep_alive("HEAD"));
    for bodiless in [
        "HTTP/1.1 204 N\r\n\r\n",
        "HTTP/1.1 304 N\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 304 N\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        assert_eq!(parse(bodiless).body("GET"), BodyLength::None, "{bodiless:?}");
    }
    assert!(!parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: CLOSE\r\n\r\n").keep_alive("GET"));
    assert!(!parse("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n").keep_alive("GET"));
    assert!(parse("HTTP/1.1 100 Continue\r\n\r\n").is_interim());
    let switching = parse("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert!(switching.is_upgrade() && !switching.is_interim());
    assert!(!parse("HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n").is_upgrade());
}

#[test]
fn a_plain_request_is_taken_apart() {
    let request = concat!(
        "POST /v1/orders;x?a=b&c HTTP/1.1\r\nHost: orders.internal\r\nContent-Length: 12\r\nConnection: close\r\n",
        "Signature-Input: sig=()\r\nSignature: sig=:AA==:\r\nX-A: 1\r\nx-a: 2\r\n\r\n",
    );
    let head = parse_request(request.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(
        (head.method(), head.target(), head.path(), head.query()),
        ("POST", "/v1/orders;x?a=b&c", "/v1/orders;x", Some("a=b&c"))
    );
    assert_eq!(
        (head.body(), head.keep_alive(), head.is_absolute_form(), head.len()),
        (BodyLength::Length(12), false, false, request.len())
    );
    assert_eq!(head.fields().len(), 7);
    assert_eq!(head.fields()[5].name, b"X-A");
    let get =
        parse_request(b"GET /? HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", &Limits::default()).unwrap();
    assert_eq!((get.path(), get.query(), get.keep_alive(), get.body()), ("/", Some(""), false, BodyLength::None));
}
