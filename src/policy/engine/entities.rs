//! Agents and tools as Cedar has them.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};

use super::slices::Slot;
use crate::policy::mention::Mention;
use crate::policy::request::{Agent, Request};
use crate::policy::value::{Record, restricted_pairs};

/// Pairs of agent and tool whose entities are kept.
const PRINCIPALS_MAX: usize = 4_096;

/// What an agent is to a tool, as Cedar has it: made anew it would cost as much as a dozen rules.
#[derive(Debug, Default)]
pub(super) struct Principals {
    known: RwLock<HashMap<Agent, HashMap<String, Arc<Entities>>>>,
    count: AtomicUsize,
}

impl Principals {
    /// The tool's entities, and the agent's.
    pub(super) fn entities(
        &self,
        request: &Request,
        slot: &Slot,
        principal: &EntityUid,
        resource: &EntityUid,
    ) -> Result<Arc<Entities>, &'static str> {
        let agent = || agent_entity(principal, &request.agent).ok_or("the agent's facts");
        if request.supposed {
            let tool = tool_entity(resource, &request.resource).ok_or("the tool's facts")?;
            let entities = slot.entities.clone().upsert_entities([agent()?, tool], None);
            return entities.map(Arc::new).map_err(|_| "the entities");
        }
        if !request.registered {
            // Any name may come: not kept.
            let tool = tool_entity(resource, &request.resource).ok_or("the tool's facts")?;
            return joined(slot, vec![agent()?, tool]).map(Arc::new);
        }
        let tool = request.tool_id();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(entities) = known.get(&request.agent).and_then(|tools| tools.get(&tool)) {
            return Ok(Arc::clone(entities));
        }
        drop(known);
        let entities = Arc::new(joined(slot, vec![agent()?])?);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if self.count.fetch_add(1, Ordering::Relaxed) >= PRINCIPALS_MAX {
            known.clear();
            self.count.store(1, Ordering::Relaxed);
        }
        known.entry(request.agent.clone()).or_default().insert(tool, Arc::clone(&entities));
        Ok(entities)
    }
}

fn joined(slot: &Slot, more: Vec<Entity>) -> Result<Entities, &'static str> {
    slot.entities.clone().add_entities(more, None).map_err(|_| "the entities")
}

pub(super) fn uid(of_type: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of_type.clone(), EntityId::new(id))
}

pub(super) fn agent_entity(uid: &EntityUid, agent: &Agent) -> Option<Entity> {
    let roles = agent.roles.iter().map(|role| RestrictedExpression::new_string(role.clone()));
    let attributes = HashMap::from([
        ("name".to_owned(), RestrictedExpression::new_string(agent.name.clone())),
        ("roles".to_owned(), RestrictedExpression::new_set(roles)),
        ("signed".to_owned(), RestrictedExpression::new_bool(agent.signed)),
    ]);
    Entity::new(uid.clone(), attributes, HashSet::new()).ok()
}

pub(super) fn tool_entity(uid: &EntityUid, attributes: &Record) -> Option<Entity> {
    let attributes = restricted_pairs(attributes, &Mention::Whole)?.into_iter().collect();
    Entity::new(uid.clone(), attributes, HashSet::new()).ok()
}
