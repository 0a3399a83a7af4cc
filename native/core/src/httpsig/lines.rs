//! The lines of a field as one value (RFC 9110 section 5.2, RFC 9421 section 2.1).

use smallvec::SmallVec;

use super::Message;

/// Text of a field or of a signature base: on the stack in the usual case.
pub(crate) type Text = SmallVec<[u8; 1024]>;

/// Puts all lines of a field together as RFC 9110 section 5.2 says; `false` if there is none.
pub(crate) fn join_lines<M: Message + ?Sized>(message: &M, lower_name: &str, out: &mut Text) -> bool {
    let mut found = false;
    message.field(lower_name, &mut |value| {
        if found {
            out.extend_from_slice(b", ");
        }
        found = true;
        out.extend_from_slice(trim_ows(value));
    });
    found
}

/// RFC 9421 section 2.1: "Strip leading and trailing whitespace"; whitespace of a field is space and tab.
pub(crate) fn trim_ows(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
