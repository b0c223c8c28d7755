//! SQL, read by a parser: what the statements do, to which tables.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What SQL statements do. All statements of a call together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SqlFacts {
    /// How many.
    pub statements: u32,
    /// Something is read.
    pub reads: bool,
    /// Rows are written: insert, update, delete, merge, copy.
    pub writes: bool,
    /// Tables or other objects are made, changed or removed.
    pub ddl: bool,
    /// Rights, roles or users are changed.
    pub grants: bool,
    /// An update or delete without a condition, or one that is always true; a truncated table.
    pub unfiltered: bool,
    /// A condition that is always true (`1 = 1`).
    pub tautology: bool,
    /// Files, programs or other servers are reached, or the server is set up differently.
    pub escapes: bool,
    /// There are comments: what follows them may be meant for another reader.
    pub comments: bool,
    /// Some of it did not parse, in any dialect.
    pub unparsed: bool,
    /// The tables named, in lower case, without quotes.
    pub tables: BTreeSet<String>,
}
