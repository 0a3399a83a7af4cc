//! HTTP/1.1: whatever arrives, however it is split, one reading; and what is forwarded has no other.

use pyproxy_core::http1::{
    BodyDecoder, BodyLength, FieldId, Forwarding, HeadScanner, Hop, LAST_CHUNK, RequestHead, encode_chunk,
    parse_request, write_request,
};
use pyproxy_core::limits::Limits;
use pyproxy_core::path::readings;
use pyproxy_core::rejection::Rejection;

/// Words of request heads.
pub const HEAD_WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b"\r\n ",
    b":",
    b": ",
    b",",
    b"GET ",
    b"POST ",
    b"OPTIONS * ",
    b"CONNECT ",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b"http://",
    b"HTTPS://a:80",
    b"@",
    b"#",
    b"?",
    b"/../",
    b"%2e%2e",
    b"%2F",
    b"%00",
    b"//",
    b";",
    b"\\",
    b"Host: a\r\n",
    b"Host:",
    b"Content-Length: 3\r\n",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: ",
    b"chunked",
    b"identity",
    b"Connection: ",
    b"close",
    b"upgrade",
    b"Upgrade: websocket\r\n",
    b"Expect: 100-continue\r\n",
    b"Keep-Alive: x\r\n",
    b"TE: trailers\r\n",
    b"X-Pyproxy-Principal: x\r\n",
    b"X_Pyproxy_Principal: x\r\n",
    b"X-Forwarded-For: x\r\n",
    b"Forwarded: for=x\r\n",
    b"X-Request-Id: x\r\n",
    b"traceparent: x\r\n",
    b"Via: 1.0 x\r\n",
    b"X-Original-URL: /x\r\n",
    b"Signature: a=:AA==:\r\n",
    b"_",
    b"-",
    b"+",
    b"0",
];

/// Words of chunked bodies.
pub const CHUNK_WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"0\r\n\r\n",
    b"0\r\n",
    b"1\r\nx\r\n",
    b"5\r\nhello\r\n",
    b"a\r\n",
    b"ffffffffffffffff\r\n",
    b"10000000000000000",
    b"00000000000000000",
    b";x=y",
    b" ",
    b"0x",
    b"+",
    b"-",
    b"_",
    b"T: v\r\n",
    b"T",
    b":",
    b"\0",
    b"GET / HTTP/1.1\r\n",
];

/// Limits that small inputs reach.
fn limits() -> Limits {
    Limits { max_head_bytes: 600, max_fields: 12, max_target_bytes: 100, max_body_bytes: 1000, ..Limits::default() }
}

/// A head is found and judged the same however it arrives, and what is forwarded of it has one reading even to the
/// most forgiving reader.
pub fn request_head(data: &[u8]) {
    let limits = limits();
    let found = find_end(data, data.len().max(1), &limits);
    assert_eq!(find_end(data, 1, &limits), found, "byte by byte");
    assert_eq!(find_end(data, usize::from(data.len().to_le_bytes()[0] % 13) + 2, &limits), found, "in pieces");
    if let Ok(whole) = parse_request(data, &limits) {
        assert_eq!(found, Ok(Some(data.len())), "the parser took what the scanner did not find");
        let _ = readings(whole.path());
    }
    let Ok(Some(end)) = found else { return };
    let Ok(head) = parse_request(&data[..end], &limits) else { return };
    assert_eq!(head.len(), end);
    assert_eq!(head.fields().iter().filter(|f| f.id == FieldId::Host).count(), 1);
    assert!(head.fields().iter().all(|f| f.value.trim_ascii() == f.value));
    forward(&head, &|_| false, false);
    forward(&head, &|_| true, false);
    forward(&head, &|name| name.len() % 2 == 0, true);
}

/// Where the head ends, when `step` bytes arrive at a time.
fn find_end(data: &[u8], step: usize, limits: &Limits) -> Result<Option<usize>, Rejection> {
    let mut scanner = HeadScanner::request();
    let mut arrived = 0;
    while arrived < data.len() {
        arrived = data.len().min(arrived + step);
        if let Some(end) = scanner.find_end(&data[..arrived], limits)? {
            return Ok(Some(end));
        }
    }
    Ok(None)
}

