//! Whom a request is for: the request target and Host (RFC 9112 section 3, RFC 9110 section 7.2).
//!
//! One authority comes out of it, or a refusal. Stricter than the grammar, deliberately: a host is a DNS-like name or
//! an IP literal (no percent-encoding, no sub-delimiters, so no comma), a port is a number that exists, and an
//! absolute-form target must carry the very authority that Host does. Any visible ASCII but `#` may stand in a path or
//! query: browsers and clients do send `|`, `{` and even `\`, and [`crate::path`] judges what they may mean.

use std::net::Ipv6Addr;

use super::rule::{self, Broken};

/// A request target, taken apart; every part is as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target<'b> {
    /// Of an absolute-form target.
    pub(crate) scheme: Option<&'b str>,
    /// Of an absolute-form target.
    pub(crate) authority: Option<&'b str>,
    /// Begins with `/`, or is `*`.
    pub(crate) path: &'b str,
    /// What follows the first `?`.
    pub(crate) query: Option<&'b str>,
}

impl<'b> Target<'b> {
    pub(crate) fn parse(target: &'b str, method: &str) -> Result<Self, Broken> {
        if method == "CONNECT" {
            return Err(Broken::Rule(rule::CONNECT));
        }
        // httparse lets non-ASCII pass.
        if !target.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Broken::Rule(rule::TARGET_BYTES));
        }
        if memchr::memchr(b'#', target.as_bytes()).is_some() {
            return Err(Broken::Rule(rule::TARGET_FRAGMENT));
        }
        if target.starts_with('/') {
            let (path, query) = split_query(target);
            return Ok(Self { scheme: None, authority: None, path, query });
        }
        if target == "*" {
            return match method {
                "OPTIONS" => Ok(Self { scheme: None, authority: None, path: "*", query: None }),
                _ => Err(Broken::Rule(rule::ASTERISK)),
            };
        }
        Self::parse_absolute(target, method)
    }

    fn parse_absolute(target: &'b str, method: &str) -> Result<Self, Broken> {
        let Some((scheme, rest)) = target.split_once("://") else {
            return Err(Broken::Rule(rule::TARGET_FORM));
        };
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(Broken::Rule(rule::TARGET_FORM));
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        check_authority(authority)?;
        let (path, query) = split_query(rest);
        let path = match path {
            // RFC 9112 section 3.2.4: an empty path means the server as a whole if the method is OPTIONS.
            "" if method == "OPTIONS" && query.is_none() => "*",
            "" => "/",
            path => path,
        };
        Ok(Self { scheme: Some(scheme), authority: Some(authority), path, query })
    }
}

fn split_query(target: &str) -> (&str, Option<&str>) {
    match memchr::memchr(b'?', target.as_bytes()) {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

/// Host, which must agree with an absolute-form target: RFC 9112 section 3.2, "identical to that authority component".
/// Only case may differ.
pub(crate) fn check_host<'b>(host: &'b [u8], target: &Target<'_>) -> Result<&'b str, Broken> {
    let host = std::str::from_utf8(host).map_err(|_| Broken::Rule(rule::HOST_SYNTAX))?;
    check_authority(host)?;
    if target.authority.is_some_and(|authority| !authority.eq_ignore_ascii_case(host)) {
        return Err(Broken::Rule(rule::HOST_DISAGREES));
    }
    Ok(host)
}

fn check_authority(authority: &str) -> Result<(), Broken> {
    if authority.contains('@') {
        return Err(Broken::Rule(rule::USERINFO));
    }
    if is_authority(authority) { Ok(()) } else { Err(Broken::Rule(rule::HOST_SYNTAX)) }
}

/// `host [ ":" port ]`
fn is_authority(authority: &str) -> bool {
    if let Some(literal) = authority.strip_prefix('[') {
        let Some((address, port)) = literal.split_once(']') else { return false };
        return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (name, port) = match authority.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (authority, None),
    };
    !name.is_empty() && name.bytes().all(is_name_byte) && port.is_none_or(is_port)
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~')
}

/// 1 to 65535 without leading zeros.
fn is_port(port: &str) -> bool {
    port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0') && port.parse::<u16>().is_ok()
}
