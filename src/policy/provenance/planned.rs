//! Destinations that a plan means.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use serde_json::Value;

use super::fingerprint::FingerprintKey;
use super::grounding::Standing;
use super::kind::ValueType;
use super::memory::Memory;
use super::{Destination, arguments, internet};

impl Memory {
    /// How many values stand at a destination of a call, if each is grounded by itself or equals one of those that stand
    /// there in `meant`; of a URL one of their hosts will do. `None` where one is neither.
    pub(in crate::policy) fn meant(
        &self,
        key: &FingerprintKey,
        destination: &Destination,
        args: &Value,
        meant: &Value,
    ) -> Option<usize> {
        let (kind, mut wanted, mut hosts) = (destination.kind, BTreeSet::new(), BTreeSet::new());
        destination.at.visit(meant, &mut |found| {
            arguments::values(found, kind, &mut |text| {
                if let Some(canonical) = text.and_then(|text| kind.canonical(text)) {
                    hosts.extend(host(kind, &canonical));
                    wanted.insert(canonical);
                }
                ControlFlow::Continue(())
            })
            .is_continue()
        });
        let mut count = 0_usize;
        let all = destination.at.visit(args, &mut |found| {
            arguments::values(found, kind, &mut |text| {
                count = count.saturating_add(1);
                let canonical = text.and_then(|text| kind.canonical(text));
                let is_wanted = canonical.is_some_and(|canonical| {
                    wanted.contains(&canonical)
                        || host(kind, &canonical).is_some_and(|host| hosts.contains(&host))
                });
                let is_known = text.is_some_and(|text| self.grade(key, kind, text) <= Standing::Grounded);
                if is_wanted || is_known { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .is_continue()
        });
        all.then_some(count)
    }
}

fn host(kind: ValueType, canonical: &str) -> Option<String> {
    (kind == ValueType::Url).then(|| internet::host_of(canonical)).flatten().map(str::to_owned)
}
