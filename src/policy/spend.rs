//! What calls spend: the amounts that the registry names, added up over a session.
//!
//! In ten-thousandths, as Cedar keeps decimals, and never rounded. Cedar cannot add them, so a budget is compared with a
//! total that is made here. An amount that cannot be read makes the total unknown: what a rule must ask for.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tools::Tool;
use super::value::exact_scaled;

/// Amounts added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spent {
    /// In ten-thousandths.
    pub total: i64,
    /// Was there an amount that could not be read, or more than can be counted? Then the total is too small.
    pub unknown: bool,
}

impl Spent {
    /// This and one amount more; `None` is one that could not be read.
    #[must_use]
    pub fn and(self, amount: Option<i64>) -> Self {
        match amount.and_then(|amount| self.total.checked_add(amount)) {
            Some(total) => Self { total, ..self },
            None => Self { unknown: true, ..self },
        }
    }
}

impl Tool {
    /// What a call with these arguments spends, in ten-thousandths: nothing where the registry names no amount. `None`
    /// where it names one and there is none, a negative one, or none that four places hold.
    #[must_use]
    pub fn spends(&self, args: &Value) -> Option<i64> {
        let Some(at) = &self.labels.amount else { return Some(0) };
        let amounts = at.values(args);
        if amounts.is_empty() {
            return None;
        }
        amounts.into_iter().try_fold(0_i64, |sum, amount| {
            let Value::Number(amount) = amount else { return None };
            sum.checked_add(exact_scaled(amount).filter(|amount| *amount >= 0)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::policy::tools::tools_of;

    fn tool(amount: &str) -> Tool {
        let declared = json!({"tools": [{"server": "bank", "name": "pay", "amount": amount,
            "input": {"type": "object", "properties": {
                "amount": {"type": "number"}, "items": {"type": "array", "items": {"type": "object"}}}}}]});
        let files = BTreeMap::from([("tools.json".to_owned(), declared.to_string().into_bytes())]);
        tools_of(&files).remove("bank/pay").unwrap()
    }

    #[test]
    fn an_amount_is_read_exactly_or_not_at_all() {
        let pay = tool("/amount");
        let spends = |args: Value| pay.spends(&args);
        assert_eq!(spends(json!({"amount": 12.5})), Some(125_000));
        assert_eq!(spends(json!({"amount": 0})), Some(0));
        assert_eq!(spends(json!({"amount": 922_337_203_685_477_u64})), Some(9_223_372_036_854_770_000));
        for odd in [
            json!({}),
            json!({"amount": null}),
            json!({"amount": "12"}),
            json!({"amount": -1}),
            json!({"amount": 0.00001}),
            json!({"amount": 1e300}),
            json!({"amount": 922_337_203_685_478_u64}),
            json!({"amount": [1]}),
            json!(7),
        ] {
            assert_eq!(spends(odd.clone()), None, "{odd}");
        }
        let cart = tool("/items/*/price");
        assert_eq!(cart.spends(&json!({"items": [{"price": 1}, {"price": 2.25}]})), Some(32_500));
        assert_eq!(cart.spends(&json!({"items": [{"price": 1}, {"price": "2"}]})), None);
        assert_eq!(cart.spends(&json!({"items": [{"price": 1}, {"price": -1}]})), None);
        assert_eq!(cart.spends(&json!({"items": []})), None);
    }

    proptest! {
        /// No order of calls, and no call that cannot be read, makes a total smaller.
        #[test]
        fn a_total_never_falls(amounts in proptest::collection::vec(proptest::option::of(0..=i64::MAX), 0..8)) {
            let mut spent = Spent::default();
            for amount in &amounts {
                let next = spent.and(*amount);
                prop_assert!(next.total >= spent.total && (next.unknown || !spent.unknown));
                spent = next;
            }
            let exact: Option<i64> = amounts.iter().try_fold(0_i64, |sum, amount| sum.checked_add((*amount)?));
            prop_assert_eq!(exact, (!spent.unknown).then_some(spent.total));
        }
    }
}
