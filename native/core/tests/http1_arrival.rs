//! How bytes are split on their way must not matter: whole, byte by byte, or anyhow, the outcome is the same.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use pyproxy_core::http1::{
    BodyDecoder, BodyLength, Decoded, HeadScanner, LAST_CHUNK, encode_chunk, parse_request, parse_response,
};
use pyproxy_core::limits::Limits;
use pyproxy_core::rejection::Rejection;

fn small() -> Limits {
    Limits { max_head_bytes: 120, max_fields: 4, max_target_bytes: 30, max_body_bytes: 50, ..Limits::default() }
}

/// Delivers `stream` in the pieces that end at `cuts`.
fn pieces<'s>(stream: &'s [u8], cuts: &[usize]) -> Vec<&'s [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).chain([stream.len()]).collect();
    ends.sort_unstable();
    let mut begin = 0;
    ends.into_iter().map(|end| &stream[std::mem::replace(&mut begin, end)..end]).collect()
}

/// Where the head ends in a stream that arrives like this, or why it has none. `None`: more must arrive.
fn find_end(stream: &[u8], cuts: &[usize], limits: &Limits) -> Result<Option<usize>, Rejection> {
    let mut scanner = HeadScanner::request();
    let mut buffer = Vec::new();
    for piece in pieces(stream, cuts) {
        buffer.extend_from_slice(piece);
        if let Some(end) = scanner.find_end(&buffer, limits)? {
            return Ok(Some(end));
        }
    }
    Ok(None)
}

/// The content of a body that arrives like this, how many bytes it took, and whether it is complete.
fn decode(stream: &[u8], cuts: &[usize], length: BodyLength) -> Result<(Vec<u8>, usize, bool), Rejection> {
    let mut decoder = BodyDecoder::new(length, 100).max_trailer_bytes(20);
    let (mut content, mut consumed) = (Vec::new(), 0);
    for mut piece in pieces(stream, cuts) {
        while !piece.is_empty() && !decoder.is_done() {
            let Decoded { consumed: taken, content: part, done } = decoder.decode(piece)?;
            assert!(taken > 0, "a call must make progress");
            assert_eq!(done, decoder.is_done());
            content.extend_from_slice(part);
            consumed += taken;
            piece = &piece[taken..];
        }
    }
    Ok((content, consumed, decoder.is_done()))
}

/// Bytes in which the letters of a head or a chunked body are likely to meet in the wrong order.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        "\r\n",
        "\r\n",
        "\r\n",
        "\r",
        "\n",
        "\0",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\n",
        "Host: a\r\n",
        "Host: a\r\n",
        "X: y\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        ": ",
        "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        " fold\r\n",
        "HTTP/1.1 200 OK\r\n",
    ]);
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat().into_bytes())
}

fn chunks() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        "3\r\nabc\r\n",
        "3\r\nabc\r\n",
        "1a\r\nabcdefghijklmnopqrstuvwxyz\r\n",
        "46\r\n",
        "0\r\n",
        "0\r\n",
        "\r\n",
        "\r\n",
        "T: v\r\n",
        "5",
        ";x",
        "\n",
        "\r",
        "00000000000000000",
    ]);
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat().into_bytes())
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(any::<usize>(), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_head_ends_at_the_same_byte_however_it_arrives(stream in stream(), cuts in cuts()) {
        let whole = find_end(&stream, &[], &small());
        let every_byte: Vec<usize> = (0..stream.len()).collect();
        prop_assert_eq!(&find_end(&stream, &cuts, &small()), &whole);
        prop_assert_eq!(&find_end(&stream, &every_byte, &small()), &whole);
        if let Ok(Some(end)) = whole {
            // What the scanner cuts off is one head to the parser: if it is refused, then not for its boundary.
            if let Err(rejection) = parse_request(&stream[..end], &small()) {
                prop_assert_ne!(&*rejection.detail, pyproxy_core::http1::rule::HEAD_BOUNDARY);
                prop_assert_ne!(&*rejection.detail, pyproxy_core::http1::rule::BARE_LF);
            }
        }
    }

    #[test]
    fn what_the_parser_takes_the_scanner_finds(stream in stream()) {
        if parse_request(&stream, &small()).is_ok() {
            prop_assert_eq!(find_end(&stream, &[], &small()), Ok(Some(stream.len())));
        }
        if parse_response(&stream, &small()).is_ok() {
            prop_assert_eq!(HeadScanner::response().find_end(&stream, &small()), Ok(Some(stream.len())));
        }
    }

    #[test]
    fn no_bytes_at_all_make_the_parsers_panic(stream in prop::collection::vec(any::<u8>(), 0..200), cuts in cuts()) {
        let _ = find_end(&stream, &cuts, &small());
        let _ = parse_request(&stream, &small());
        let _ = parse_response(&stream, &small());
        let _ = decode(&stream, &cuts, BodyLength::Chunked);
    }

    #[test]
    fn a_body_is_the_same_however_it_arrives(stream in chunks(), cuts in cuts()) {
        let every_byte: Vec<usize> = (0..stream.len()).collect();
        for length in [BodyLength::Chunked, BodyLength::Length(7), BodyLength::UntilClose, BodyLength::None] {
            let whole = decode(&stream, &[], length);
            prop_assert_eq!(&decode(&stream, &cuts, length), &whole);
            prop_assert_eq!(&decode(&stream, &every_byte, length), &whole);
        }
    }

    #[test]
    fn what_we_chunk_is_read_back(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..5), cuts in cuts()) {
        let content = parts.concat();
        let mut stream = Vec::new();
        for part in &parts {
            encode_chunk(&mut stream, part);
        }
        stream.extend_from_slice(LAST_CHUNK);
        prop_assert_eq!(decode(&stream, &cuts, BodyLength::Chunked), Ok((content, stream.len(), true)));
    }
}

#[test]
fn a_head_that_arrives_byte_by_byte_costs_each_byte_once() {
    // Were each arrival to look from the start, this would take 2^31 steps and seconds.
    let limits = Limits { max_head_bytes: 1 << 16, ..Limits::default() };
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "y".repeat((1 << 16) - 60));
    let mut scanner = HeadScanner::request();
    for end in 1..head.len() {
        assert_eq!(scanner.find_end(&head.as_bytes()[..end], &limits), Ok(None));
    }
    assert_eq!(scanner.find_end(head.as_bytes(), &limits), Ok(Some(head.len())));
    // And it starts afresh.
    assert_eq!(scanner.find_end(b"GET / HTTP/1.1\r\n\r\n", &limits), Ok(Some(18)));
}

#[test]
fn chunk_sizes_are_written_without_leading_zeros() {
    for (size, line) in [(1, "1"), (15, "f"), (16, "10"), (255, "ff"), (256, "100"), (0x1_0000, "10000")] {
        let mut out = Vec::new();
        encode_chunk(&mut out, &vec![b'x'; size]);
        assert!(out.starts_with(format!("{line}\r\nx").as_bytes()) && out.ends_with(b"x\r\n"), "{size}");
    }
    let mut out = Vec::new();
    encode_chunk(&mut out, b"");
    assert!(out.is_empty(), "an empty chunk would end the body");
}
