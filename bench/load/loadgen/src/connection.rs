//! One keep-alive connection with at most one call on it.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::requests::{Requests, Span};

/// An answer larger than this is not what a benchmark expects.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

pub struct Connection {
    pub stream: TcpStream,
    /// When the call under way was meant to be sent, nanoseconds since the start.
    pub intended_ns: u64,
    /// What is yet to be written of the request under way.
    unwritten: Option<Span>,
    answer: Box<[u8]>,
    received: usize,
    /// Status and full length of the answer, once its head is there.
    head: Option<(u16, usize)>,
}

/// Why a connection can no longer be used.
pub struct Broken(pub String);

impl Connection {
    pub fn open(target: SocketAddr) -> Result<Self, String> {
        let open = || {
            let stream = TcpStream::connect(target)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        };
        let stream = open().map_err(|error: std::io::Error| format!("connecting to {target}: {error}"))?;
        let answer = vec![0; MAX_RESPONSE_BYTES].into_boxed_slice();
        Ok(Self { stream, intended_ns: 0, unwritten: None, answer, received: 0, head: None })
    }

    /// Begins a call.
    pub fn send(&mut self, requests: &Requests, span: Span, intended_ns: u64) -> Result<(), Broken> {
        self.intended_ns = intended_ns;
        self.unwritten = Some(span);
        self.received = 0;
        self.head = None;
        self.write(requests)
    }

    /// Writes what is yet unwritten, as far as the kernel takes it.
    pub fn write(&mut self, requests: &Requests) -> Result<(), Broken> {
        while let Some(span) = self.unwritten {
            match self.stream.write(requests.bytes(span)) {
                Ok(written) if span.start + written == span.end => self.unwritten = None,
                Ok(written) => self.unwritten = Some(Span { start: span.start + written, end: span.end }),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(Broken(format!("write: {error}"))),
            }
        }
        Ok(())
    }

    /// Reads once; the answer's status if it is now complete.
    ///
    /// One read is enough under edge triggering: more bytes than were there make a new edge.
    pub fn read(&mut self) -> Result<Option<u16>, Broken> {
        match self.stream.read(&mut self.answer[self.received..]) {
            Ok(0) => return Err(Broken("closed by the proxy".to_owned())),
            Ok(count) => self.received += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(Broken(format!("read: {error}"))),
        }
        if self.head.is_none() {
            self.head = parsed_head(&self.answer[..self.received])?;
        }
        match self.head {
            Some((status, length)) if self.received == length => Ok(Some(status)),
            Some((_, length)) if self.received > length => Err(Broken("more bytes than the answer has".to_owned())),
            Some(_) | None => Ok(None),
        }
    }

    /// What has arrived of the answer, clipped, for a person to read.
    pub fn excerpt(&self) -> String {
        String::from_utf8_lossy(&self.answer[..self.received.min(600)]).into_owned()
    }
}

/// Status and length of head and content, if the head is complete.
fn parsed_head(answer: &[u8]) -> Result<Option<(u16, usize)>, Broken> {
    let mut fields = [httparse::EMPTY_HEADER; 48];
    let mut response = httparse::Response::new(&mut fields);
    let head_bytes = match response.parse(answer) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(Broken(format!("the answer is not HTTP: {error}"))),
    };
    let length = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.parse::<usize>().ok());
    let length = length.ok_or_else(|| Broken("the answer has no Content-Length".to_owned()))?;
    if head_bytes + length > MAX_RESPONSE_BYTES {
        return Err(Broken(format!("an answer of {length} bytes is too long")));
    }
    Ok(Some((response.code.unwrap_or(0), head_bytes + length)))
}
