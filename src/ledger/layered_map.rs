//! A map of which many versions are alive: a copy costs a few pointers, and a change does not touch what copies share.
//!
//! Every entry that changes who may act gives a new version of the registry to whoever reads it. Layers grow at least
//! twofold towards the oldest, so there are few, and an entry is moved between them a logarithmic number of times.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A sorted map in shared layers, the newest last. What is `None` in a layer is removed from those below.
#[derive(Debug, Clone)]
pub(super) struct LayeredMap<K, V> {
    layers: Vec<Arc<BTreeMap<K, Option<V>>>>,
}

impl<K, V> Default for LayeredMap<K, V> {
    fn default() -> Self {
        Self { layers: Vec::new() }
    }
}

impl<K: Ord + Clone, V: Clone> LayeredMap<K, V> {
    /// The value of a key.
    #[must_use]
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.layers.iter().rev().find_map(|layer| layer.get(key))?.as_ref()
    }

    /// Sets a key's value.
    pub(super) fn insert(&mut self, key: K, value: V) {
        self.put(key, Some(value));
    }

    /// Removes a key.
    pub(super) fn remove(&mut self, key: &K) {
        if self.get(key).is_some() {
            self.put(key.clone(), None);
        }
    }

    /// Keys and values, in the order of keys. Costs as much as all of them, however few are taken.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let mut newest = BTreeMap::new();
        for layer in &self.layers {
            newest.extend(layer.iter());
        }
        newest.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?)))
    }

    fn put(&mut self, key: K, value: Option<V>) {
        let mut top = Arc::new(BTreeMap::from([(key, value)]));
        while let Some(below) = self.layers.pop_if(|below| below.len() < 2 * top.len()) {
            // In place where no copy shares it.
            let mut merged = Arc::unwrap_or_clone(below);
            merged.extend(Arc::unwrap_or_clone(top));
            if self.layers.is_empty() {
                merged.retain(|_, value| value.is_some());
            }
            top = Arc::new(merged);
        }
        self.layers.push(top);
    }
}

impl<K: Ord + Clone, V: Clone + PartialEq> PartialEq for LayeredMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<K: Ord + Clone + Serialize, V: Clone + Serialize> Serialize for LayeredMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.iter().collect::<BTreeMap<_, _>>().serialize(serializer)
    }
}

impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for LayeredMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = BTreeMap::<K, V>::deserialize(deserializer)?;
        let layer: BTreeMap<_, _> = all.into_iter().map(|(key, value)| (key, Some(value))).collect();
        let layers = if layer.is_empty() { Vec::new() } else { vec![Arc::new(layer)] };
        Ok(Self { layers })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map_and_so_is_every_copy(changes in prop::collection::vec((0u8..40, any::<Option<u16>>()), 0..200)) {
            let (mut map, mut model) = (LayeredMap::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for (key, value) in changes {
                match value {
                    Some(value) => {
                        map.insert(key, value);
                        model.insert(key, value);
                    }
                    None => {
                        map.remove(&key);
                        model.remove(&key);
                    }
                }
                copies.push((map.clone(), model.clone()));
            }
            for (map, model) in copies {
                prop_assert!(map.iter().eq(model.iter()));
                prop_assert!((0..40).all(|key| map.get(&key) == model.get(&key)));
                let bytes = postcard::to_stdvec(&map).unwrap();
                prop_assert_eq!(&bytes, &postcard::to_stdvec(&model).unwrap());
                prop_assert!(postcard::from_bytes::<LayeredMap<u8, u16>>(&bytes).unwrap() == map);
            }
        }
    }

    /// Counts how often it is copied.
    #[derive(Debug)]
    struct Counted(Arc<AtomicUsize>);

    impl Clone for Counted {
        fn clone(&self) -> Self {
            self.0.fetch_add(1, Ordering::Relaxed);
            Self(Arc::clone(&self.0))
        }
    }

    #[test]
    fn changes_to_a_map_whose_versions_are_all_alive_copy_little() {
        let copied = Arc::new(AtomicUsize::new(0));
        let mut map = LayeredMap::default();
        let mut versions = Vec::new();
        for n in 0..20_000u32 {
            map.insert(n.wrapping_mul(2_654_435_761), Counted(Arc::clone(&copied)));
            versions.push(map.clone());
            assert!(map.layers.len() <= 16, "{} layers", map.layers.len());
        }
        let copied = copied.load(Ordering::Relaxed);
        assert!(copied < 20_000 * 20, "{copied} values were copied for 20,000 insertions");
    }
}
