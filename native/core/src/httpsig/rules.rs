//! What a signature must be to be accepted: coverage, time, and which algorithms are on.
//!
//! Settings are read once. Derived components without parameters, which is what nearly every rule names, become one set
//! of bits; the rest is compared identifier by identifier.

use super::Message;
use super::component::{Component, Name};
use super::signature_input::{Inputs, Parameter, Parameters};
use crate::rejection::{Reason, Rejection, clipped};
use crate::settings::SignatureSettings;
use crate::time::Now;

/// Longest time that a signature can be asked to live, in seconds: RFC 9651 integers have 15 digits, and sums of three
/// such numbers stay far below 2^64.
const MAX_SECONDS: u64 = 999_999_999_999;

/// The rules of one `[signature]` section, compiled.
#[derive(Debug)]
pub struct Rules {
    derived: u16,
    others: Vec<Required>,
    if_present: Vec<String>,
    max_age_s: u64,
    clock_skew_s: u64,
    allow_rsa_v1_5: bool,
    accept_signature: String,
    accept_signature_with_body: String,
}

/// A required component that is not a plain derived one.
#[derive(Debug)]
struct Required {
    text: Vec<u8>,
    component: Component<'static>,
}

impl Rules {
    /// Compiles the rules.
    ///
    /// # Errors
    /// Every mistake of the settings, each with the path of the setting.
    pub fn new(settings: &SignatureSettings) -> Result<Self, Vec<String>> {
        let mut mistakes = Vec::new();
        let mut rules = Self {
            derived: 0,
            others: Vec::new(),
            if_present: Vec::new(),
            max_age_s: settings.max_age_s,
            clock_skew_s: settings.clock_skew_s,
            allow_rsa_v1_5: settings.allow_rsa_v1_5,
            accept_signature: String::new(),
            accept_signature_with_body: String::new(),
        };
        let mut identifiers = Vec::new();
        for (index, written) in settings.require.iter().enumerate() {
            match parse_identifier(written) {
                Ok(required) => {
                    identifiers.push(String::from_utf8_lossy(&required.text).into_owned());
                    rules.require(required);
                }
                Err(cause) => {
                    mistakes.push(format!("signature.require[{index}]: `{}` {cause}", clipped(written.as_bytes(), 80)))
                }
            }
        }
        for (index, name) in settings.require_if_present.iter().enumerate() {
            match Name::parse(name) {
                Ok(Name::Field) => rules.if_present.push(name.clone()),
                Ok(_) => mistakes.push(format!(
                    "signature.require_if_present[{index}]: `{name}` is always present: put it into `require`"
                )),
                Err(cause) => mistakes
                    .push(format!("signature.require_if_present[{index}]: `{}` {cause}", clipped(name.as_bytes(), 80))),
            }
        }
        if settings.max_age_s == 0 || settings.max_age_s > MAX_SECONDS {
            mistakes
                .push(format!("signature.max_age: {} seconds is not between 1 and {MAX_SECONDS}", settings.max_age_s));
        }
        if settings.clock_skew_s > MAX_SECONDS {
            mistakes
                .push(format!("signature.clock_skew: {} seconds is more than {MAX_SECONDS}", settings.clock_skew_s));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        rules.accept_signature = accept_signature(&identifiers);
        if !identifiers.iter().any(|identifier| identifier == "\"content-digest\"") {
            identifiers.push("\"content-digest\"".into());
        }
        rules.accept_signature_with_body = accept_signature(&identifiers);
        Ok(rules)
    }

    /// What a refusal asks the caller to sign: the value of Accept-Signature (RFC 9421 section 5.1).
    #[must_use]
    pub fn accept_signature(&self, has_body: bool) -> &str {
        if has_body { &self.accept_signature_with_body } else { &self.accept_signature }
    }

    /// Whether `rsa-v1_5-sha256` is on.
    #[must_use]
    pub fn allow_rsa_v1_5(&self) -> bool {
        self.allow_rsa_v1_5
    }

    /// Length of the acceptance window W in seconds: how long after `created`, at most, a signature can be in time,
    /// with both ends of the clock skew.
    #[must_use]
    pub fn window_s(&self) -> u64 {
        self.max_age_s + 2 * self.clock_skew_s
    }

    fn require(&mut self, required: Required) {
        if required.component.name != Name::Field && required.component.flags.is_empty() {
            self.derived |= required.component.name.bit();
        } else {
            self.others.push(required);
        }
    }

    /// In time iff `created <= now + clock_skew`, `now <= created + max_age + clock_skew` and, with `expires`,
    /// `created < expires` and `now <= expires + clock_skew`. So `expires` never lengthens the window.
    pub(crate) fn check_time(&self, created: u64, parameters: &Parameters<'_>, now: Now) -> Result<(), Rejection> {
        let now_s = now.unix_s();
        if created > now_s.saturating_add(self.clock_skew_s) {
            return Err(Rejection::with(
                Reason::SignatureFuture,
                format!(
                    "created {created} is more than {} s after now, {now_s}; is the caller's clock ahead?",
                    self.clock_skew_s
                ),
            ));
        }
        if now_s > created.saturating_add(self.max_age_s).saturating_add(self.clock_skew_s) {
            return Err(Rejection::with(
                Reason::SignatureExpired,
                format!(
                    "created {created} is more than {} + {} s before now, {now_s}",
                    self.max_age_s, self.clock_skew_s
                ),
            ));
        }
        let expires = match parameters.expires {
            Parameter::Absent => return Ok(()),
            Parameter::Given(expires) => u64::try_from(expires).ok(),
            Parameter::Mistyped => None,
        };
        let Some(expires) = expires else {
            return Err(Rejection::new(Reason::SignatureParameters, "expires is not an integer of at least 0"));
        };
        if created >= expires {
            return Err(Rejection::with(
                Reason::SignatureExpired,
                format!("expires {expires} is not after created {created}"),
            ));
        }
        if now_s > expires.saturating_add(self.clock_skew_s) {
            return Err(Rejection::with(Reason::SignatureExpired, format!("expires {expires} is before now, {now_s}")));
        }
        Ok(())
    }

    /// Every required component is covered; content-digest too if there is a body.
    pub(crate) fn check_coverage<M: Message + ?Sized>(
        &self,
        message: &M,
        inputs: &Inputs<'_>,
        components: &[Component<'_>],
        has_body: bool,
    ) -> Result<(), Rejection> {
        let mut derived = 0;
        for component in components {
            if component.name != Name::Field && component.flags.is_empty() {
                derived |= component.name.bit();
            }
        }
        let missing = self.derived & !derived;
        if missing != 0 {
            return Err(insufficient(derived_name(missing)));
        }
        for required in &self.others {
            let covered = |component: &Component<'_>| {
                component.same_identifier(&inputs.text, &required.component, &required.text)
            };
            if !components.iter().any(covered) {
                return Err(insufficient(&String::from_utf8_lossy(&required.text)));
            }
        }
        let covers = |name: &[u8]| {
            components.iter().any(|component| component.covers_whole_field() && component.name_in(&inputs.text) == name)
        };
        if has_body && !covers(b"content-digest") {
            return Err(insufficient("\"content-digest\", which a request with a body must cover"));
        }
        for name in &self.if_present {
            let mut present = false;
            message.field(name, &mut |_| present = true);
            if present && !covers(name.as_bytes()) {
                return Err(insufficient(&format!("\"{name}\", which must be covered when the request has it")));
            }
        }
        Ok(())
    }
}

fn insufficient(missing: &str) -> Rejection {
    Rejection::with(Reason::CoverageInsufficient, format!("the signature does not cover {missing}"))
}

fn derived_name(bits: u16) -> &'static str {
    const NAMES: [(Name, &str); 7] = [
        (Name::Method, "\"@method\""),
        (Name::TargetUri, "\"@target-uri\""),
        (Name::Authority, "\"@authority\""),
        (Name::Scheme, "\"@scheme\""),
        (Name::RequestTarget, "\"@request-target\""),
        (Name::Path, "\"@path\""),
        (Name::Query, "\"@query\""),
    ];
    NAMES.iter().find(|(name, _)| bits & name.bit() != 0).map_or("a derived component", |(_, text)| text)
}

