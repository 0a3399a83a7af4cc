//! Fields of a head, and which of them mean something to a proxy (RFC 9110 sections 5 and 7.6).
//!
//! A name is classified once, while the head is parsed; afterwards nothing compares names.

use smallvec::SmallVec;

use super::rule::{self, Broken};

/// One field line. `name` is a token as it was sent, `value` has no whitespace at its ends and no control but HTAB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'b> {
    /// As sent; compare it without case.
    pub name: &'b [u8],
    /// Without the whitespace around it.
    pub value: &'b [u8],
    /// What the name means to us.
    pub id: FieldId,
}

/// A head's fields, in their order; on the stack up to 24 of them.
pub(crate) type Fields<'b> = SmallVec<[Field<'b>; 24]>;

/// What a field name means to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FieldId {
    /// `Host`.
    Host,
    /// `Content-Length`.
    ContentLength,
    /// `Transfer-Encoding`.
    TransferEncoding,
    /// `Connection`.
    Connection,
    /// Of this connection only, whether Connection says so or not: `Keep-Alive`, `Proxy-*`, `TE`, `Trailer`,
    /// `HTTP2-Settings`. Also `Proxy`, which no RFC knows and CGI turns into `HTTP_PROXY` (CVE-2016-5385).
    HopByHop,
    /// `Upgrade`.
    Upgrade,
    /// `Expect`.
    Expect,
    /// `Signature`.
    Signature,
    /// `Signature-Input`.
    SignatureInput,
    /// `Content-Digest`.
    ContentDigest,
    /// `Authorization`.
    Authorization,
    /// `Cookie`.
    Cookie,
    /// `Date`.
    Date,
    /// `Max-Forwards`.
    MaxForwards,
    /// `Via`.
    Via,
    /// What someone says about the caller's address, host or scheme: `Forwarded`, `X-Forwarded-*`, `X-Real-IP` and
    /// their like. Only we say that.
    Forwarded,
    /// `X-Request-Id`.
    RequestId,
    /// `traceparent`.
    Traceparent,
    /// `tracestate`.
    Tracestate,
    /// `X-Pyproxy-*`: only we set these.
    Pyproxy,
    /// Asks some upstreams to see another method, path or host than was judged: `X-HTTP-Method-Override`,
    /// `X-Original-*`, `X-Rewrite-*` and their like.
    Override,
    /// Any name with an underscore, which CGI and WSGI cannot tell from a hyphen; and one that would be a name of this
    /// list if its other signs were hyphens (`X.Pyproxy.Principal`), as some CGI servers write them.
    Underscored,
    /// Meant for every recipient, so never hop-by-hop: `Content-*`, `Cache-Control`, `Set-Cookie`, `Accept-Signature`.
    EndToEnd,
    /// All others.
    Other,
}

impl FieldId {
    /// What `name` means; case does not matter.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let begins = |known: &str| name.get(..known.len()).is_some_and(|b| b.eq_ignore_ascii_case(known.as_bytes()));
        let first = name.first().map_or(0, u8::to_ascii_lowercase);
        match (first, name.len()) {
            (b'h', 4) if is("host") => Self::Host,
            (b'v', 3) if is("via") => Self::Via,
            (b'd', 4) if is("date") => Self::Date,
            (b'e', 6) if is("expect") => Self::Expect,
            (b'c', 6) if is("cookie") => Self::Cookie,
            (b'c', 10) if is("connection") => Self::Connection,
            (b'm', 12) if is("max-forwards") => Self::MaxForwards,
            (b'c', 14) if is("content-length") => Self::ContentLength,
            (b'c', 14) if is("content-digest") => Self::ContentDigest,
            (b'c', 13) if is("cache-control") => Self::EndToEnd,
            (b'c', 8..) if begins("content-") && !name.contains(&b'_') => Self::EndToEnd,
            (b's', 9) if is("signature") => Self::Signature,
            (b's', 15) if is("signature-input") => Self::SignatureInput,
            (b's', 10) if is("set-cookie") => Self::EndToEnd,
            (b'a', 13) if is("authorization") => Self::Authorization,
            (b'a', 16) if is("accept-signature") => Self::EndToEnd,
            (b't', 17) if is("transfer-encoding") => Self::TransferEncoding,
            (b't', 2) if is("te") => Self::HopByHop,
            (b't', 7) if is("trailer") => Self::HopByHop,
            (b't', 11) if is("traceparent") => Self::Traceparent,
            (b't', 10) if is("tracestate") => Self::Tracestate,
            (b't', 14) if is("true-client-ip") => Self::Forwarded,
            (b'u', 7) if is("upgrade") => Self::Upgrade,
            (b'k', 10) if is("keep-alive") => Self::HopByHop,
            (b'h', 14) if is("http2-settings") => Self::HopByHop,
            (b'p', 5) if is("proxy") => Self::HopByHop,
            (b'p', 6..) if begins("proxy-") && !name.contains(&b'_') => Self::HopByHop,
            (b'f', 9) if is("forwarded") => Self::Forwarded,
            _ if name.contains(&b'_') => Self::Underscored,
            _ if is_look_alike(name) => Self::Underscored,
            (b'x', _) => Self::of_x(name),
            _ => Self::Other,
        }
    }

    /// The names that begin with `x`.
    fn of_x(name: &[u8]) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let begins = |known: &str| name.get(..known.len()).is_some_and(|b| b.eq_ignore_ascii_case(known.as_bytes()));
        if begins("x-forwarded") {
            return Self::Forwarded;
        }
        if begins("x-pyproxy") {
            return Self::Pyproxy;
        }
        match name.len() {
            9 if is("x-real-ip") => Self::Forwarded,
            11 if is("x-client-ip") => Self::Forwarded,
            19 if is("x-cluster-client-ip") => Self::Forwarded,
            12 if is("x-request-id") => Self::RequestId,
            13 if is("x-http-method") => Self::Override,
            17 if is("x-method-override") => Self::Override,
            22 if is("x-http-method-override") => Self::Override,
            _ if begins("x-original-") || begins("x-rewrite-") => Self::Override,
            _ => Self::Other,
        }
    }

    /// Whether Connection may name it: only what is of this connection anyway, or what nobody here relies on.
    const fn may_be_named_by_connection(self) -> bool {
        matches!(self, Self::HopByHop | Self::Upgrade | Self::Underscored | Self::Other)
    }
}

