//! Rules by the calls that they may match, made ready once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cedar_policy::{Effect, Entities, Entity, EntityTypeName, EntityUid, PolicySet};

use super::entities::{tool_entity, uid};
use crate::policy::bundle::Bundle;
use crate::policy::mention::Mention;
use crate::policy::request::resource;
use crate::policy::scope::{self, Reach, Target};
use crate::policy::tools::Tool;

/// Cedar's entity types, parsed once.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) action: EntityTypeName,
    pub(super) agent: EntityTypeName,
    pub(super) tool: EntityTypeName,
}

/// Everything that is known about a call's action before the call.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) action: EntityUid,
    /// The action, and the tool where it is registered.
    pub(super) entities: Entities,
    /// Rules that reach through groups or everywhere, shared by tools of the same groups; rules that name
    /// this tool.
    pub(super) slices: [Arc<Slice>; 2],
    pub(super) mention: Mention,
}

/// Rules that may match.
#[derive(Debug)]
pub(super) struct Slice {
    /// All of them.
    pub(super) rules: PolicySet,
    /// The permits among them.
    pub(super) permits: PolicySet,
}

/// Slices made so far, by the rules in them.
pub(super) struct Slices<'a> {
    pub(super) bundle: &'a Bundle,
    pub(super) known: HashMap<Vec<&'a str>, Arc<Slice>>,
}

impl<'a> Slices<'a> {
    pub(super) fn slot(
        &mut self,
        names: &Names,
        target: Target<'_>,
        tool: Option<&Tool>,
    ) -> Result<Slot, String> {
        let action = uid(&names.action, target.action);
        let parents = target.groups.iter().map(|group| uid(&names.action, group)).collect();
        let mut entities = vec![Entity::new_no_attrs(action.clone(), parents)];
        if let Some(tool) = tool {
            let uid = uid(&names.tool, target.action);
            let attributes = resource(self.bundle.form(), &tool.server, &tool.name, Some(tool));
            entities.extend(tool_entity(&uid, &attributes));
        }
        let entities = Entities::from_entities(entities, None).map_err(|error| error.to_string())?;
        let mut mention = Mention::NOTHING;
        let mut by_reach: BTreeMap<bool, Vec<&'a str>> = BTreeMap::new();
        let bundle = self.bundle;
        for (id, rule) in &bundle.rules {
            let reach = scope::reach(&rule.policy, target);
            if reach != Reach::Never {
                mention.unite(&rule.survey.mention);
                by_reach.entry(reach == Reach::Named).or_default().push(id);
            }
        }
        let mut slice = |named| self.slice(by_reach.remove(&named).unwrap_or_default());
        Ok(Slot { action, entities, slices: [slice(false)?, slice(true)?], mention })
    }

    fn slice(&mut self, ids: Vec<&'a str>) -> Result<Arc<Slice>, String> {
        if let Some(slice) = self.known.get(&ids) {
            return Ok(Arc::clone(slice));
        }
        let policies =
            || ids.iter().filter_map(|id| self.bundle.rules.get(*id)).map(|rule| rule.policy.clone());
        let rules = PolicySet::from_policies(policies()).map_err(|error| error.to_string())?;
        let permits = policies().filter(|policy| policy.effect() == Effect::Permit);
        let permits = PolicySet::from_policies(permits).map_err(|error| error.to_string())?;
        let slice = Arc::new(Slice { rules, permits });
        self.known.insert(ids, Arc::clone(&slice));
        Ok(slice)
    }
}
