//! What queries say.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::record::limits;

/// A leaf index or a tree size: a whole number that JSON holds exactly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number(pub(super) u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        if number > limits::JSON_MAX_INTEGER.unsigned_abs() {
            return Err(D::Error::custom(format_args!("{number} is over {}", limits::JSON_MAX_INTEGER)));
        }
        Ok(Self(number))
    }
}
