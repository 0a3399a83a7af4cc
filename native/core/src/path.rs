//! Every plausible reading of a request path.
//!
//! What a path means depends on who reads it: whether `%2e%2e` is a dot segment, whether `//` is one slash, whether
//! `;v=1` belongs to the name. A gate that reads it one way in front of an upstream that reads it another lets through
//! what it meant to refuse. So a path is judged in all of its plausible readings, which must lead to the same route and
//! the same decision; what is forwarded are the bytes that came. Nothing is rewritten.
//!
//! The readings: `d` is the path percent-decoded once. From each of the raw path and `d`; from each of those also with
//! `\` read as `/`, with each segment's `;...` cut off, and with both in either order: (i) as it is, (ii) slashes merged, then dot
//! segments resolved (RFC 3986 section 5.2.4), (iii) dot segments resolved, then slashes merged. Refused are a `%` that
//! begins no escape (RFC 3986 section 2.1), what does not decode to UTF-8, a decoded NUL, a `..` above the root in any
//! reading, and a decoded path in which a dot, slash or backslash is still escaped: somebody decodes twice.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::rejection::{Reason, Rejection};

/// A `%` that two hexadecimal digits do not follow.
pub const ESCAPE: &str = "percent sign without two hexadecimal digits in path";
/// The decoded path is not UTF-8.
pub const UTF8: &str = "path is not utf-8 when decoded";
/// `%00`.
pub const NUL: &str = "nul in path";
/// More `..` than there are segments before it.
pub const ABOVE_ROOT: &str = "path above its root";
/// `%252e`, `%252f`, `%255c`: escaped twice.
pub const TWICE: &str = "dot, slash or backslash escaped twice in path";
/// Not a path that begins with `/`, and not `*`.
pub const NO_PATH: &str = "path does not begin with a slash";

/// The distinct readings of one path; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readings<'a>(SmallVec<[Cow<'a, str>; 1]>);

impl Readings<'_> {
    /// The only reading, if there is only one: then there is nothing to compare.
    #[must_use]
    pub fn one(&self) -> Option<&str> {
        match self.0.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// All readings, the raw path first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|reading| &**reading)
    }
}

/// All readings of `path`, which begins with `/` or is `*`.
///
/// # Errors
/// `malformed`, with one of this module's constants as its detail.
pub fn readings(path: &str) -> Result<Readings<'_>, Rejection> {
    if is_plain(path.as_bytes()) {
        return Ok(Readings(SmallVec::from_buf([Cow::Borrowed(path)])));
    }
    all_readings(path).map_err(|rule| Rejection::new(Reason::Malformed, rule))
}

/// Whether every reading is the path itself: there is nothing to decode and nothing to resolve.
fn is_plain(path: &[u8]) -> bool {
    match path.first() {
        Some(b'/') => !path.contains(&b'%') && is_resolved(path),
        _ => path == b"*",
    }
}

/// Whether no reading but decoding changes the path: it holds no `;` or `\`, and no slash before a slash or a dot.
fn is_resolved(path: &[u8]) -> bool {
    let mut after_slash = false;
    for &b in path {
        match b {
            b';' | b'\\' => return false,
            b'/' | b'.' if after_slash => return false,
            _ => after_slash = b == b'/',
        }
    }
    true
}

fn all_readings(path: &str) -> Result<Readings<'_>, &'static str> {
    if path == "*" {
        return Ok(Readings(SmallVec::from_buf([Cow::Borrowed(path)])));
    }
    if !path.starts_with('/') {
        return Err(NO_PATH);
    }
    let mut found = Readings(SmallVec::new());
    let decoded = decode(path)?;
    for base in [path, &decoded] {
        if is_resolved(base.as_bytes()) {
            found.add(Cow::Borrowed(base));
            continue;
        }
        let slashed = base.replace('\\', "/");
        let bare = without_parameters(base);
        // Whoever knows both may take either first, and whoever knows one of them need not know the other.
        let both = [without_parameters(&slashed), bare.replace('\\', "/")];
        for variant in [base, &slashed, &bare, &both[0], &both[1]] {
            if found.add(Cow::Borrowed(variant)) {
                found.add(resolve_dots(&merge_slashes(variant))?.into());
                found.add(merge_slashes(&resolve_dots(variant)?).into());
            }
        }
    }
    Ok(found)
}

