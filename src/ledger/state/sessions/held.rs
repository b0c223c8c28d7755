//! Sessions by their tags, in shards that copies share: a snapshot's copy costs a few hundred pointers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::session::Session;
use crate::record::entry::SessionTag;

/// Tags are keyed hashes, so their first byte spreads them evenly.
const SHARDS: usize = 256;

type Shard = BTreeMap<SessionTag, Arc<Session>>;

/// A map that is cheap to copy and costs one change of a small map to change.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held {
    shards: Vec<Arc<Shard>>,
    len: usize,
}

impl Default for Held {
    fn default() -> Self {
        Self { shards: vec![Arc::default(); SHARDS], len: 0 }
    }
}

fn place(tag: &SessionTag) -> usize {
    tag.0.first().copied().map_or(0, usize::from)
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, tag: &SessionTag) -> Option<&Session> {
        self.shards.get(place(tag))?.get(tag).map(Arc::as_ref)
    }

    pub(super) fn get_mut(&mut self, tag: &SessionTag) -> Option<&mut Session> {
        let shard = self.shards.get_mut(place(tag))?;
        // Without a look first, a copy would be made for nothing.
        if !shard.contains_key(tag) {
            return None;
        }
        Arc::make_mut(shard).get_mut(tag).map(Arc::make_mut)
    }

    pub(super) fn insert(&mut self, tag: SessionTag, session: Session) {
        if let Some(shard) = self.shards.get_mut(place(&tag))
            && Arc::make_mut(shard).insert(tag, Arc::new(session)).is_none()
        {
            self.len += 1;
        }
    }

    pub(super) fn remove(&mut self, tag: &SessionTag) -> Option<Arc<Session>> {
        let shard = self.shards.get_mut(place(tag)).filter(|shard| shard.contains_key(tag))?;
        let removed = Arc::make_mut(shard).remove(tag);
        self.len -= usize::from(removed.is_some());
        removed
    }

    /// In the order of tags.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&SessionTag, &Session)> {
        self.shards.iter().flat_map(|shard| shard.iter().map(|(tag, session)| (tag, session.as_ref())))
    }
}

impl Serialize for Held {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows: Vec<([u8; 16], &Session)> = self.iter().map(|(tag, session)| (tag.0, session)).collect();
        rows.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Held {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut held = Self::default();
        for (tag, session) in Vec::<([u8; 16], Session)>::deserialize(deserializer)? {
            held.insert(SessionTag(tag), session);
        }
        Ok(held)
    }
}
