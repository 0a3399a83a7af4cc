//! The five gates: the product, in one file.
//!
//! ```text
//! bytes -> RequestHead -> Authenticated -> Fresh -> Permit -> Sequenced -> forward
//!          parse          authenticate    replay   policy    audit
//! ```
//!
//! Each gate consumes the value that the one before it made, and leaves a value that only it can make: private fields,
//! one constructor each. The bytes for the upstream are written by the policy gate, from the very head that it
//! judged, and can be taken out of a [`Sequenced`] alone: what is forwarded is what passed, and nothing else can be.
//!
//! The order is security. Nothing is looked up for a head that is not well formed; a nonce is claimed only after its
//! signature verifies, or anyone could burn a victim's nonces; whether a route exists is told only to who may ask.
//! A gate that cannot decide refuses.

use std::sync::Arc;

use crate::http1::{FieldId, Forwarding, Hop, RequestHead, write_request};
use crate::httpsig::{KeySet, Message, Rules, Verified, digest::Digests, verify};
use crate::record::CallRecord;
use crate::rejection::{Reason, Rejection};
use crate::replay::{Claim, Filter, SignedCall};
use crate::route::{RouteIndex, RouteTable};
use crate::settings::{Authenticate, Authorize, Credential, Freshness, ListenerSettings, Retry, Settings, Uncovered};
use crate::time::Now;

/// Everything that the gates judge by, in force together: swapped as a whole, never changed in place.
pub struct Gates {
    settings: Settings,
    rules: Rules,
    keys: KeySet,
    routes: RouteTable,
    route_names: Vec<Arc<str>>,
    upstream_names: Vec<Arc<str>>,
    replay: Option<Arc<Filter>>,
}

impl Gates {
    /// Compiles settings and keys.
    ///
    /// # Errors
    /// Every mistake at once, one line each.
    pub fn new(settings: Settings, keys: KeySet, replay: Option<Arc<Filter>>) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let rules = Rules::new(&settings.signature).map_err(|found| errors.extend(found)).ok();
        let routes = RouteTable::new(&settings.routes).map_err(|found| errors.extend(found)).ok();
        for (index, route) in settings.routes.iter().enumerate() {
            if route.upstream >= settings.upstreams.len() {
                errors.push(format!("route[{index}]: no upstream of index {}", route.upstream));
            }
        }
        for listener in &settings.listeners {
            if listener.authenticate == Authenticate::Any(Vec::new()) {
                errors.push(format!("listener `{}`: any of nothing can never be presented", listener.name));
            }
            if listener.asks_for_signature() && listener.freshness == Freshness::Claimed && replay.is_none() {
                errors.push(format!("listener `{}`: signed calls need a replay filter", listener.name));
            }
        }
        let (Some(rules), Some(routes), true) = (rules, routes, errors.is_empty()) else { return Err(errors) };
        let route_names = settings.routes.iter().map(|route| route.name.as_str().into()).collect();
        let upstream_names = settings.upstreams.iter().map(|upstream| upstream.name.as_str().into()).collect();
        Ok(Self { settings, rules, keys, routes, route_names, upstream_names, replay })
    }

    /// The settings that these gates were compiled from.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The `Accept-Signature` value that goes with a 401 (RFC 9421 section 5.1).
    #[must_use]
    pub fn accept_signature(&self, has_body: bool) -> &str {
        self.rules.accept_signature(has_body)
    }

    fn claim(&self, signature: &Verified, now: Now) -> Result<Claim, Rejection> {
        let Some(filter) = &self.replay else {
            return Err(Rejection::new(Reason::ReplayNotReady, "no replay filter is attached"));
        };
        let key_id = signature.key_id().as_bytes();
        filter.claim(now, &SignedCall { created: signature.created(), key_id, nonce: signature.nonce() })
    }

    /// The index, in these gates, of the upstream that an earlier decision chose. A reload may lie between the two: indices
    /// move then, names do not.
    #[must_use]
    pub fn upstream_of(&self, destination: &Destination) -> Option<usize> {
        let (index, name) = (destination.upstream, &destination.upstream_name);
        if self.upstream_names.get(index) == Some(name) {
            return Some(index);
        }
        self.upstream_names.iter().position(|other| other == name)
    }

    /// Gives back what a claim took: nothing of the call was written to an upstream, and an honest retry of the same bytes
    /// may follow.
    pub fn release_shown(&self, freshness: &Shown) {
        if let (Some(filter), Shown::Claimed(claim)) = (&self.replay, freshness) {
            filter.release(claim);
        }
    }
}

