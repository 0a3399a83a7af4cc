//! Component identifiers: what can be covered (RFC 9421 section 2).
//!
//! A [`Component`] is one identifier of a Signature-Input member. Its name is known to be one that a request can have
//! and its parameters are known to go together, or the member it stands in carries a [`Fault`].

use std::borrow::Cow;
use std::ops::Range;

/// A derived component of a request (RFC 9421 section 2.2), or a field (section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Name {
    Method,
    TargetUri,
    Authority,
    Scheme,
    RequestTarget,
    Path,
    Query,
    QueryParam,
    Field,
}

impl Name {
    /// The name, or why a request cannot have it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.starts_with('@') {
            return if is_field_name(text) {
                Ok(Self::Field)
            } else {
                Err("is not a field name in lower case (RFC 9421 section 2.1)")
            };
        }
        Ok(match text {
            "@method" => Self::Method,
            "@target-uri" => Self::TargetUri,
            "@authority" => Self::Authority,
            "@scheme" => Self::Scheme,
            "@request-target" => Self::RequestTarget,
            "@path" => Self::Path,
            "@query" => Self::Query,
            "@query-param" => Self::QueryParam,
            "@status" => return Err("is a component of responses (RFC 9421 section 2.2.9)"),
            "@signature-params" => return Err("is always covered, and never listed (RFC 9421 section 2.3)"),
            _ => return Err("is not a derived component of RFC 9421 section 2.2"),
        })
    }

    /// Its place in a set of derived components without parameters.
    pub(crate) const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// Lower-case `token` of RFC 9110 section 5.6.2.
fn is_field_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| {
            matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.'
                | b'^' | b'_' | b'`' | b'|' | b'~')
        })
}

/// Which parameters an identifier has (RFC 9421 section 2.1 and 2.2.8), as a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u8);

impl Flags {
    /// Strict serialisation of a structured field.
    pub(crate) const SF: Self = Self(1);
    /// The field's lines as byte sequences.
    pub(crate) const BS: Self = Self(2);
    /// One dictionary member.
    pub(crate) const KEY: Self = Self(4);
    /// One query parameter.
    pub(crate) const NAME: Self = Self(8);

    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// One covered component, as its place in the text of its Signature-Input member.
#[derive(Clone, Debug)]
pub(crate) struct Component<'b> {
    /// The canonical identifier with its quotes and parameters: the start of a line of the signature base.
    pub(crate) identifier: Range<usize>,
    /// Length of the name, which begins behind the first quote of the identifier.
    pub(crate) name_len: usize,
    pub(crate) name: Name,
    pub(crate) flags: Flags,
    /// Value of the parameter `key` or `name`.
    pub(crate) argument: Option<Cow<'b, str>>,
}

impl Component<'_> {
    /// The name's bytes in the text that this component stands in.
    pub(crate) fn name_in<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let start = self.identifier.start + 1;
        &text[start..start + self.name_len]
    }

    /// Whether this covers the whole value of a field: plainly, as `sf` or as `bs`, but not one member of it.
    pub(crate) fn covers_whole_field(&self) -> bool {
        self.name == Name::Field && !self.flags.contains(Flags::KEY)
    }

    /// Equality of identifiers: "the order of parameters MUST be preserved" in the base, but does not tell two
    /// identifiers apart (RFC 9421 section 2).
    pub(crate) fn same_identifier(&self, text: &[u8], other: &Component<'_>, other_text: &[u8]) -> bool {
        self.name == other.name
            && self.flags == other.flags
            && self.name_len == other.name_len
            && self.argument == other.argument
            && self.name_in(text) == other.name_in(other_text)
    }

    /// Why these parameters do not go with this name, if they do not.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        match self.name {
            Name::QueryParam if self.flags != Flags::NAME => {
                Some("needs the parameter `name` and no other (RFC 9421 section 2.2.8)")
            }
            Name::Field if self.flags.contains(Flags::NAME) => {
                Some("has the parameter `name`, which only @query-param has")
            }
            Name::Field
                if self.flags.contains(Flags::BS)
                    && (self.flags.contains(Flags::SF) || self.flags.contains(Flags::KEY)) =>
            {
                Some("has `bs` together with `sf` or `key` (RFC 9421 section 2.1)")
            }
            Name::QueryParam | Name::Field => None,
            _ if !self.flags.is_empty() => Some("is a derived component and has a parameter of fields"),
            _ => None,
        }
    }
}

/// The first thing wrong with one Signature-Input member, which matters only if its key is known.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// What is wrong, as the end of a sentence about the component or parameter.
    pub(crate) cause: &'static str,
    /// Its name, as far as it was read.
    pub(crate) subject: String,
}
