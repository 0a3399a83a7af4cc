//! The field Signature (RFC 9421 section 4.2), parsed, and its labels held against those of Signature-Input.

use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser};
use smallvec::SmallVec;

use super::signature_input::{Inputs, MAX_LABELS};
use crate::rejection::{Reason, Rejection, clipped};
use crate::sfv::Unacceptable;

/// Signature, parsed: labels and signatures.
#[derive(Debug, Default)]
pub(crate) struct Signatures<'b>(SmallVec<[(&'b str, Vec<u8>); 2]>);

impl<'b> Signatures<'b> {
    pub(crate) fn parse(value: &'b [u8]) -> Result<Self, Rejection> {
        let mut signatures = Self::default();
        Parser::new(value).parse_dictionary_with_visitor(SignatureVisitor(&mut signatures)).map_err(|error| {
            Rejection::with(
                Reason::SignatureMalformed,
                format!("Signature is not what RFC 9421 section 4.2 describes: {error}"),
            )
        })?;
        Ok(signatures)
    }

    /// The signature of this label.
    pub(crate) fn get(&self, label: &str) -> Option<&[u8]> {
        self.0.iter().find(|(other, _)| *other == label).map(|(_, signature)| signature.as_slice())
    }

    /// Every label must be in both fields; one alone is half a signature (RFC 9421 section 4.2).
    pub(crate) fn match_labels(&self, inputs: &Inputs<'_>) -> Result<(), Rejection> {
        if let Some(lonely) = inputs.members.iter().find(|input| self.get(input.label).is_none()) {
            return Err(half("Signature-Input", lonely.label, "Signature"));
        }
        let lonely = self.0.iter().find(|(label, _)| !inputs.members.iter().any(|input| input.label == *label));
        match lonely {
            Some((label, _)) => Err(half("Signature", label, "Signature-Input")),
            None => Ok(()),
        }
    }
}

fn half(here: &str, label: &str, there: &str) -> Rejection {
    let label = clipped(label.as_bytes(), 40);
    Rejection::with(Reason::SignatureMalformed, format!("{here} has a label `{label}` that {there} does not have"))
}

struct SignatureVisitor<'a, 'b>(&'a mut Signatures<'b>);

impl<'b> DictionaryVisitor<'b> for SignatureVisitor<'_, 'b> {
    type Out = ();
    type Error = Unacceptable;

    fn entry(&mut self, key: &'b KeyRef) -> Result<impl EntryVisitor<'b>, Unacceptable> {
        let label = key.as_str();
        if self.0.get(label).is_some() {
            return Err(Unacceptable("a label occurs twice"));
        }
        if self.0.0.len() == MAX_LABELS {
            return Err(Unacceptable("more than 8 labels"));
        }
        Ok(SignatureValueVisitor { signatures: &mut *self.0, label })
    }

    fn finish(self) -> Result<(), Unacceptable> {
        Ok(())
    }
}

struct SignatureValueVisitor<'a, 'b> {
    signatures: &'a mut Signatures<'b>,
    label: &'b str,
}

impl<'b> EntryVisitor<'b> for SignatureValueVisitor<'_, 'b> {
    type Error = Unacceptable;

    fn item(self) -> Result<impl ItemVisitor<'b>, Unacceptable> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'b>, Unacceptable> {
        Err::<Ignored, _>(Unacceptable("a signature is not a byte sequence"))
    }
}

impl<'b> ItemVisitor<'b> for SignatureValueVisitor<'_, 'b> {
    type Out = ();
    type Error = Unacceptable;

    fn bare_item(self, item: BareItemFromInput<'b>) -> Result<impl ParameterVisitor<'b, Out = ()>, Unacceptable> {
        let BareItemFromInput::ByteSequence(signature) = item else {
            return Err(Unacceptable("a signature is not a byte sequence"));
        };
        self.signatures.0.push((self.label, signature));
        Ok(Ignored)
    }
}