fn forward(head: &RequestHead<'_>, covered: &dyn Fn(&str) -> bool, strip_uncovered: bool) {
    let hop = Hop::new("node", Some([192, 0, 2, 1].into()), "http");
    let mut out = Vec::new();
    write_request(
        &mut out,
        head,
        &Forwarding {
            hop: &hop,
            request_id: "ours",
            traceparent: "ours",
            principal: Some("spiffe://example/caller"),
            upstream_host: None,
            body: head.body(),
            upgrade: true,
            covered,
            strip_uncovered,
        },
    );
    forgiving(&out, head.body());
    let loose = Limits { max_head_bytes: 10_000, max_fields: 100, ..Limits::default() };
    let again = parse_request(&out, &loose).unwrap_or_else(|r| panic!("we refuse what we wrote: {r:?}"));
    assert_eq!(again.method(), head.method());
    assert_eq!(again.authority(), head.authority());
    assert_eq!((again.path(), again.query(), again.body()), (head.path(), head.query(), head.body()));
    assert!(!again.is_absolute_form());
    let lines_of = |name: &str| again.fields().iter().filter(|f| f.name.eq_ignore_ascii_case(name.as_bytes())).count();
    for once in [
        "x-pyproxy-principal",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "forwarded",
        "x-request-id",
        "traceparent",
    ] {
        assert_eq!(lines_of(once), 1, "{once}");
    }
    assert_eq!(again.values(FieldId::Pyproxy).collect::<Vec<_>>(), [b"spiffe://example/caller"]);
    assert_eq!(again.values(FieldId::Forwarded).count(), 4);
    for never in ["keep-alive", "te", "trailer", "proxy-connection", "expect"] {
        assert_eq!(lines_of(never), 0, "{never}");
    }
    assert!(again.fields().iter().all(|f| !f.name.contains(&b'_')), "an underscore passed");
}

/// Reads as the most forgiving of recipients would: any CR or LF ends a line, any whitespace surrounds a name, a name
/// means the one with hyphens. It must find the framing that we meant, once.
fn forgiving(out: &[u8], body: BodyLength) {
    assert!(!out.contains(&0), "a NUL passed");
    let (mut lengths, mut encodings, mut hosts) = (Vec::new(), 0, 0);
    for line in out.split(|&b| b == b'\r' || b == b'\n' || b == 0x0b || b == 0x0c) {
        let Some(colon) = line.iter().position(|&b| b == b':') else { continue };
        let name: Vec<u8> =
            line[..colon].trim_ascii().iter().map(|&b| if b == b'_' { b'-' } else { b.to_ascii_lowercase() }).collect();
        match name.as_slice() {
            b"content-length" => lengths.push(line[colon + 1..].trim_ascii().to_vec()),
            b"transfer-encoding" => encodings += 1,
            b"host" => hosts += 1,
            _ => {}
        }
    }
    let expected = match body {
        BodyLength::Length(n) => (vec![n.to_string().into_bytes()], 0),
        BodyLength::Chunked => (vec![], 1),
        BodyLength::None => (vec![], 0),
        BodyLength::UntilClose => panic!("a request cannot last until its connection ends"),
    };
    assert_eq!((lengths, encodings), expected);
    assert_eq!(hosts, 1);
    let ends = out.windows(4).filter(|w| w == b"\r\n\r\n").count();
    assert!(ends == 1 && out.ends_with(b"\r\n\r\n"), "the head ends {ends} times");
}

/// A chunked body is decoded the same however it arrives, as a reader that sees all of it at once would, and chunked
/// again it is the same.
pub fn chunked(data: &[u8]) {
    let whole = decode(data, data.len().max(1));
    assert_eq!(decode(data, 1), whole, "byte by byte");
    assert_eq!(decode(data, usize::from(data.len().to_le_bytes()[0] % 7) + 2), whole, "in pieces");
    let Ok((content, taken, done)) = whole else { return };
    if !done {
        assert_eq!(taken, data.len());
        return;
    }
    assert_eq!(read_at_once(&data[..taken]), Some(content.clone()), "two decoders disagree");
    let mut again = Vec::new();
    for part in content.chunks(3) {
        encode_chunk(&mut again, part);
    }
    again.extend_from_slice(LAST_CHUNK);
    assert_eq!(decode(&again, again.len()), Ok((content, again.len(), true)));
}

fn decode(data: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), Rejection> {
    let mut decoder = BodyDecoder::new(BodyLength::Chunked, 10_000).max_trailer_bytes(50);
    let (mut content, mut taken) = (Vec::new(), 0);
    for mut piece in data.chunks(step) {
        while !piece.is_empty() && !decoder.is_done() {
            let decoded = decoder.decode(piece)?;
            assert!(decoded.consumed > 0 && decoded.consumed <= piece.len());
            content.extend_from_slice(decoded.content);
            taken += decoded.consumed;
            piece = &piece[decoded.consumed..];
        }
    }
    Ok((content, taken, decoder.is_done()))
}

/// RFC 9112 section 7.1, read from a complete body by its grammar and not by states.
fn read_at_once(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let line = body.windows(2).position(|w| w == b"\r\n")?;
        let size = std::str::from_utf8(&body[..line]).ok().filter(|s| s.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let size = usize::from_str_radix(size, 16).ok()?;
        body = &body[line + 2..];
        if size == 0 {
            let trailers =
                if body == b"\r\n" { "" } else { std::str::from_utf8(body.strip_suffix(b"\r\n\r\n")?).unwrap_or("x:") };
            let is_field = |line: &str| line.find(':').is_some_and(|colon| colon > 0);
            return (trailers.is_empty() || trailers.split("\r\n").all(is_field)).then_some(content);
        }
        content.extend_from_slice(body.get(..size)?);
        body = body.get(size..)?.strip_prefix(b"\r\n")?;
    }
}
