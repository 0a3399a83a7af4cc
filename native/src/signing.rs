//! Keys and signatures for Python: the command line, `pyproxy.client`, tests. The data path does not come this way.
//!
//! All of it is the core's: a request is signed with the code that verifies it.

use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyproxy_core::httpsig::digest::{Digester, Digests, content_digest};
use pyproxy_core::httpsig::{Algorithm, KeyError, KeySet, Message, Rules, SignParams, SigningKey, sign, verify};
use pyproxy_core::rejection::Rejection;
use pyproxy_core::settings::{SignatureSettings, Uncovered};
use pyproxy_core::time::{NANOS_PER_S, Now};

create_exception!(pyproxy._native, SignatureRefused, PyValueError, "A signature was refused: (reason, detail).");

/// What is covered when the caller names nothing: the required components of the default configuration.
const DEFAULT_COMPONENTS: [&str; 4] = ["@method", "@authority", "@path", "@query"];

/// A key as (kid, algorithm, principal, `secret` or `public`).
type Key = (String, &'static str, String, &'static str);

/// Reads a JWK Set as `serve` would.
///
/// Returns keys, errors and warnings. Keys are given only if there is no error; a secret never is.
#[pyfunction]
pub(crate) fn check_keys(jwks: &[u8]) -> (Vec<Key>, Vec<String>, Vec<String>) {
    match KeySet::from_jwks(jwks) {
        Ok(set) => {
            let keys = set.iter().map(|key| {
                let kind = if key.algorithm() == Algorithm::HmacSha256 { "secret" } else { "public" };
                (key.kid().to_string(), key.algorithm().name(), key.principal().to_string(), kind)
            });
            (keys.collect(), Vec::new(), set.warnings().iter().map(KeyError::to_string).collect())
        }
        Err(errors) => (Vec::new(), errors.iter().map(KeyError::to_string).collect(), Vec::new()),
    }
}

/// Signs a request; returns the fields to add: Content-Digest if there is a body, Signature-Input, Signature.
///
/// `url` is absolute. `components` are identifiers without quotes around the name, such as `@method` or
/// `@query-param;name="id"`; content-digest is added if there is a body. A Content-Digest among `headers` must be that of
/// `body`, or is taken at its word if `body` is None. Raises `ValueError`.
#[pyfunction]
#[pyo3(signature = (jwk, method, url, headers, body, components, created, expires, nonce, label="sig1"))]
#[expect(clippy::too_many_arguments, reason = "one call from Python, by keyword")]
pub(crate) fn sign_request(
    jwk: &[u8],
    method: &str,
    url: &str,
    headers: Vec<(Text, Text)>,
    body: Option<&[u8]>,
    components: Option<Vec<String>>,
    created: u64,
    expires: Option<u64>,
    nonce: &str,
    label: &str,
) -> PyResult<Vec<(&'static str, String)>> {
    let key = SigningKey::from_jwk(jwk).map_err(|errors| {
        let errors: Vec<_> = errors.iter().map(KeyError::to_string).collect();
        PyValueError::new_err(format!("key: {}", errors.join("; ")))
    })?;
    let mut request = Request::new(method, url, headers)?;
    let mut components = components.unwrap_or_else(|| DEFAULT_COMPONENTS.map(str::to_owned).to_vec());
    let covers_digest = components.iter().any(|written| written.split(';').next() == Some("content-digest"));
    let has_body = body.is_some_and(|body| !body.is_empty());
    if has_body && !covers_digest {
        components.push("content-digest".into());
    }
    let mut added = Vec::new();
    if has_body || covers_digest {
        if request.has("content-digest") {
            // Without a body, it is that of content which is not here: too large to be, and sent by the caller in pieces.
            if let Some(content) = body {
                request.check_digest(content)?;
            }
        } else {
            let value = content_digest(body.unwrap_or_default());
            request.fields.push(("content-digest".into(), value.clone().into_bytes()));
            added.push(("Content-Digest", value));
        }
    }
    let components: Vec<_> = components.iter().map(String::as_str).collect();
    let params = SignParams { label, components: &components, created, expires, nonce, tag: None, alg: true };
    let (signature_input, signature) =
        sign(&request, &key, &params).map_err(|error| PyValueError::new_err(error.to_string()))?;
    added.push(("Signature-Input", signature_input));
    added.push(("Signature", signature));
    Ok(added)
}