fn accept_signature(identifiers: &[String]) -> String {
    // `created` without a value asks for one; a nonce would have to be given by us, so it cannot be asked for
    // (RFC 9421 section 5.1).
    format!("sig1=({});created", identifiers.join(" "))
}

/// Reads an identifier as settings write it: `content-type`, `@query-param;name="id"`, `priority;sf`.
fn parse_identifier(written: &str) -> Result<Required, String> {
    let (name, parameters) = written.find(';').map_or((written, ""), |at| written.split_at(at));
    let member = format!("s=(\"{name}\"{parameters})");
    let mut inputs = Inputs::default();
    inputs.parse(member.as_bytes()).map_err(|_| "is not a component identifier of RFC 9421 section 2".to_owned())?;
    if let Some(fault) = &inputs.members[0].fault {
        return Err(fault.cause.into());
    }
    let [component] = inputs.components.as_slice() else { return Err("is not one component identifier".into()) };
    let identifier = component.identifier.clone();
    let component = Component {
        identifier: 0..identifier.len(),
        name_len: component.name_len,
        name: component.name,
        flags: component.flags,
        argument: component.argument.clone().map(|argument| argument.into_owned().into()),
    };
    Ok(Required { text: inputs.text[identifier].to_vec(), component })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(require: &[&str]) -> SignatureSettings {
        SignatureSettings {
            require: require.iter().map(|&text| text.to_owned()).collect(),
            require_if_present: Vec::new(),
            max_age_s: 30,
            clock_skew_s: 5,
            uncovered: crate::settings::Uncovered::Forward,
            allow_rsa_v1_5: false,
        }
    }

    #[test]
    fn a_refusal_asks_for_what_is_required() {
        let rules =
            Rules::new(&settings(&["@method", "@query-param;name=\"id\"", "content-type"])).expect("good rules");
        assert_eq!(
            rules.accept_signature(false),
            r#"sig1=("@method" "@query-param";name="id" "content-type");created"#
        );
        assert_eq!(
            rules.accept_signature(true),
            r#"sig1=("@method" "@query-param";name="id" "content-type" "content-digest");created"#
        );
        assert_eq!(rules.window_s(), 40);
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        let mut settings = settings(&["@method", "@status", "Content-Type", "a b", "@path;sf", "x;req"]);
        settings.require_if_present = vec!["@path".into(), "authorization".into()];
        settings.max_age_s = 0;
        let mistakes = Rules::new(&settings).expect_err("mistakes");
        for place in
            ["require[1]", "require[2]", "require[3]", "require[4]", "require[5]", "require_if_present[0]", "max_age"]
        {
            assert!(mistakes.iter().any(|mistake| mistake.contains(place)), "{place}: {mistakes:?}");
        }
        assert_eq!(mistakes.len(), 7);
    }

    #[test]
    fn a_signature_is_in_time_exactly_inside_its_window() {
        let rules = Rules::new(&settings(&[])).expect("good rules");
        let at = |now_s: u64, created: u64, expires: Option<i64>| {
            let parameters =
                Parameters { expires: expires.map_or(Parameter::Absent, Parameter::Given), ..Parameters::default() };
            let now = Now { unix_ns: now_s * crate::time::NANOS_PER_S, boot_ns: 0 };
            rules.check_time(created, &parameters, now).err().map(|rejection| rejection.reason)
        };
        assert_eq!(at(1000, 1005, None), None);
        assert_eq!(at(1000, 1006, None), Some(Reason::SignatureFuture));
        assert_eq!(at(1035, 1000, None), None);
        assert_eq!(at(1036, 1000, None), Some(Reason::SignatureExpired));
        assert_eq!(at(1000, 1000, Some(1001)), None);
        assert_eq!(at(1000, 1000, Some(1000)), Some(Reason::SignatureExpired), "expires must be after created");
        assert_eq!(at(1015, 1000, Some(1010)), None);
        assert_eq!(at(1016, 1000, Some(1010)), Some(Reason::SignatureExpired));
        assert_eq!(at(1036, 1000, Some(9999)), Some(Reason::SignatureExpired), "expires never lengthens the window");
        assert_eq!(at(1000, 1000, Some(-1)), Some(Reason::SignatureParameters));
        assert_eq!(at(1000, u64::MAX, None), Some(Reason::SignatureFuture));
        assert_eq!(at(u64::MAX / crate::time::NANOS_PER_S, 0, None), Some(Reason::SignatureExpired));
    }
}