impl Readings<'_> {
    /// Whether it was new. The readings of one that is known are known too: it was here as a variant before, or it came
    /// out of resolving one, and resolving it again changes nothing.
    fn add(&mut self, reading: Cow<'_, str>) -> bool {
        let new = !self.0.contains(&reading);
        if new {
            self.0.push(Cow::Owned(reading.into_owned()));
        }
        new
    }
}

/// Decodes every escape once.
fn decode(path: &str) -> Result<String, &'static str> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            decoded.push(*first);
            continue;
        }
        let [high, low, after @ ..] = rest else { return Err(ESCAPE) };
        let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low)) else { return Err(ESCAPE) };
        decoded.push(high << 4 | low);
        rest = after;
    }
    let decoded = String::from_utf8(decoded).map_err(|_| UTF8)?;
    if decoded.contains('\0') {
        return Err(NUL);
    }
    let lower = decoded.to_ascii_lowercase();
    if ["%2e", "%2f", "%5c"].iter().any(|escape| lower.contains(escape)) {
        return Err(TWICE);
    }
    Ok(decoded)
}

fn hex_digit(b: u8) -> Option<u8> {
    char::from(b).to_digit(16).map(|digit| digit as u8)
}

/// Each segment up to its first `;` (RFC 3986 section 3.3: parameters of a segment).
fn without_parameters(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').map(|s| s.split(';').next().unwrap_or_default()).collect();
    segments.join("/")
}

fn merge_slashes(path: &str) -> String {
    let mut merged = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !merged.ends_with('/') {
            merged.push(c);
        }
    }
    merged
}

