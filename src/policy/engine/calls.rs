//! The calls of one intent beside each other: their order, and what one means for another.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::request::CallView;

/// The partial order of an intent's calls.
#[derive(Debug)]
pub(super) struct Order {
    /// The calls that each comes after, through however many others; `None` where that leads in a circle or nowhere.
    before: Vec<Option<BTreeSet<usize>>>,
}

impl Order {
    pub(super) fn of(calls: &[CallView<'_>]) -> Self {
        if calls.iter().all(|call| call.after.is_empty()) {
            return Self { before: calls.iter().map(|_| Some(BTreeSet::new())).collect() };
        }
        let ids: BTreeMap<&str, usize> = calls.iter().enumerate().map(|(i, call)| (call.id, i)).collect();
        let mut before: Vec<Option<BTreeSet<usize>>> = calls.iter().map(|_| None).collect();
        loop {
            let mut moved = false;
            for (i, call) in calls.iter().enumerate() {
                if before.get(i).is_some_and(Option::is_some) {
                    continue;
                }
                // Known as soon as all are known that it names.
                let earlier = call.after.iter().map(|id| {
                    let j = *ids.get(id.as_str())?;
                    let mut all = before.get(j)?.clone()?;
                    all.insert(j);
                    Some(all)
                });
                let earlier: Option<BTreeSet<usize>> =
                    earlier.collect::<Option<Vec<_>>>().map(|sets| sets.into_iter().flatten().collect());
                if let (Some(earlier), Some(slot)) = (earlier, before.get_mut(i)) {
                    *slot = Some(earlier);
                    moved = true;
                }
            }
            if !moved {
                return Self { before };
            }
        }
    }

    /// Every call once, each behind those that it comes after; at last those that have no place.
    pub(super) fn sequence(&self) -> Vec<usize> {
        let mut calls: Vec<usize> = (0..self.before.len()).collect();
        // What comes after another comes after more than the other does.
        calls.sort_by_key(|i| self.earlier(*i).map_or(usize::MAX, BTreeSet::len));
        calls
    }

    /// Has the call a place in the order?
    pub(super) fn is_sound(&self, i: usize) -> bool {
        self.earlier(i).is_some()
    }

    /// The calls that it comes after.
    pub(super) fn earlier(&self, i: usize) -> Option<&BTreeSet<usize>> {
        self.before.get(i)?.as_ref()
    }

    /// The other calls that may have run when it runs: all that do not come after it.
    pub(super) fn not_after(&self, i: usize) -> impl Iterator<Item = usize> {
        (0..self.before.len())
            .filter(move |j| *j != i && self.earlier(*j).is_none_or(|earlier| !earlier.contains(&i)))
    }
}