impl ListenerSettings {
    /// Whether calls here have to be signed, or may be.
    #[must_use]
    pub fn asks_for_signature(&self) -> bool {
        let (Authenticate::All(kinds) | Authenticate::Any(kinds)) = &self.authenticate;
        kinds.contains(&Credential::Signature)
    }
}

/// What the connection knows about a call besides its head.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    /// Index of the listener that accepted the connection.
    pub listener: usize,
    /// What we say of this hop to the upstream.
    pub hop: &'a Hop,
    /// Identifies the call in logs, and at the upstream as `X-Request-Id`.
    pub request_id: &'a str,
    /// `traceparent` for the upstream (W3C Trace Context).
    pub traceparent: &'a str,
    /// There is content, whether the head announces it or not (an embedder's HTTP/2 does not).
    pub has_content: bool,
    /// When the head was complete.
    pub now: Now,
}

/// Gate 2 passed: every credential that the listener asks for was presented, and is valid.
pub struct Authenticated<'h, 'b> {
    head: &'h RequestHead<'b>,
    /// Absent where the listener verifies nothing.
    signature: Option<Verified>,
}

/// Gate 3 passed: the call is no replay, and [`Freshness`] says how that is known.
pub struct Fresh<'h, 'b> {
    authenticated: Authenticated<'h, 'b>,
    freshness: Shown,
}

/// How it is known that a call is no replay.
#[derive(Debug)]
pub enum Shown {
    /// Its nonce was free in this window, and is now taken.
    Claimed(Claim),
    /// It is not known: config says that it need not be.
    Waived,
}

impl Shown {
    /// The word for it in records.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Claimed(_) => "claimed",
            Self::Waived => "waived",
        }
    }
}

/// Gate 4 passed: policy permits the call. Holds the head for the upstream, where nothing but gate 5 can reach it.
#[derive(Debug)]
pub struct Permit {
    call: Call,
    upstream_head: Vec<u8>,
}

/// Gate 5 passed: the call is on record. The only value that can be forwarded.
pub struct Sequenced {
    permit: Permit,
}

/// What is known of a permitted call from here on: for records, digests, retries and release.
#[derive(Debug)]
pub struct Call {
    /// Who calls; absent where nothing is verified.
    pub principal: Option<Arc<str>>,
    /// The key that the signature names.
    pub key_id: Option<Arc<str>>,
    /// How freshness was shown.
    pub freshness: Shown,
    /// Digests that the body has to match, if the signature covers them.
    pub digests: Option<Digests>,
    /// Where it goes.
    pub destination: Destination,
    /// The upstream is asked to turn the connection into a tunnel.
    pub upgrade: bool,
}

/// A fresh call for whoever sends it on by other means ([`crate::embed`]).
#[derive(Debug)]
pub(crate) struct FreshCall {
    pub(crate) principal: Option<Arc<str>>,
    pub(crate) key_id: Option<Arc<str>>,
    pub(crate) freshness: Shown,
    pub(crate) digests: Option<Digests>,
}

impl Fresh<'_, '_> {
    /// What was proven, without the head.
    pub(crate) fn into_parts(self) -> FreshCall {
        let Self { authenticated: Authenticated { signature, .. }, freshness } = self;
        FreshCall {
            principal: signature.as_ref().map(|verified| Arc::clone(verified.principal())),
            key_id: signature.as_ref().map(|verified| Arc::clone(verified.key_id())),
            freshness,
            digests: signature.and_then(Verified::into_digests),
        }
    }
}

