//! The field Signature-Input (RFC 9421 section 4.1), parsed and put into canonical form in one pass.
//!
//! RFC 9421 section 3.2 wants the signature parameters *serialised*, not quoted: whatever spaces and zeros the sender
//! used, the base holds the strict form of RFC 9651. So every parsed piece is written out again while the parser runs,
//! and only that text is ever used. What was rejected: to use the received text where it is canonical already. It
//! would save little and would need a proof of canonicality that attackers can work on.
//!
//! Stricter than RFC 9651, which lets the last of two equal keys win: labels and parameters that occur twice are
//! refused, because a peer that reads the first one would see another signature.

use std::borrow::Cow;
use std::ops::Range;

use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser};
use smallvec::SmallVec;

use super::component::{Component, Fault, Flags, Name};
use crate::rejection::{Reason, Rejection, clipped};
use crate::sfv::{Unacceptable, write_bare_item, write_parameter};

/// Most labels in a message.
pub(crate) const MAX_LABELS: usize = 8;
/// Most covered components of one signature: all fields that a head may have by default, and the derived ones.
pub(crate) const MAX_COMPONENTS: usize = 128;
/// Most parameters of one signature; RFC 9421 registers six.
pub(crate) const MAX_PARAMETERS: usize = 16;

/// A parameter that has one right type.
#[derive(Clone, Debug, Default)]
pub(crate) enum Parameter<T> {
    #[default]
    Absent,
    /// Present, with a value of another type.
    Mistyped,
    Given(T),
}

/// The parameters of one signature (RFC 9421 section 2.3) that mean something here.
#[derive(Debug, Default)]
pub(crate) struct Parameters<'b> {
    pub(crate) created: Parameter<i64>,
    pub(crate) expires: Parameter<i64>,
    pub(crate) nonce: Parameter<Cow<'b, str>>,
    pub(crate) alg: Parameter<Cow<'b, str>>,
    pub(crate) keyid: Parameter<Cow<'b, str>>,
}

/// One member of Signature-Input.
#[derive(Debug)]
pub(crate) struct Input<'b> {
    pub(crate) label: &'b str,
    /// Its canonical value, in [`Inputs::text`].
    pub(crate) text: Range<usize>,
    /// Its covered components, in [`Inputs::components`].
    pub(crate) components: Range<usize>,
    pub(crate) parameters: Parameters<'b>,
    pub(crate) fault: Option<Fault>,
}

/// Signature-Input, parsed.
#[derive(Debug, Default)]
pub(crate) struct Inputs<'b> {
    pub(crate) text: SmallVec<[u8; 768]>,
    pub(crate) components: SmallVec<[Component<'b>; 16]>,
    pub(crate) members: SmallVec<[Input<'b>; 2]>,
}

impl<'b> Inputs<'b> {
    /// Adds the members of a Signature-Input value.
    pub(crate) fn parse(&mut self, value: &'b [u8]) -> Result<(), Rejection> {
        Parser::new(value).parse_dictionary_with_visitor(MemberVisitor(self)).map_err(|error| {
            Rejection::with(
                Reason::SignatureMalformed,
                format!("Signature-Input is not what RFC 9421 section 4.1 describes: {error}"),
            )
        })
    }

    pub(crate) fn components_of(&self, member: &Input<'b>) -> &[Component<'b>] {
        &self.components[member.components.clone()]
    }

    /// The identifier that this member lists twice, if there is one (RFC 9421 section 2.5: "If the component
    /// identifier [...] has already been added to the signature base, produce an error").
    pub(crate) fn covered_twice(&self, member: &Input<'b>) -> Option<String> {
        let components = self.components_of(member);
        components.iter().enumerate().find_map(|(index, component)| {
            let earlier = |earlier: &Component<'b>| earlier.same_identifier(&self.text, component, &self.text);
            let twice = components[..index].iter().any(earlier);
            twice.then(|| clipped(&self.text[component.identifier.clone()], 80))
        })
    }

    fn last(&mut self) -> &mut Input<'b> {
        self.members.last_mut().expect("a member was pushed before its parts are visited")
    }

    fn blame(&mut self, cause: &'static str, subject: &str) {
        let member = self.last();
        if member.fault.is_none() {
            member.fault = Some(Fault { cause, subject: clipped(subject.as_bytes(), 80) });
        }
    }
}