/// Verifies a request as a gate would, without the replay filter; returns (key id, principal, nonce, created).
///
/// Raises `SignatureRefused` with the reason's label and the detail.
#[pyfunction]
#[pyo3(signature = (jwks, method, url, headers, body, now, *, require=None, require_if_present=None, max_age=30, clock_skew=5, allow_rsa_v1_5=false))]
#[expect(clippy::too_many_arguments, reason = "one call from Python, by keyword")]
pub(crate) fn verify_request<'py>(
    py: Python<'py>,
    jwks: &[u8],
    method: &str,
    url: &str,
    headers: Vec<(Text, Text)>,
    body: Option<&[u8]>,
    now: u64,
    require: Option<Vec<String>>,
    require_if_present: Option<Vec<String>>,
    max_age: u64,
    clock_skew: u64,
    allow_rsa_v1_5: bool,
) -> PyResult<(String, String, Bound<'py, PyBytes>, u64)> {
    let keys = KeySet::from_jwks(jwks).map_err(|errors| {
        let errors: Vec<_> = errors.iter().map(KeyError::to_string).collect();
        PyValueError::new_err(errors.join("; "))
    })?;
    let rules = Rules::new(&SignatureSettings {
        require: require.unwrap_or_else(|| DEFAULT_COMPONENTS.map(str::to_owned).to_vec()),
        require_if_present: require_if_present.unwrap_or_default(),
        max_age_s: max_age,
        clock_skew_s: clock_skew,
        uncovered: Uncovered::Forward,
        allow_rsa_v1_5,
    })
    .map_err(|mistakes| PyValueError::new_err(mistakes.join("; ")))?;
    let request = Request::new(method, url, headers)?;
    let has_body = body.is_some_and(|body| !body.is_empty());
    let now = Now { unix_ns: now.saturating_mul(NANOS_PER_S), boot_ns: 0 };
    let verified = verify(&request, &keys, &rules, now, has_body).map_err(refused)?;
    if let Some(digests) = verified.digests() {
        check(digests, body.unwrap_or_default()).map_err(refused)?;
    }
    let nonce = PyBytes::new(py, verified.nonce());
    Ok((verified.key_id().to_string(), verified.principal().to_string(), nonce, verified.created()))
}

fn refused(rejection: Rejection) -> PyErr {
    SignatureRefused::new_err((rejection.reason.label(), rejection.detail.into_owned()))
}

fn check(digests: &Digests, content: &[u8]) -> Result<(), Rejection> {
    let mut digester = Digester::new(digests);
    digester.update(content);
    digester.finish()
}

/// A field's name or value, as `str` or `bytes`.
#[derive(FromPyObject)]
pub(crate) enum Text {
    Str(String),
    Bytes(Vec<u8>),
}

impl Text {
    fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Str(text) => text.into_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// A request as a client sees it: an absolute URL, sent in origin-form.
struct Request<'r> {
    method: &'r str,
    scheme: &'r str,
    authority: &'r str,
    target: String,
    fields: Vec<(String, Vec<u8>)>,
}

impl<'r> Request<'r> {
    fn new(method: &'r str, url: &'r str, headers: Vec<(Text, Text)>) -> PyResult<Self> {
        let url = url.split('#').next().unwrap_or(url);
        let wrong = |cause: &str| PyValueError::new_err(format!("url: {cause}"));
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("expected printable ASCII without spaces; percent-encode the rest"));
        }
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("expected `http://...` or `https://...`"))?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(wrong("expected the scheme http or https"));
        }
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.is_empty() || authority.contains('@') {
            return Err(wrong("expected a host, and no user information"));
        }
        // An empty path is sent as a slash (RFC 9112 section 3.2.1).
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let fields = headers.into_iter().map(|(name, value)| {
            let name = String::from_utf8(name.into_bytes())
                .map_err(|_| PyValueError::new_err("headers: a name is not ASCII"))?;
            Ok((name.to_ascii_lowercase(), value.into_bytes()))
        });
        Ok(Self { method, scheme, authority, target, fields: fields.collect::<PyResult<_>>()? })
    }

    fn has(&self, lower_name: &str) -> bool {
        self.fields.iter().any(|(name, _)| name == lower_name)
    }

    /// A Content-Digest that the caller brought must be that of the body, or the request would be refused there.
    fn check_digest(&self, content: &[u8]) -> PyResult<()> {
        let digests = Digests::of_message(self).and_then(|digests| check(&digests, content));
        digests.map_err(|rejection| PyValueError::new_err(format!("content-digest: {}", rejection.detail)))
    }
}

impl Message for Request<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn scheme(&self) -> &str {
        self.scheme
    }

    fn authority(&self) -> &str {
        self.authority
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    fn request_target(&self) -> &str {
        &self.target
    }

    fn field(&self, lower_name: &str, each: &mut dyn FnMut(&[u8])) {
        self.fields.iter().filter(|(name, _)| name == lower_name).for_each(|(_, value)| each(value));
    }
}
