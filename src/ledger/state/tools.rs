//! What the active policy says of tools, as far as the fold needs it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::registry::{PartyKind, Registry};
use crate::policy::provenance::{FingerprintKey, Memory, OutputLabels, Reading};
use crate::policy::{Tool, action_id, tools_of};
use crate::record::intent::Call;

/// The group of tools that bring something into a session.
const READ: &str = "read";

/// The tools of the active policy, read from it when they are first needed.
#[derive(Debug, Clone, Default)]
pub(super) struct Tools {
    known: OnceLock<Arc<BTreeMap<String, Tool>>>,
    /// Whichever policy is active, these are the tools.
    pinned: bool,
}

/// They follow from the registry.
impl PartialEq for Tools {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The tools, and who reports on them.
pub(super) struct ToolsOf<'a> {
    tools: &'a BTreeMap<String, Tool>,
    registry: &'a Registry,
}

impl Tools {
    /// Another policy is active.
    pub(super) fn forget(&mut self) {
        if !self.pinned {
            self.known = OnceLock::new();
        }
    }

    /// The tools of a bundle, from here on.
    pub(super) fn pin(&mut self, files: &BTreeMap<String, Vec<u8>>) {
        *self = Self { known: OnceLock::from(Arc::new(tools_of(files))), pinned: true };
    }

    pub(super) fn of<'a>(&'a self, registry: &'a Registry) -> ToolsOf<'a> {
        let read = || Arc::new(registry.policy().map(|policy| tools_of(&policy.files)).unwrap_or_default());
        ToolsOf { tools: self.known.get_or_init(read), registry }
    }
}

impl ToolsOf<'_> {
    /// The name of a tool server.
    pub(super) fn server(&self, tool: u64) -> Option<String> {
        self.registry.party(PartyKind::ToolServer, tool).map(|party| party.name.clone())
    }

    /// What a tool's output is. Of a tool that is not registered nothing is known, so nobody vouches for what it says.
    pub(super) fn output(&self, server: &str, tool: &str) -> OutputLabels {
        match self.tools.get(&action_id(server, tool)) {
            Some(tool) => tool.labels.output.clone(),
            None => OutputLabels { untrusted: true, ..OutputLabels::default() },
        }
    }

    /// How a call chooses what it reads, from what the session has heard until now.
    pub(super) fn reading(&self, memory: Option<&Memory>, key: &FingerprintKey, call: &Call) -> Reading {
        let nothing = Memory::default();
        match self.tools.get(&action_id(&call.server, &call.tool)) {
            Some(tool) => memory.unwrap_or(&nothing).reading(
                key,
                &tool.labels.selectors,
                &tool.labels.output,
                &call.args,
            ),
            None => Reading::default(),
        }
    }

    /// What a call spends, in ten-thousandths; `None` where that is not known.
    pub(super) fn spends(&self, call: &Call) -> Option<i64> {
        self.tools.get(&action_id(&call.server, &call.tool))?.spends(&call.args)
    }

    /// Whether a tool brings something into the session: one that is not registered may.
    pub(super) fn reads(&self, server: &str, tool: &str) -> bool {
        let known = self.tools.get(&action_id(server, tool));
        known.is_none_or(|tool| tool.groups.iter().any(|group| group == READ))
    }
}
