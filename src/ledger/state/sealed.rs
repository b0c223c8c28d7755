//! What is sealed with an entry, as the fold is given it.

use super::StateError;
use crate::ledger::payload::Payload;
use crate::record::entry::Entry;
#[cfg(feature = "replay")]
use crate::record::intent::Intent;

/// What was sealed with an entry.
pub enum Sealed<'a> {
    /// Nothing, or nothing that the fold needs.
    Nothing,
    /// Something, and who folds may not see it: what the fold would have learned from it is not known.
    #[cfg(feature = "replay")]
    Withheld,
    /// The declared document.
    Declared(&'a [u8]),
    /// All of it.
    Payload(&'a Payload),
    /// An intent that was decided just now: itself, and the steps of the plan that its calls are.
    #[cfg(feature = "replay")]
    Decided(&'a Intent, &'a [Option<usize>]),
}

/// An intent read again, and the steps of the plan that its calls were.
#[cfg(feature = "replay")]
pub(super) struct Decided<'a> {
    pub(super) intent: std::borrow::Cow<'a, Intent>,
    pub(super) steps: Vec<Option<usize>>,
}

impl<'a> Sealed<'a> {
    /// The declared document, where that is given as it was sealed.
    pub(super) fn declared(&self) -> Option<&'a [u8]> {
        match self {
            Self::Declared(bytes) => Some(bytes),
            Self::Payload(payload) => Some(&payload.declared),
            _ => None,
        }
    }

    /// Whether what an entry of a session needs is there and has its form.
    #[cfg(feature = "replay")]
    pub(super) fn check(&self, index: u64, entry: &Entry) -> Result<(), StateError> {
        use crate::record::session::{OutcomeRecord, SessionRecord, TurnRecord};
        let (kind, sound) = match entry {
            Entry::Session(_) => ("session", self.record::<SessionRecord>().is_some()),
            Entry::Turn(_) => ("turn", self.record::<TurnRecord>().is_some()),
            Entry::Outcome(_) => ("outcome", self.record::<OutcomeRecord>().is_some()),
            _ => return Ok(()),
        };
        let sound = sound || matches!(self, Self::Withheld);
        let problem = "is missing, or has another form";
        if sound { Ok(()) } else { Err(StateError::Record { index, kind, problem }) }
    }

    #[cfg(not(feature = "replay"))]
    pub(super) fn check(&self, _: u64, _: &Entry) -> Result<(), StateError> {
        Ok(())
    }

    /// The record of a session, a turn or an outcome.
    #[cfg(feature = "replay")]
    pub(super) fn record<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(self.declared()?).ok()
    }

    /// The intent; `None` where its document was not given or is none.
    #[cfg(feature = "replay")]
    pub(super) fn decided(&self) -> Option<Decided<'a>> {
        use std::borrow::Cow;
        match self {
            Self::Decided(intent, steps) => {
                Some(Decided { intent: Cow::Borrowed(*intent), steps: steps.to_vec() })
            }
            Self::Payload(payload) => {
                let intent = Intent::parse(&payload.declared).ok()?;
                let steps = steps_of(&payload.evaluation, intent.calls.len());
                Some(Decided { intent: Cow::Owned(intent), steps })
            }
            Self::Nothing | Self::Withheld | Self::Declared(_) => None,
        }
    }
}

/// The steps of the plan that the calls of a sealed evaluation were.
#[cfg(feature = "replay")]
fn steps_of(evaluation: &[u8], calls: usize) -> Vec<Option<usize>> {
    use crate::record::json::{JsonLimits, parse_with};
    let limits = JsonLimits { max_bytes: evaluation.len(), ..JsonLimits::default() };
    let evaluation = parse_with(evaluation, &limits).unwrap_or_default();
    let step = |i: usize| {
        let step = evaluation.pointer(&format!("/requests/{i}/context/plan/record/step"))?;
        usize::try_from(step.as_u64()?).ok()
    };
    (0..calls).map(step).collect()
}