/// Where a permitted call goes.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Index of the route in the settings in force when the call was decided.
    pub route: RouteIndex,
    /// Name of that route.
    pub route_name: Arc<str>,
    /// Index of the upstream in those settings.
    pub upstream: usize,
    /// Name of that upstream, which outlives a reload ([`Gates::upstream_of`]).
    pub upstream_name: Arc<str>,
    /// When the call may be sent a second time.
    pub retry: Retry,
}

/// A call that a gate refused, and who made it, if that was known by then.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub rejection: Rejection,
    /// The authenticated caller.
    pub principal: Option<Arc<str>>,
    /// The key of its signature.
    pub key_id: Option<Arc<str>>,
}

/// Gates 2 to 4, in their order. Gate 5 follows once the body, if its digest has to hold first, is verified.
///
/// # Errors
/// The first gate's that refuses.
pub fn admit(head: &RequestHead<'_>, gates: &Gates, arrival: &Arrival<'_>) -> Result<Permit, Refused> {
    let authenticated = authenticate(head, gates, arrival)?;
    let fresh = refresh(authenticated, gates, arrival)?;
    permit(fresh, gates, arrival)
}

/// Gate 2: who is calling?
///
/// # Errors
/// Every signature reason of [`Reason`].
pub fn authenticate<'h, 'b>(
    head: &'h RequestHead<'b>,
    gates: &Gates,
    arrival: &Arrival<'_>,
) -> Result<Authenticated<'h, 'b>, Refused> {
    let listener = &gates.settings.listeners[arrival.listener];
    if !listener.asks_for_signature() {
        return Ok(Authenticated { head, signature: None });
    }
    let message = SignedHead { head, scheme: &listener.external_scheme };
    let has_body = arrival.has_content || head.body().has_content();
    let verified = verify(&message, &gates.keys, &gates.rules, arrival.now, has_body)
        .map_err(|rejection| refused(rejection, None))?;
    Ok(Authenticated { head, signature: Some(verified) })
}

/// Gate 3: has this call been made before?
///
/// # Errors
/// [`Reason::Replayed`], and every reason for which the filter cannot say.
pub fn refresh<'h, 'b>(
    authenticated: Authenticated<'h, 'b>,
    gates: &Gates,
    arrival: &Arrival<'_>,
) -> Result<Fresh<'h, 'b>, Refused> {
    let listener = &gates.settings.listeners[arrival.listener];
    let freshness = match (&authenticated.signature, listener.freshness) {
        (Some(signature), Freshness::Claimed) => match gates.claim(signature, arrival.now) {
            Ok(claim) => Shown::Claimed(claim),
            Err(rejection) => return Err(refused(rejection, authenticated.signature.as_ref())),
        },
        // Gates::new lets a listener without credentials say `claimed`: there is nothing to claim, so nothing is shown.
        (_, Freshness::None) | (None, Freshness::Claimed) => Shown::Waived,
    };
    Ok(Fresh { authenticated, freshness })
}

/// Gate 4: may this caller do this, there? Writes the head for the upstream from the head that it judged.
///
/// # Errors
/// [`Reason::NoRoute`] and [`Reason::PathAmbiguous`]. A claimed nonce stays taken.
pub fn permit(fresh: Fresh<'_, '_>, gates: &Gates, arrival: &Arrival<'_>) -> Result<Permit, Refused> {
    let Fresh { authenticated: Authenticated { head, signature }, freshness } = fresh;
    let listener = &gates.settings.listeners[arrival.listener];
    let route_index =
        gates.routes.find(head.authority(), head.path()).map_err(|rejection| refused(rejection, signature.as_ref()))?;
    match listener.authorize {
        // Config has to ask for it in as many words, and start says it aloud.
        Authorize::AllowAll => {}
    }
    if head.max_forwards() == Some(0) {
        let rejection = Rejection::new(Reason::MaxForwards, "max-forwards is used up");
        return Err(refused(rejection, signature.as_ref()));
    }
    let route = &gates.settings.routes[route_index];
    let principal = signature.as_ref().map(|verified| Arc::clone(verified.principal()));
    let covered = |lower_name: &str| signature.as_ref().is_some_and(|verified| verified.covers_field(lower_name));
    let upgrade = asks_for_tunnel(head, signature.is_none() || covered("upgrade"));
    let mut upstream_head = Vec::new();
    write_request(
        &mut upstream_head,
        head,
        &Forwarding {
            hop: arrival.hop,
            request_id: arrival.request_id,
            traceparent: arrival.traceparent,
            principal: principal.as_deref(),
            upstream_host: route.upstream_host.as_deref(),
            body: head.body(),
            upgrade,
            covered: &covered,
            strip_uncovered: signature.is_some() && gates.settings.signature.uncovered == Uncovered::Strip,
        },
    );
    let call = Call {
        principal,
        key_id: signature.as_ref().map(|verified| Arc::clone(verified.key_id())),
        digests: signature.and_then(Verified::into_digests),
        freshness,
        destination: Destination {
            route: route_index,
            route_name: Arc::clone(&gates.route_names[route_index]),
            upstream: route.upstream,
            upstream_name: Arc::clone(&gates.upstream_names[route.upstream]),
            retry: route.retry,
        },
        upgrade,
    };
    Ok(Permit { call, upstream_head })
}

