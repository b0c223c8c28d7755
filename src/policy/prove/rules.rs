//! Rules put together for one question.

use std::collections::BTreeSet;

use cedar_policy::{Policy, PolicyId, PolicySet};
use serde_json::{Value, json};

use super::assume::{Environment, Looked};
use super::terms::{mentions, rename};
use crate::policy::bundle::Bundle;
use crate::policy::expression::guarded;
use crate::policy::mention::{Mention, survey};
use crate::policy::rule::{Deed, Rule};
use crate::policy::scope::{self, Reach};
use crate::record::decision::Outcome;

/// A rule as data.
#[derive(Debug, Clone)]
pub(super) struct Read<'a> {
    pub(super) rule: &'a Rule,
    pub(super) tree: Value,
}

impl<'a> Read<'a> {
    /// The rules that reach the environment, by their ids.
    pub(super) fn all(bundle: &'a Bundle, environment: &Environment<'_>) -> Vec<Self> {
        let reaching = bundle
            .rules
            .values()
            .filter(|rule| scope::reach(&rule.policy, environment.target()) != Reach::Never);
        reaching.filter_map(|rule| Some(Self { rule, tree: rule.policy.to_json().ok()? })).collect()
    }

    pub(super) fn permits(&self) -> bool {
        self.rule.deed == Deed::Permit
    }

    /// The rule with every group of actions renamed: so that two bundles' groups are two.
    pub(super) fn with_groups(mut self, to: &impl Fn(&str) -> Option<String>) -> Self {
        rename(&mut self.tree, "Action", to);
        self
    }

    pub(super) fn policy(&self, guards: &[Value]) -> Option<Policy> {
        Policy::from_json(Some(PolicyId::new(&self.rule.id)), guarded(&self.tree, guards)).ok()
    }

    /// As a permit: to ask what it matches, whatever it does.
    pub(super) fn as_permit(&self, guards: &[Value]) -> Option<Policy> {
        let mut tree = guarded(&self.tree, guards);
        tree.as_object_mut()?.insert("effect".to_owned(), json!("permit"));
        Policy::from_json(Some(PolicyId::new(&self.rule.id)), tree).ok()
    }
}

/// What a matching forbid does to a call; `Allow` of a permit.
pub(super) const fn outcome_of(deed: &Deed) -> Outcome {
    match deed {
        Deed::Permit => Outcome::Allow,
        Deed::Deny => Outcome::Deny,
        Deed::Defer { .. } => Outcome::Defer,
        Deed::Hold(_) => Outcome::Hold,
        Deed::Modify(_) => Outcome::Modify,
    }
}

/// The outcomes at which rules are put together, strictest first.
pub(super) const GRADES: [Outcome; 4] = [Outcome::Deny, Outcome::Defer, Outcome::Hold, Outcome::Modify];

/// Permits under guards, and the forbids that are told. The guards stand with the permits: a call of which one of them
/// does not hold, or fails, is not permitted.
pub(super) fn set<'r, 'a: 'r>(
    rules: impl IntoIterator<Item = &'r Read<'a>>,
    guards: &[Value],
    counts: impl Fn(&Rule) -> bool,
) -> Option<PolicySet> {
    let counting = rules.into_iter().filter(|read| read.permits() || counts(read.rule));
    let policies: Vec<Policy> =
        counting.map(|read| read.policy(if read.permits() { guards } else { &[] })).collect::<Option<_>>()?;
    PolicySet::from_policies(policies).ok()
}

/// What rules and conditions look at.
pub(super) fn looked<'v>(trees: impl IntoIterator<Item = &'v Value>) -> Looked {
    let mut looked = Looked { mention: Mention::NOTHING, agents: BTreeSet::new(), tools: BTreeSet::new() };
    for tree in trees {
        looked.mention.unite(&survey(tree).mention);
        mentions(tree, "Agent", &mut |agent| {
            looked.agents.insert(agent.to_owned());
        });
        mentions(tree, "Tool", &mut |tool| {
            looked.tools.insert(tool.to_owned());
        });
    }
    looked
}
