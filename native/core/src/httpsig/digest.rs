//! Content-Digest (RFC 9530): what the body must be.
//!
//! Every digest of an algorithm that is known here must match, and at least one of `sha-256` and `sha-512` must be
//! there. The registry's other algorithms are insecure (section 5) or unknown, and are no evidence: they are ignored. An absent
//! body is empty content, and has a digest like any other.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256, SHA512, digest};
use data_encoding::BASE64;
use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser};

use super::Message;
use super::lines::{Text, join_lines};
use crate::rejection::{Reason, Rejection};
use crate::sfv::Unacceptable;

/// Most members of a Content-Digest; the registry has eight algorithms.
const MAX_MEMBERS: usize = 16;

/// What a Content-Digest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    sha256: Option<[u8; 32]>,
    sha512: Option<[u8; 64]>,
}

impl Digests {
    /// Reads the lines of the field, in order.
    ///
    /// # Errors
    /// [`Reason::DigestUnsupported`]: it is not well formed, names an algorithm twice, has a digest of the wrong
    /// length, or none that is accepted.
    pub fn parse<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Result<Self, Rejection> {
        let mut joined = Text::new();
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                joined.extend_from_slice(b", ");
            }
            joined.extend_from_slice(value);
        }
        Self::parse_joined(&joined)
    }

    /// Reads the field of a message.
    ///
    /// # Errors
    /// As [`Digests::parse`]; also if there is no such field.
    pub fn of_message<M: Message + ?Sized>(message: &M) -> Result<Self, Rejection> {
        let mut joined = Text::new();
        join_lines(message, "content-digest", &mut joined);
        Self::parse_joined(&joined)
    }

    fn parse_joined(value: &[u8]) -> Result<Self, Rejection> {
        let mut members = Members { sha256: None, sha512: None, count: 0 };
        Parser::new(value).parse_dictionary_with_visitor(&mut members).map_err(|error| {
            Rejection::with(
                Reason::DigestUnsupported,
                format!("Content-Digest is not what RFC 9530 section 2 describes: {error}"),
            )
        })?;
        if members.sha256.is_none() && members.sha512.is_none() {
            return Err(Rejection::new(Reason::DigestUnsupported, "Content-Digest has neither sha-256 nor sha-512"));
        }
        Ok(Self { sha256: members.sha256, sha512: members.sha512 })
    }
}

/// The value of Content-Digest for a body: what a signer puts into its request.
#[must_use]
pub fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64.encode(digest(&SHA256, body).as_ref()))
}

/// Hashes a body as it comes, and says at its end whether it is the one that was signed.
pub struct Digester {
    expected: Digests,
    sha256: Option<Context>,
    sha512: Option<Context>,
}

impl Digester {
    /// A digester of one body.
    #[must_use]
    pub fn new(expected: &Digests) -> Self {
        Self {
            sha256: expected.sha256.map(|_| Context::new(&SHA256)),
            sha512: expected.sha512.map(|_| Context::new(&SHA512)),
            expected: expected.clone(),
        }
    }

    /// The next piece of the content.
    pub fn update(&mut self, content: &[u8]) {
        for context in [&mut self.sha256, &mut self.sha512].into_iter().flatten() {
            context.update(content);
        }
    }

    /// The content is complete.
    ///
    /// # Errors
    /// [`Reason::DigestMismatch`], naming the algorithm. Compared in constant time.
    pub fn finish(self) -> Result<(), Rejection> {
        compare("sha-256", self.sha256, self.expected.sha256.as_ref().map(<[u8; 32]>::as_slice))?;
        compare("sha-512", self.sha512, self.expected.sha512.as_ref().map(<[u8; 64]>::as_slice))
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digester").field("expected", &self.expected).finish_non_exhaustive()
    }
}

fn compare(algorithm: &str, context: Option<Context>, expected: Option<&[u8]>) -> Result<(), Rejection> {
    let (Some(context), Some(expected)) = (context, expected) else { return Ok(()) };
    verify_slices_are_equal(context.finish().as_ref(), expected).map_err(|_| {
        Rejection::with(
            Reason::DigestMismatch,
            format!("the content is not what the {algorithm} of Content-Digest says"),
        )
    })
}

struct Members {
    sha256: Option<[u8; 32]>,
    sha512: Option<[u8; 64]>,
    count: usize,
}