struct MemberVisitor<'a, 'b>(&'a mut Inputs<'b>);

impl<'b> DictionaryVisitor<'b> for MemberVisitor<'_, 'b> {
    type Out = ();
    type Error = Unacceptable;

    fn entry(&mut self, key: &'b KeyRef) -> Result<impl EntryVisitor<'b>, Unacceptable> {
        let inputs = &mut *self.0;
        let label = key.as_str();
        if inputs.members.iter().any(|member| member.label == label) {
            return Err(Unacceptable("a label occurs twice"));
        }
        if inputs.members.len() == MAX_LABELS {
            return Err(Unacceptable("more than 8 labels"));
        }
        let (text, component) = (inputs.text.len(), inputs.components.len());
        inputs.members.push(Input {
            label,
            text: text..text,
            components: component..component,
            parameters: Parameters::default(),
            fault: None,
        });
        Ok(InputVisitor(inputs))
    }

    fn finish(self) -> Result<(), Unacceptable> {
        Ok(())
    }
}

struct InputVisitor<'a, 'b>(&'a mut Inputs<'b>);

impl<'b> EntryVisitor<'b> for InputVisitor<'_, 'b> {
    type Error = Unacceptable;

    fn item(self) -> Result<impl ItemVisitor<'b>, Unacceptable> {
        Err::<Ignored, _>(Unacceptable("a member is not a list of components in parentheses"))
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'b>, Unacceptable> {
        self.0.text.push(b'(');
        Ok(self)
    }
}

impl<'b> InnerListVisitor<'b> for InputVisitor<'_, 'b> {
    type Error = Unacceptable;

    fn item(&mut self) -> Result<impl ItemVisitor<'b>, Unacceptable> {
        let start = self.0.last().components.start;
        if self.0.components.len() - start == MAX_COMPONENTS {
            return Err(Unacceptable("more than 128 components"));
        }
        Ok(ComponentVisitor { inputs: &mut *self.0, parameters: 0 })
    }

    fn finish(self) -> Result<impl ParameterVisitor<'b>, Unacceptable> {
        let inputs = self.0;
        inputs.text.push(b')');
        let end = inputs.components.len();
        inputs.last().components.end = end;
        Ok(SignatureParameterVisitor { inputs, count: 0, unregistered: SmallVec::new() })
    }
}

struct ComponentVisitor<'a, 'b> {
    inputs: &'a mut Inputs<'b>,
    parameters: usize,
}

impl<'b> ItemVisitor<'b> for ComponentVisitor<'_, 'b> {
    type Out = ();
    type Error = Unacceptable;

    fn bare_item(self, item: BareItemFromInput<'b>) -> Result<impl ParameterVisitor<'b, Out = ()>, Unacceptable> {
        let BareItemFromInput::String(text) = &item else {
            return Err(Unacceptable("a component is not a string"));
        };
        let inputs = &mut *self.inputs;
        if inputs.last().components.start < inputs.components.len() {
            inputs.text.push(b' ');
        }
        let name = Name::parse(text.as_str()).unwrap_or_else(|cause| {
            inputs.blame(cause, text.as_str());
            Name::Field
        });
        let start = inputs.text.len();
        write_bare_item(&mut inputs.text, &item);
        inputs.components.push(Component {
            identifier: start..inputs.text.len(),
            name_len: text.as_str().len(),
            name,
            flags: Flags::default(),
            argument: None,
        });
        Ok(self)
    }
}

impl<'b> ComponentVisitor<'_, 'b> {
    fn component(&mut self) -> &mut Component<'b> {
        self.inputs.components.last_mut().expect("pushed with its bare item")
    }

    fn blame_component(&mut self, cause: &'static str) {
        let identifier = self.component().identifier.start..self.inputs.text.len();
        let subject = clipped(&self.inputs.text[identifier], 80);
        self.inputs.blame(cause, &subject);
    }
}