/// Whether a name with signs other than hyphens means something to a proxy once they are read as hyphens.
fn is_look_alike(name: &[u8]) -> bool {
    if name.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'-') {
        return false;
    }
    let plain: SmallVec<[u8; 64]> = name.iter().map(|&b| if b.is_ascii_alphanumeric() { b } else { b'-' }).collect();
    FieldId::of(&plain) != FieldId::Other
}

/// Which ids occur in a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet(u32);

impl FieldSet {
    pub(crate) fn insert(&mut self, id: FieldId) {
        self.0 |= 1 << id as u8;
    }

    pub(crate) const fn has(self, id: FieldId) -> bool {
        self.0 & (1 << id as u8) != 0
    }
}

/// The values of all lines of one field.
pub(crate) fn values<'f, 'b>(fields: &'f [Field<'b>], id: FieldId) -> impl Iterator<Item = &'b [u8]> + use<'f, 'b> {
    fields.iter().filter(move |f| f.id == id).map(|f| f.value)
}

/// What Connection asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConnectionOptions {
    pub(crate) close: bool,
    pub(crate) upgrade: bool,
    /// Names fields beyond those that are hop-by-hop anyway.
    pub(crate) names_others: bool,
    /// Names fields that are not to be removed.
    hides: bool,
}

impl ConnectionOptions {
    /// Reads every Connection line of a request. One that names what it must not remove is refused.
    pub(crate) fn of_request(fields: &[Field<'_>]) -> Result<Self, Broken> {
        let options = Self::of(fields)?;
        if options.hides { Err(Broken::Rule(rule::CONNECTION_HIDES)) } else { Ok(options) }
    }

    /// Reads every Connection line of a response. There are servers that name Transfer-Encoding in it; nothing is
    /// removed for that.
    pub(crate) fn of_response(fields: &[Field<'_>]) -> Result<Self, Broken> {
        Self::of(fields)
    }

    fn of(fields: &[Field<'_>]) -> Result<Self, Broken> {
        let mut options = Self::default();
        for option in connection_tokens(fields) {
            if !option.iter().all(|&b| is_token_byte(b)) {
                return Err(Broken::Rule(rule::CONNECTION_SYNTAX));
            }
            if option.eq_ignore_ascii_case(b"close") {
                options.close = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                options.upgrade = true;
            } else if !option.eq_ignore_ascii_case(b"keep-alive") {
                let id = FieldId::of(option);
                options.hides |= !id.may_be_named_by_connection();
                options.names_others |= id == FieldId::Other;
            }
        }
        Ok(options)
    }
}

/// The members of all Connection lines, empty ones left out (RFC 9110 section 5.6.1).
pub(crate) fn connection_tokens<'f, 'b>(fields: &'f [Field<'b>]) -> impl Iterator<Item = &'b [u8]> + use<'f, 'b> {
    values(fields, FieldId::Connection)
        .flat_map(|value| value.split(|&b| b == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// `tchar` of RFC 9110 section 5.6.2.
pub(crate) const fn is_token_byte(b: u8) -> bool {
    matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-'
        | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}
