//! Checkpoints: origin, size and root of a log, as the text of a note.

use crate::merkle::{Hash, HashError};

use super::name::MAX_NAME_BYTES;

/// A log's head (C2SP tlog-checkpoint).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's identity: one non-empty line of at most 255 bytes. Foreign origins may hold spaces; ours are
    /// [`KeyName`](super::KeyName)s.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Root over that many leaves.
    pub root: Hash,
    /// Lines that tlog-checkpoint tolerates and discourages. This log writes none.
    pub extensions: Vec<String>,
}

/// Why a text is no checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Fewer than three lines, or the last one not ended.
    #[error("a checkpoint is three lines, each ended by a newline: origin, size, root")]
    Lines,
    /// The first line is empty, or longer than 255 bytes.
    #[error("line 1 of the checkpoint: an origin has 1 to {MAX_NAME_BYTES} bytes, and this one {bytes}")]
    Origin {
        /// Length in bytes.
        bytes: usize,
    },
    /// The second line is not a decimal below 2^64 without sign or leading zeros.
    #[error("line 2 of the checkpoint: the size is not a decimal below 2^64 without sign or leading zeros")]
    Size,
    /// The third line is not a hash.
    #[error("line 3 of the checkpoint: {0}")]
    Root(HashError),
    /// An extension line is empty.
    #[error("line {line} of the checkpoint is empty")]
    EmptyExtension {
        /// Number of the line, from 1.
        line: usize,
    },
    /// A control character other than the newline.
    #[error("line {line} of the checkpoint has a control character")]
    Control {
        /// Number of the line, from 1.
        line: usize,
    },
}

impl Checkpoint {
    /// Reads the text of a note as a checkpoint. Syntax only: nothing is believed before a signature over this very text
    /// verifies.
    ///
    /// # Errors
    /// [`CheckpointError`], with the line.
    pub fn parse(text: &str) -> Result<Checkpoint, CheckpointError> {
        let lines: Vec<&str> = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?.split('\n').collect();
        if let Some(nth) = lines.iter().position(|line| line.chars().any(char::is_control)) {
            return Err(CheckpointError::Control { line: nth + 1 });
        }
        let [origin, size, root, extensions @ ..] = lines.as_slice() else {
            return Err(CheckpointError::Lines);
        };
        if origin.is_empty() || origin.len() > MAX_NAME_BYTES {
            return Err(CheckpointError::Origin { bytes: origin.len() });
        }
        if let Some(nth) = extensions.iter().position(|line| line.is_empty()) {
            return Err(CheckpointError::EmptyExtension { line: nth + 4 });
        }
        Ok(Checkpoint {
            origin: (*origin).to_owned(),
            size: parse_size(size).ok_or(CheckpointError::Size)?,
            root: Hash::from_base64(root).map_err(CheckpointError::Root)?,
            extensions: extensions.iter().map(|line| (*line).to_owned()).collect(),
        })
    }

    /// The note text: what is signed. Of a checkpoint that was put together by hand with line breaks in its strings this
    /// is not a checkpoint's text; signing refuses it.
    #[must_use]
    pub fn body(&self) -> String {
        let mut body = format!("{}\n{}\n{}\n", self.origin, self.size, self.root);
        for line in &self.extensions {
            body.push_str(line);
            body.push('\n');
        }
        body
    }
}

/// A decimal in its one form.
fn parse_size(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::merkle::{empty_root, leaf_hash};

    #[test]
    fn a_second_spelling_is_refused() {
        use CheckpointError as E;
        let root = empty_root();
        let long = "o".repeat(256);
        for (text, expected) in [
            (String::new(), E::Lines),
            ("o\n1\n".to_owned(), E::Lines),
            (format!("o\n1\n{root}"), E::Lines),
            (format!("\n1\n{root}\n"), E::Origin { bytes: 0 }),
            (format!("{long}\n1\n{root}\n"), E::Origin { bytes: 256 }),
            (format!("o\n\n{root}\n"), E::Size),
            (format!("o\n01\n{root}\n"), E::Size),
            (format!("o\n+1\n{root}\n"), E::Size),
            (format!("o\n-1\n{root}\n"), E::Size),
            (format!("o\n 1\n{root}\n"), E::Size),
            (format!("o\n١\n{root}\n"), E::Size),
            (format!("o\n18446744073709551616\n{root}\n"), E::Size),
            (format!("o\r\n1\n{root}\n"), E::Control { line: 1 }),
            (format!("o\n1\n{root}\n\n"), E::EmptyExtension { line: 4 }),
            (format!("o\n1\n{root}\nx\n\ny\n"), E::EmptyExtension { line: 5 }),
        ] {
            assert_eq!(Checkpoint::parse(&text), Err(expected), "{text:?}");
        }
        assert!(matches!(Checkpoint::parse(&format!("o\n1\n{root} \n")), Err(E::Root(_))));
        let spaced =
            Checkpoint::parse(&format!("go.sum database tree\n18446744073709551615\n{root}\n")).unwrap();
        assert_eq!((spaced.origin.as_str(), spaced.size), ("go.sum database tree", u64::MAX));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(origin in "[^\\p{Cc}]{1,60}", size: u64, leaf: u64, extensions in prop::collection::vec("[^\\p{Cc}]{1,20}", 0..3)) {
            let checkpoint = Checkpoint { origin, size, root: leaf_hash(&leaf.to_be_bytes()), extensions };
            prop_assert_eq!(Checkpoint::parse(&checkpoint.body()), Ok(checkpoint));
        }

        #[test]
        fn what_is_read_is_written_as_it_was(at in 0..70_usize, with in "\\PC{0,2}|\n|0|=", cut in 0..3_usize) {
            let mut text = format!("example.com/log\n1234\n{}\nextension\n", empty_root());
            if text.is_char_boundary(at) {
                let end = (at + cut).min(text.len());
                text.replace_range(at.min(end)..end, &with);
            }
            if let Ok(read) = Checkpoint::parse(&text) {
                prop_assert_eq!(read.body(), text);
            }
        }
    }
}
