//! Versions of what is sealed with a decision. What was decided under an old version is derived again under it.

use serde_json::Value;

/// The version of this engine's semantics, sealed with every decision.
pub const ENGINE_VERSION: u32 = 2;
/// The version of the facts and of the request's form, sealed with every decision.
pub const FACTS_VERSION: u32 = 2;
/// The version of the list of transforms, sealed with every decision.
pub(super) const TRANSFORMS_VERSION: u32 = 1;

/// The form of facts and requests, and the rules that can be written about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FactsForm {
    /// Version 1: what the agent declares of principal and environment is `context.principal` and
    /// `context.environment`; no sessions, grounding, signals or plans.
    V1,
    /// Version 2, the present one.
    V2,
}

impl FactsForm {
    /// The present form.
    pub const NOW: Self = Self::V2;

    /// The form that the sealed value at `/engine` names; `None` where it is not known here.
    #[must_use]
    pub fn of_sealed(engine: &Value) -> Option<Self> {
        let version = |name: &str| engine.get(name).and_then(Value::as_u64);
        match (version("facts")?, version("version")?) {
            (1, 1) => Some(Self::V1),
            (2, 2) => Some(Self::V2),
            _ => None,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}
