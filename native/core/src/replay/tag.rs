//! What stands for a nonce in a table: keyed BLAKE3 of (era, keyid as signed, nonce).
//!
//! The key is random, in the file's header, and known to nobody outside: a caller can neither aim at a slot nor find two
//! nonces with one tag. The era in the hash holds the generation, so a tag of another generation never matches. 62 bits
//! are compared, and only in slots near a place that 64 further bits choose: with 10^7 nonces the chance that an honest
//! call meets its own tag is about 128 x 2^-62.

use super::table::{Header, Mark};

/// Longest key id and longest nonce, in bytes each; the signature gate asks for no more.
pub(crate) const MAX_PART_BYTES: usize = 256;

const FIXED_BYTES: usize = 8 + 2 + 2;
const SHORT_BYTES: usize = 128;

/// The mark of a nonce. Both parts are at most [`MAX_PART_BYTES`] long, and each is preceded by its length, so that no
/// two pairs give the same input.
pub(crate) fn mark(key: &[u8; 32], header: Header, key_id: &[u8], nonce: &[u8]) -> Mark {
    let length = FIXED_BYTES + key_id.len() + nonce.len();
    let hash = if length <= SHORT_BYTES {
        hashed(key, &mut [0; SHORT_BYTES], header, key_id, nonce)
    } else {
        hashed(key, &mut [0; FIXED_BYTES + 2 * MAX_PART_BYTES], header, key_id, nonce)
    };
    let word = |at: usize| u64::from_le_bytes(hash[at..at + 8].try_into().expect("eight of thirty-two bytes"));
    Mark::new(word(0), word(8))
}

fn hashed(key: &[u8; 32], input: &mut [u8], header: Header, key_id: &[u8], nonce: &[u8]) -> [u8; 32] {
    let mut end = 0;
    let mut put = |part: &[u8]| {
        input[end..end + part.len()].copy_from_slice(part);
        end += part.len();
    };
    put(&header.era().to_le_bytes());
    for part in [key_id, nonce] {
        put(&(part.len() as u16).to_le_bytes());
        put(part);
    }
    *blake3::keyed_hash(key, &input[..end]).as_bytes()
}