impl<'b> ParameterVisitor<'b> for ComponentVisitor<'_, 'b> {
    type Out = ();
    type Error = Unacceptable;

    fn parameter(&mut self, key: &'b KeyRef, value: BareItemFromInput<'b>) -> Result<(), Unacceptable> {
        self.parameters += 1;
        if self.parameters > MAX_PARAMETERS {
            return Err(Unacceptable("a component has more than 16 parameters"));
        }
        write_parameter(&mut self.inputs.text, key, &value);
        let flag = match (key.as_str(), value) {
            ("sf", BareItemFromInput::Boolean(true)) => Flags::SF,
            ("bs", BareItemFromInput::Boolean(true)) => Flags::BS,
            ("key", BareItemFromInput::String(text)) => {
                self.component().argument = Some(into_str(text));
                Flags::KEY
            }
            ("name", BareItemFromInput::String(text)) => {
                self.component().argument = Some(into_str(text));
                Flags::NAME
            }
            ("req", _) => {
                self.blame_component(
                    "has `req`, which only the signature of a response can have (RFC 9421 section 2.4)",
                );
                return Ok(());
            }
            ("tr", _) => {
                self.blame_component("has `tr`: trailers come after the decision and are not forwarded");
                return Ok(());
            }
            _ => {
                self.blame_component("has a parameter that is unknown, or has a value of the wrong type");
                return Ok(());
            }
        };
        if self.component().flags.contains(flag) {
            self.blame_component("has a parameter twice");
        }
        self.component().flags.insert(flag);
        Ok(())
    }

    fn finish(mut self) -> Result<(), Unacceptable> {
        let end = self.inputs.text.len();
        self.component().identifier.end = end;
        if let Some(cause) = self.component().contradiction() {
            self.blame_component(cause);
        }
        Ok(())
    }
}

struct SignatureParameterVisitor<'a, 'b> {
    inputs: &'a mut Inputs<'b>,
    count: usize,
    unregistered: SmallVec<[&'b str; 2]>,
}

impl<'b> ParameterVisitor<'b> for SignatureParameterVisitor<'_, 'b> {
    type Out = ();
    type Error = Unacceptable;

    fn parameter(&mut self, key: &'b KeyRef, value: BareItemFromInput<'b>) -> Result<(), Unacceptable> {
        self.count += 1;
        if self.count > MAX_PARAMETERS {
            return Err(Unacceptable("a signature has more than 16 parameters"));
        }
        write_parameter(&mut self.inputs.text, key, &value);
        let parameters = &mut self.inputs.last().parameters;
        let first = match key.as_str() {
            "created" => set(&mut parameters.created, as_integer(&value)),
            "expires" => set(&mut parameters.expires, as_integer(&value)),
            "nonce" => set(&mut parameters.nonce, as_text(value)),
            "alg" => set(&mut parameters.alg, as_text(value)),
            "keyid" => set(&mut parameters.keyid, as_text(value)),
            // `tag` and what later registrations bring is signed, and means nothing here.
            other => {
                let first = !self.unregistered.contains(&other);
                self.unregistered.push(other);
                first
            }
        };
        if first { Ok(()) } else { Err(Unacceptable("a signature parameter occurs twice")) }
    }

    fn finish(self) -> Result<(), Unacceptable> {
        let end = self.inputs.text.len();
        self.inputs.last().text.end = end;
        Ok(())
    }
}

/// Stores the value of a parameter; `false` if it had one before.
fn set<T>(parameter: &mut Parameter<T>, value: Option<T>) -> bool {
    let first = matches!(parameter, Parameter::Absent);
    *parameter = value.map_or(Parameter::Mistyped, Parameter::Given);
    first
}

fn as_integer(value: &BareItemFromInput<'_>) -> Option<i64> {
    value.as_integer().map(i64::from)
}

fn as_text<'b>(value: BareItemFromInput<'b>) -> Option<Cow<'b, str>> {
    match value {
        BareItemFromInput::String(text) => Some(into_str(text)),
        _ => None,
    }
}

fn into_str(text: Cow<'_, sfv::StringRef>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_str()),
        Cow::Owned(text) => Cow::Owned(text.as_str().to_owned()),
    }
}
