//! The registry of tools before it is part of a bundle: read what MCP servers say of themselves, bring it into
//! `tools.json`, say what is not labelled.
//!
//! # What it does not do
//! It believes no server. What a server says of its own tools is written down and pinned, never taken for a label, unless
//! it is asked to, and then only what makes rules stricter. It reads no file and asks no server.
//!
//! # Invariants
//! - A label that somebody wrote is never changed by an import, and a pin is moved only where its tool is named.
//! - What is written loads.

mod difference;
mod lint;
mod listing;
mod merge;
mod places;

pub(in crate::policy) use difference::differences;
pub use lint::lint;
pub use listing::{Hints, Listed, ListingError, documents, listed};
pub use merge::{Imported, ImportedTool, RegistryError, Wishes, Wrought, import};
pub(in crate::policy) use places::parts;
