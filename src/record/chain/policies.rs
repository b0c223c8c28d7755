//! Which bundle of rules decides, and which one watches.

use serde::{Deserialize, Serialize};

use crate::record::entry::{PolicyEntry, PolicyMode};

/// What the entries of policies say, without their records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Policies {
    /// Every entry that made a bundle decide, the present one last.
    decided: Vec<u64>,
    /// The entry whose bundle watches.
    shadow: Option<u64>,
}

impl Policies {
    pub(super) fn active(&self) -> Option<u64> {
        self.decided.last().copied()
    }

    pub(super) const fn shadow(&self) -> Option<u64> {
        self.shadow
    }

    pub(super) fn has_decided(&self, policy: u64) -> bool {
        self.decided.binary_search(&policy).is_ok()
    }

    pub(super) fn check(&self, entry: &PolicyEntry) -> Result<(), String> {
        let carried = (entry.rules.is_some(), entry.declared.is_some());
        match entry.mode {
            PolicyMode::Enforce | PolicyMode::Shadow if carried != (true, true) => {
                return Err("a bundle comes with its record and the number of its rules".to_owned());
            }
            PolicyMode::Withdraw if carried != (false, false) => {
                return Err("a withdrawal carries no bundle".to_owned());
            }
            _ => {}
        }
        if let Some(restored) = entry.restores
            && (entry.mode != PolicyMode::Enforce || !self.has_decided(restored))
        {
            return Err(format!("it restores leaf {restored}, which made no bundle decide"));
        }
        // A bundle that decides leaves alone what watches, unless it is the same; whether it is, only records say.
        let may_stay = entry.mode == PolicyMode::Enforce && entry.ends.is_none();
        let withdraws_nothing = entry.mode == PolicyMode::Withdraw && entry.ends.is_none();
        if withdraws_nothing || (entry.ends != self.shadow && !may_stay) {
            return Err(format!("it ends the shadow of {:?}, in shadow is {:?}", entry.ends, self.shadow));
        }
        Ok(())
    }

    pub(super) fn apply(&mut self, index: u64, entry: &PolicyEntry) {
        if entry.ends.is_some() {
            self.shadow = None;
        }
        match entry.mode {
            PolicyMode::Enforce => self.decided.push(index),
            PolicyMode::Shadow => self.shadow = Some(index),
            PolicyMode::Withdraw => {}
        }
    }
}