/// Resolves `.` and `..` (RFC 3986 section 5.2.4); an empty segment is a segment.
fn resolve_dots(path: &str) -> Result<String, &'static str> {
    let mut resolved: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                resolved.pop().ok_or(ABOVE_ROOT)?;
            }
            _ => {
                resolved.push(segment);
                continue;
            }
        }
        if last {
            resolved.push("");
        }
    }
    Ok(format!("/{}", resolved.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn reads(path: &str, expected: &[&str]) {
        let found = readings(path).unwrap_or_else(|r| panic!("{path:?} {r:?}"));
        let mut found: Vec<&str> = found.iter().collect();
        assert_eq!(found.first(), Some(&path), "the raw path comes first");
        let mut expected = expected.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{path:?}");
    }

    #[track_caller]
    fn refused(path: &str, rule: &str) {
        let rejection = readings(path).expect_err(path);
        assert_eq!((rejection.reason, &*rejection.detail), (Reason::Malformed, rule), "{path:?}");
    }

    #[test]
    fn a_plain_path_has_one_reading_and_is_borrowed() {
        for path in ["/", "/a", "/a/", "/v1/orders/7", "/a.b/c..d/e.", "/a=b&c,d:e@f!$'()*+~-_", "/a|{b}", "*"] {
            let found = readings(path).unwrap();
            assert_eq!(found.one(), Some(path));
            assert!(matches!(found.0[0], Cow::Borrowed(_)), "{path:?}");
            assert_eq!(found.iter().count(), 1);
        }
    }

    #[test]
    fn a_path_that_means_the_same_to_all_has_one_reading() {
        for path in ["/.well-known/x", "/a/.b", "/a/..b", "/a/...", "/.a"] {
            assert_eq!(readings(path).unwrap().one(), Some(path));
        }
        assert_eq!(readings("/a%20b").unwrap().one(), None);
    }

    #[test]
    fn dot_segments_are_read_as_names_and_resolved() {
        reads("/a/./b", &["/a/./b", "/a/b"]);
        reads("/a/../b", &["/a/../b", "/b"]);
        reads("/a/.", &["/a/.", "/a/"]);
        reads("/a/b/..", &["/a/b/..", "/a/"]);
        reads("/.", &["/.", "/"]);
        reads("/a/..", &["/a/..", "/"]);
        reads("/a/b/../../c", &["/a/b/../../c", "/c"]);
    }

    #[test]
    fn slashes_are_read_as_empty_segments_and_merged_before_and_after_dots() {
        reads("//a", &["//a", "/a"]);
        reads("/a//", &["/a//", "/a/"]);
        reads("/a///b", &["/a///b", "/a/b"]);
        reads("/a//../b", &["/a//../b", "/b", "/a/b"]);
        reads("/a/b//../../c", &["/a/b//../../c", "/c", "/a/c"]);
    }

    #[test]
    fn escapes_are_read_raw_and_decoded_once() {
        reads("/%61", &["/%61", "/a"]);
        reads("/a%2Fb", &["/a%2Fb", "/a/b"]);
        reads("/a%2fb", &["/a%2fb", "/a/b"]);
        reads("/x/%2e%2e/b", &["/x/%2e%2e/b", "/x/../b", "/b"]);
        reads("/x/%2E./b", &["/x/%2E./b", "/x/../b", "/b"]);
        reads("/x%2f..%2Fb", &["/x%2f..%2Fb", "/x/../b", "/b"]);
        reads("/x/..%2fb", &["/x/..%2fb", "/x/../b", "/b"]);
        reads("/a%2f%2fb", &["/a%2f%2fb", "/a//b", "/a/b"]);
        reads("/%C3%A9", &["/%C3%A9", "/\u{e9}"]);
        reads("/100%25", &["/100%25", "/100%"]);
        reads("/a%2541", &["/a%2541", "/a%41"]);
        reads("/a%3Fb%23c", &["/a%3Fb%23c", "/a?b#c"]);
    }

    #[test]
    fn parameters_are_read_as_part_of_the_segment_and_cut_off() {
        reads("/a;v=1/b", &["/a;v=1/b", "/a/b"]);
        reads("/a;v=1;w/b;x", &["/a;v=1;w/b;x", "/a/b"]);
        reads("/a/..;/b", &["/a/..;/b", "/a/../b", "/b"]);
        reads("/a/..;x=y/b", &["/a/..;x=y/b", "/a/../b", "/b"]);
        reads("/a/;/b", &["/a/;/b", "/a//b", "/a/b"]);
        reads("/a%3bx/b", &["/a%3bx/b", "/a;x/b", "/a/b"]);
        reads("/a/.;./b", &["/a/.;./b", "/a/./b", "/a/b"]);
    }

    #[test]
    fn a_backslash_is_read_as_itself_and_as_a_slash() {
        reads("/a\\b", &["/a\\b", "/a/b"]);
        reads("/a\\..\\b", &["/a\\..\\b", "/a/../b", "/b"]);
        reads("/a%5cb", &["/a%5cb", "/a\\b", "/a/b"]);
        reads("/x/..%5Cb", &["/x/..%5Cb", "/x/..\\b", "/x/../b", "/b"]);
        // Whoever knows one of the two need not know the other.
        reads("/p;x\\..\\b", &["/p;x\\..\\b", "/p;x/../b", "/b", "/p", "/p/../b"]);
    }

    #[test]
    fn what_no_two_would_read_alike_is_refused() {
        for path in
            ["/..", "/../", "/../a", "/a/../..", "/%2e%2e", "/%2e%2e/a", "/..%2fa", "/.%2e/a", "/a/..;/..;/b", "/..;/b"]
        {
            refused(path, ABOVE_ROOT);
        }
        // The slashes merged, it goes above the root.
        refused("//..", ABOVE_ROOT);
        refused("//../a", ABOVE_ROOT);
        refused("/\\..\\a", ABOVE_ROOT);
        for path in ["/%252e", "/%252E%252e/x", "/a%252fb", "/a%255Cb", "/%25%32%65", "/a%252Fb%2525"] {
            refused(path, TWICE);
        }
        for path in ["/%00", "/a%00b", "/a/%00/.."] {
            refused(path, NUL);
        }
        for path in ["/%ff", "/%c0%ae", "/%c0%af", "/%e9", "/%ed%a0%80", "/%f4%90%80%80", "/%C3/%A9"] {
            refused(path, UTF8);
        }
        for path in ["/%", "/%2", "/%zz", "/%2g", "/%u002e", "/%%32%65", "/a%/b", "/% 20", "/%+1"] {
            refused(path, ESCAPE);
        }
        for path in ["", "a", "a/b", "**", "*/"] {
            refused(path, NO_PATH);
        }
    }

    #[test]
    fn what_decodes_to_a_control_but_nul_or_to_a_space_is_a_reading() {
        reads("/a%0d%0ab", &["/a%0d%0ab", "/a\r\nb"]);
        reads("/a%20b", &["/a%20b", "/a b"]);
    }

    /// Section 4 of the architecture, word for word, from the strings up: the readings there must be among ours.
    fn by_the_book(path: &str) -> Option<Vec<String>> {
        let strip = |p: &str| {
            p.split('/')
                .map(|s| s.split(';').next().unwrap_or("").to_owned())
                .collect::<Vec<_>>()
                .join("/")
                .replace('\\', "/")
        };
        let d = decode(path).ok()?;
        let mut all = Vec::new();
        for base in [path.to_owned(), d.clone(), strip(path), strip(&d)] {
            all.push(base.clone());
            all.push(resolve_dots(&merge_slashes(&base)).ok()?);
            all.push(merge_slashes(&resolve_dots(&base).ok()?));
        }
        Some(all)
    }

    fn tricky() -> impl Strategy<Value = String> {
        // Separators, dots and names come more often than the rest.
        let part = prop::sample::select(vec![
            "/", "/", "/", "a", "a", ".", ".", "..", "..", "%2e", "%2F", "%5c", "%3B", ";", "\\", "%25", "2e", "%",
            "%41", "%c3%a9", "%ff", "%00", "b=", "\u{e9}",
        ]);
        prop::collection::vec(part, 0..9).prop_map(|parts| format!("/{}", parts.concat()))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_fast_path_agrees_with_the_slow_one(path in tricky()) {
            if is_plain(path.as_bytes()) {
                let slow = all_readings(&path);
                prop_assert_eq!(slow, Ok(readings(&path).unwrap()));
            }
        }

        #[test]
        fn a_path_without_any_of_the_tricky_bytes_is_plain(path in "/[a-z.]{0,3}(/[a-z.]{0,3}){0,3}") {
            let tricky = path.contains("//") || path.contains("/.");
            prop_assert_eq!(is_plain(path.as_bytes()), !tricky);
            if !tricky {
                let slow = all_readings(&path).unwrap();
                prop_assert_eq!(slow.one(), Some(path.as_str()));
            }
        }

        #[test]
        fn no_reading_of_the_architecture_is_missing(path in tricky()) {
            if let Ok(found) = readings(&path) {
                let book = by_the_book(&path);
                prop_assert!(book.is_some(), "what the book refuses, we refuse");
                for reading in book.unwrap() {
                    prop_assert!(found.iter().any(|r| r == reading), "{:?} of {:?}", reading, path);
                }
            }
        }

        #[test]
        fn readings_are_distinct_and_begin_with_a_slash(path in tricky()) {
            if let Ok(found) = readings(&path) {
                let all: Vec<&str> = found.iter().collect();
                for (i, reading) in all.iter().enumerate() {
                    prop_assert!(reading.starts_with('/'));
                    prop_assert!(!all[..i].contains(reading));
                }
            }
        }
    }
}
