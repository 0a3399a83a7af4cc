//! Every plausible reading of a request path.
//!
//! What a path means depends on who reads it: whether `%2e%2e` is a dot segment, whether `//` is one slash, whether
//! `;v=1` belongs to the name. A gate that reads it one way in front of an upstream that reads it another lets through
//! what it meant to refuse. So a path is judged in all of its plausible readings, which must lead to the same route and
//! the same decision; what is forwarded are the bytes that came. Nothing is rewritten.
//!
//! The readings: `d` is the path percent-decoded once. From each of the raw path and `d`; from each of those also with
//! `\` read as `/`, with each segment's `;...` cut off, and with both: (i) as it is, (ii) slashes merged, then dot
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

/// Whether every reading is the path itself: it holds no `%`, `;` or `\`, and no slash before a slash or a dot.
fn is_plain(path: &[u8]) -> bool {
    if path.first() != Some(&b'/') {
        return path == b"*";
    }
    let mut after_slash = false;
    for &b in path {
        match b {
            b'%' | b';' | b'\\' => return false,
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
    let mut found = Readings(SmallVec::from_buf([Cow::Borrowed(path)]));
    let decoded = decode(path)?;
    for base in [path, &decoded] {
        let slashed = base.replace('\\', "/");
        for variant in [base, &slashed, &without_parameters(base), &without_parameters(&slashed)] {
            found.add(variant.to_owned());
            found.add(resolve_dots(&merge_slashes(variant))?);
            found.add(merge_slashes(&resolve_dots(variant)?));
        }
    }
    Ok(found)
}

impl Readings<'_> {
    fn add(&mut self, reading: String) {
        if !self.0.iter().any(|known| *known == reading) {
            self.0.push(Cow::Owned(reading));
        }
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
