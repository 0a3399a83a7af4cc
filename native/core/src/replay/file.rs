//! What makes a file of words trustworthy: its first words.
//!
//! A file is trusted only if magic, layout version, boot id, capacity and window all match, and, where the state directory
//! remembers which file was in use last, its fingerprint. Otherwise a fresh one is made behind a fence: nobody knows which
//! calls were accepted before, but all of them were created no later than start + `clock_skew`.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::clock;
use super::filter::FilterSettings;
use super::layout::{Layout, MAGIC, VERSION, at};
use super::window::Window;
use crate::time::Now;

/// What a fresh file is told.
pub struct Birth {
    /// The machine's boot, from the kernel: 16 bytes.
    pub boot_id: [u8; 16],
    /// Fresh random bytes.
    pub tag_key: [u8; 32],
    /// [`latest_created`] of the file that this one replaces, 0 if there is none: if the clock was set back in the
    /// meantime, the fence must not fall below it.
    pub latest_before: u64,
}

/// The number of words that a filter for these settings needs.
///
/// # Errors
/// Capacity or times are out of range; says which.
pub fn words_needed(settings: &FilterSettings) -> Result<usize, String> {
    Window::new(settings.max_age_s, settings.clock_skew_s)?;
    Ok(Layout::new(settings.capacity)?.words())
}

/// Writes the header of a fresh filter into zero words. The magic comes last: a half-written file is never trusted.
///
/// # Errors
/// Settings out of range, or `words` is not [`words_needed`] long.
pub fn initialise(words: &[AtomicU64], settings: &FilterSettings, birth: &Birth, now: Now) -> Result<(), String> {
    let needed = words_needed(settings)?;
    if words.len() != needed {
        return Err(format!("expected {needed} words, got {}", words.len()));
    }
    let put = |index: usize, value: u64| words[index].store(value, Ordering::Relaxed);
    put(at::VERSION, VERSION);
    put_bytes(words, at::BOOT_ID, &birth.boot_id);
    put(at::CAPACITY, settings.capacity);
    put(at::MAX_AGE_S, settings.max_age_s);
    put(at::CLOCK_SKEW_S, settings.clock_skew_s);
    put_bytes(words, at::TAG_KEY, &birth.tag_key);
    let fence = now.unix_s().saturating_add(settings.clock_skew_s).max(birth.latest_before);
    put(at::FIRST_FENCE, fence);
    put(at::FENCE, fence);
    put(at::LATEST, birth.latest_before);
    put(at::CLOCK_REFERENCE, clock::difference(now));
    words[at::MAGIC].store(MAGIC, Ordering::Release);
    Ok(())
}

/// The highest `created` that was ever claimed in a file that may not be trusted otherwise; 0 if it is none of ours.
#[must_use]
pub fn latest_created(words: &[AtomicU64]) -> u64 {
    let ours = words.len() > at::LATEST
        && words[at::MAGIC].load(Ordering::Acquire) == MAGIC
        && words[at::VERSION].load(Ordering::Relaxed) == VERSION;
    if ours { words[at::LATEST].load(Ordering::SeqCst) } else { 0 }
}

/// A name for this very file, made from its tag key, which it does not give away.
#[must_use]
pub fn fingerprint(words: &[AtomicU64]) -> [u8; 16] {
    let hash = blake3::keyed_hash(&tag_key(words), b"pyproxy replay file");
    hash.as_bytes()[..16].try_into().expect("sixteen of thirty-two bytes")
}

pub(super) fn check(
    words: &[AtomicU64],
    settings: &FilterSettings,
    boot_id: [u8; 16],
) -> Result<(Layout, Window), Untrusted> {
    let window = Window::new(settings.max_age_s, settings.clock_skew_s).map_err(Untrusted)?;
    let layout = Layout::new(settings.capacity).map_err(Untrusted)?;
    if words.len() <= at::TAG_KEY || words[at::MAGIC].load(Ordering::Acquire) != MAGIC {
        return Err(Untrusted("not a replay file".to_owned()));
    }
    let found = |index: usize| words[index].load(Ordering::Relaxed);
    let mut expected_boot_id = [0; 2];
    for (word, bytes) in expected_boot_id.iter_mut().zip(boot_id.chunks_exact(8)) {
        *word = u64::from_le_bytes(bytes.try_into().expect("chunks of eight"));
    }
    for (what, index, expected) in [
        ("layout version", at::VERSION, VERSION),
        ("capacity", at::CAPACITY, settings.capacity),
        ("max_age", at::MAX_AGE_S, window.max_age_s()),
        ("clock_skew", at::CLOCK_SKEW_S, window.clock_skew_s()),
    ] {
        if found(index) != expected {
            return Err(Untrusted(format!("made for another {what}: {}, expected {expected}", found(index))));
        }
    }
    if [found(at::BOOT_ID), found(at::BOOT_ID + 1)] != expected_boot_id {
        return Err(Untrusted("made in another boot of the machine".to_owned()));
    }
    if words.len() != layout.words() {
        return Err(Untrusted(format!("{} words, expected {}", words.len(), layout.words())));
    }
    Ok((layout, window))
}

pub(super) fn tag_key(words: &[AtomicU64]) -> [u8; 32] {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip(&words[at::TAG_KEY..]) {
        bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
    }
    key
}

fn put_bytes(words: &[AtomicU64], from: usize, bytes: &[u8]) {
    for (word, bytes) in words[from..].iter().zip(bytes.chunks_exact(8)) {
        word.store(u64::from_le_bytes(bytes.try_into().expect("chunks of eight")), Ordering::Relaxed);
    }
}

/// Why a file is not trusted: the first thing that does not match.
#[derive(Debug, PartialEq, Eq)]
pub struct Untrusted(pub(super) String);

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