/// Whether the call may become a tunnel, in which nothing is judged any more: a WebSocket (RFC 6455 section 4.1) whose
/// caller has said so under its signature. Every other Upgrade is ignored, as RFC 9110 section 7.8 lets us: `h2c` would
/// let requests past the gates, and one that a stranger added to a signed call would hand him the caller's name.
fn asks_for_tunnel(head: &RequestHead<'_>, vouched_for: bool) -> bool {
    vouched_for
        && head.method() == "GET"
        && !head.body().has_content()
        && head.upgrade().is_some_and(|protocols| protocols.eq_ignore_ascii_case(b"websocket"))
}

/// Gate 5: is it on record? The audit log is off, and start says so: every permit passes.
///
/// # Errors
/// None while there is no log; a log that does not accept will refuse here.
pub fn sequence(permit: Permit) -> Result<Sequenced, Rejection> {
    Ok(Sequenced { permit })
}

impl Call {
    /// Writes who calls, and which route the call takes, into its record.
    pub(crate) fn name_in(&self, record: &mut CallRecord) {
        record.principal.clone_from(&self.principal);
        record.key_id.clone_from(&self.key_id);
        record.route = u32::try_from(self.destination.route).ok();
        record.route_name = Some(Arc::clone(&self.destination.route_name));
    }
}

impl Permit {
    /// The call, for what happens before it is on record: its body may have to be held first.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Ends the call before it was forwarded.
    #[must_use]
    pub fn into_call(self) -> Call {
        self.call
    }
}

impl Sequenced {
    /// The call and the head for its upstream: the way out of the gates.
    #[must_use]
    pub fn forward(self) -> (Call, Vec<u8>) {
        (self.permit.call, self.permit.upstream_head)
    }
}

/// A request head as RFC 9421 sees it.
struct SignedHead<'h, 'b> {
    head: &'h RequestHead<'b>,
    scheme: &'h str,
}

impl Message for SignedHead<'_, '_> {
    fn method(&self) -> &str {
        self.head.method()
    }
    fn scheme(&self) -> &str {
        self.scheme
    }
    fn authority(&self) -> &str {
        self.head.authority()
    }
    fn path(&self) -> &str {
        self.head.path()
    }
    fn query(&self) -> Option<&str> {
        self.head.query()
    }
    fn request_target(&self) -> &str {
        self.head.target()
    }
    fn field(&self, lower_name: &str, each: &mut dyn FnMut(&[u8])) {
        let known = FieldId::of(lower_name.as_bytes());
        for field in self.head.fields() {
            if field.id == known && field.name.eq_ignore_ascii_case(lower_name.as_bytes()) {
                each(field.value);
            }
        }
    }
}

/// A refusal, with the caller that the signature, if there is one by then, has proven.
pub(crate) fn refused(rejection: Rejection, signature: Option<&Verified>) -> Refused {
    Refused {
        rejection,
        principal: signature.map(|verified| Arc::clone(verified.principal())),
        key_id: signature.map(|verified| Arc::clone(verified.key_id())),
    }
}
