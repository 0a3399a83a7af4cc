//! Finds where a head ends while it arrives, looking at each byte once, and refuses at once what can never become one.
//!
//! A bare LF or CR, or a NUL, is refused when it arrives and not when the head would have ended: a peer that waits for
//! us to see an end where we see none must not hold a connection until a timeout. Everything else about a head is
//! judged by [`parse_request`](super::parse_request) and [`parse_response`](super::parse_response).

use memchr::memchr3;

use super::rule::{self, Broken};
use crate::limits::Limits;
use crate::rejection::Rejection;

/// How far one head was searched. Give it the same buffer, grown, until it finds the end; then it starts afresh.
#[derive(Clone, Debug, Default)]
pub struct HeadScanner {
    /// Everything before this was looked at.
    looked: usize,
    /// Where the current line begins.
    line_start: usize,
    /// A start line was seen.
    started: bool,
    /// A response is looked for: no empty line may come before it, and the blame is the upstream's.
    response: bool,
}

impl HeadScanner {
    /// Looks for a request head, before which RFC 9112 2.2 has us skip one empty line; it counts as part of the head.
    #[must_use]
    pub fn request() -> Self {
        Self::default()
    }

    /// Looks for a response head.
    #[must_use]
    pub fn response() -> Self {
        Self { response: true, ..Self::default() }
    }

    /// The length of the head at the start of `buf`, its final empty line included, or `None` if more must arrive.
    ///
    /// # Errors
    /// The head is already too large, or holds a byte that no head can hold.
    pub fn find_end(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<usize>, Rejection> {
        match self.search(buf, limits) {
            Ok(None) => Ok(None),
            Ok(Some(end)) => {
                *self = Self { response: self.response, ..Self::default() };
                Ok(Some(end))
            }
            Err(broken) if self.response => Err(broken.in_response()),
            Err(broken) => Err(broken.in_request()),
        }
    }

    fn search(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<usize>, Broken> {
        // One byte more than may come is enough to know that it is too much.
        let buf = &buf[..buf.len().min(limits.max_head_bytes.saturating_add(1))];
        while let Some(found) = memchr3(b'\r', b'\n', 0, &buf[self.looked..]) {
            let at = self.looked + found;
            match (buf[at], buf.get(at + 1)) {
                (b'\r', Some(b'\n')) => {}
                (b'\r', None) => {
                    self.looked = at;
                    return self.unfinished(buf.len(), limits);
                }
                (b'\r', Some(_)) => return Err(Broken::Rule(rule::BARE_CR)),
                (b'\n', _) => return Err(Broken::Rule(rule::BARE_LF)),
                _ => return Err(Broken::Rule(rule::NUL)),
            }
            let next = at + 2;
            let empty = at == self.line_start;
            if empty && self.started {
                return if next > limits.max_head_bytes { Err(rule::HEAD_BYTES) } else { Ok(Some(next)) };
            }
            if empty && (at > 0 || self.response) {
                return Err(Broken::Rule(rule::EMPTY_LINES));
            }
            self.started |= !empty;
            self.line_start = next;
            self.looked = next;
        }
        self.looked = buf.len();
        self.unfinished(buf.len(), limits)
    }

    /// More must arrive, unless there is too much already. A start line that alone is too much is a long target.
    fn unfinished(&self, len: usize, limits: &Limits) -> Result<Option<usize>, Broken> {
        if len <= limits.max_head_bytes {
            Ok(None)
        } else if self.started || self.response {
            Err(rule::HEAD_BYTES)
        } else {
            Err(Broken::TargetSize)
        }
    }
}
