//! `VERIFY.md`: how to check a bundle, with the auditor's tool and by hand.

/// The same in every bundle: nothing of what it helps to check can change how it is checked.
pub(super) const TEXT: &str = include_str!("VERIFY.md");
