//! The requests to play: one and the same, or signed ones, each of which is handed out once.

/// Requests laid out back to back, ready to be written.
pub struct Requests {
    bytes: Vec<u8>,
    /// Where each request ends; a request starts where the one before it ends.
    ends: Vec<usize>,
    next: usize,
    reusable: bool,
}

/// Where a request lies in [`Requests`].
#[derive(Clone, Copy)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Requests {
    /// The same bytes for every call.
    pub fn same(request: Vec<u8>) -> Self {
        Self { ends: vec![request.len()], bytes: request, next: 0, reusable: true }
    }

    /// Different bytes for every call, each used once.
    pub fn once_each(bytes: Vec<u8>, ends: Vec<usize>) -> Self {
        Self { bytes, ends, next: 0, reusable: false }
    }

    /// The next request, or `None` when all were used.
    pub fn take(&mut self) -> Option<Span> {
        let end = *self.ends.get(self.next)?;
        let start = if self.next == 0 { 0 } else { self.ends[self.next - 1] };
        if !self.reusable {
            self.next += 1;
        }
        Some(Span { start, end })
    }

    /// The bytes of a request.
    pub fn bytes(&self, span: Span) -> &[u8] {
        &self.bytes[span.start..span.end]
    }
}