enum Member<'a> {
    Sha256(&'a mut Option<[u8; 32]>),
    Sha512(&'a mut Option<[u8; 64]>),
    Ignored,
}

impl<'b> DictionaryVisitor<'b> for &mut Members {
    type Out = ();
    type Error = Unacceptable;

    fn entry(&mut self, key: &'b KeyRef) -> Result<impl EntryVisitor<'b>, Unacceptable> {
        self.count += 1;
        if self.count > MAX_MEMBERS {
            return Err(Unacceptable("more than 16 members"));
        }
        let member = match key.as_str() {
            "sha-256" => Member::Sha256(&mut self.sha256),
            "sha-512" => Member::Sha512(&mut self.sha512),
            _ => Member::Ignored,
        };
        // RFC 9651 would let the last one win; whoever reads the first would check another digest.
        if matches!(&member, Member::Sha256(Some(_)) | Member::Sha512(Some(_))) {
            return Err(Unacceptable("an algorithm occurs twice"));
        }
        Ok(member)
    }

    fn finish(self) -> Result<(), Unacceptable> {
        Ok(())
    }
}

impl<'b> EntryVisitor<'b> for Member<'_> {
    type Error = Unacceptable;

    fn item(self) -> Result<impl ItemVisitor<'b>, Unacceptable> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'b>, Unacceptable> {
        match self {
            Self::Ignored => Ok(Ignored),
            Self::Sha256(_) | Self::Sha512(_) => Err(Unacceptable("a digest is not a byte sequence")),
        }
    }
}

impl<'b> ItemVisitor<'b> for Member<'_> {
    type Out = ();
    type Error = Unacceptable;

    fn bare_item(self, item: BareItemFromInput<'b>) -> Result<impl ParameterVisitor<'b, Out = ()>, Unacceptable> {
        match self {
            Self::Ignored => {}
            Self::Sha256(digest) => *digest = Some(octets(&item)?),
            Self::Sha512(digest) => *digest = Some(octets(&item)?),
        }
        Ok(Ignored)
    }
}

fn octets<const N: usize>(item: &BareItemFromInput<'_>) -> Result<[u8; N], Unacceptable> {
    let octets = item.as_byte_sequence().ok_or(Unacceptable("a digest is not a byte sequence"))?;
    octets.try_into().map_err(|_| Unacceptable("a digest has the wrong length for its algorithm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 9530 appendix B and section 2; the content has its final newline.
    const HELLO: &[u8] = b"{\"hello\": \"world\"}\n";
    const HELLO_256: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
    const HELLO_512: &str =
        "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:";

    fn check(field: &str, content: &[u8]) -> Option<Reason> {
        let digests = match Digests::parse([field.as_bytes()]) {
            Ok(digests) => digests,
            Err(rejection) => return Some(rejection.reason),
        };
        let mut whole = Digester::new(&digests);
        whole.update(content);
        let mut by_byte = Digester::new(&digests);
        content.iter().for_each(|byte| by_byte.update(&[*byte]));
        let result = whole.finish();
        assert_eq!(result, by_byte.finish(), "the split does not matter");
        result.err().map(|rejection| rejection.reason)
    }

    #[test]
    fn the_examples_of_rfc_9530_hold() {
        assert_eq!(check(HELLO_256, HELLO), None);
        assert_eq!(check(HELLO_512, HELLO), None);
        assert_eq!(check(&format!("{HELLO_256}, {HELLO_512}"), HELLO), None);
        assert_eq!(check(&format!("{HELLO_512},unixsum=2,{HELLO_256}"), HELLO), None);
        assert_eq!(content_digest(HELLO), HELLO_256);
    }

    #[test]
    fn an_absent_body_is_empty_content() {
        let empty = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
        assert_eq!(check(empty, b""), None);
        assert_eq!(check(HELLO_256, b""), Some(Reason::DigestMismatch));
        assert_eq!(content_digest(b""), empty);
    }

    #[test]
    fn every_known_digest_must_match() {
        let other = HELLO_512.replace("YMAam", "YMAan");
        assert_eq!(check(&format!("{HELLO_256}, {other}"), HELLO), Some(Reason::DigestMismatch));
        assert_eq!(check(&format!("{other}, {HELLO_256}"), HELLO), Some(Reason::DigestMismatch));
        assert_eq!(check(HELLO_256, b"{\"hello\": \"world\"}"), Some(Reason::DigestMismatch));
    }

    #[test]
    fn insecure_and_unknown_algorithms_are_no_evidence() {
        for field in
            ["md5=:Sd/dVLAcvNLSq16eXua5uQ==:", "unixsum=30637", "sha=:2jmj7l5rSw0yVb/vlWAYkK/YBwk=:", "new=(a b)", ""]
        {
            assert_eq!(check(field, HELLO), Some(Reason::DigestUnsupported), "{field}");
        }
        assert_eq!(check(&format!("md5=:AAAA:, {HELLO_256}"), HELLO), None);
    }

    #[test]
    fn what_is_not_a_digest_is_refused() {
        for field in [
            "sha-256=:AAAA:",
            "sha-256=\"x\"",
            "sha-256",
            "sha-256=(a)",
            "sha-256=:!:",
            "sha-256=",
            "SHA-256=:AAAA:",
            "sha-512=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
            &format!("{HELLO_256},{HELLO_256}"),
            &format!("{HELLO_256}, sha-256=1"),
            &format!("{HELLO_256},"),
            &format!("{HELLO_256}, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p"),
        ] {
            assert_eq!(check(field, HELLO), Some(Reason::DigestUnsupported), "{field}");
        }
    }

    #[test]
    fn several_lines_are_one_dictionary() {
        let lines = [HELLO_256.as_bytes(), HELLO_512.as_bytes()];
        let digests = Digests::parse(lines).expect("two lines");
        assert!(digests.sha256.is_some() && digests.sha512.is_some());
        assert!(Digests::parse([HELLO_256.as_bytes(), HELLO_256.as_bytes()]).is_err());
    }
}
