//! Logs as an auditor reaches them: a directory in the C2SP layout, or a served log.

use std::path::PathBuf;

use crate::disk::{RealDisk, read_file};
use crate::evidence::audit::{LogReader, ReadLogError};
use crate::merkle::TilePath;

/// A full bundle of entries of the largest size, and its lengths.
const RESOURCE_MAX_BYTES: u64 = 17 << 20;

/// A directory with `checkpoint` and `tile/…`.
pub(super) struct TileDirectory {
    root: PathBuf,
}

impl TileDirectory {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, ReadLogError> {
        read_file(&RealDisk, &self.root.join(name), RESOURCE_MAX_BYTES).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                ReadLogError::Missing(name.to_owned())
            } else {
                ReadLogError::Unreachable { what: name.to_owned(), why: error.to_string() }
            }
        })
    }
}

impl LogReader for TileDirectory {
    fn checkpoint(&self) -> Result<String, ReadLogError> {
        // Without a checkpoint the directory is no log at all, which proves nothing.
        let bytes = self.read("checkpoint").map_err(|error| ReadLogError::Unreachable {
            what: format!("{}/checkpoint", self.root.display()),
            why: error.to_string(),
        })?;
        String::from_utf8(bytes).map_err(|_| ReadLogError::Damaged {
            what: "checkpoint".to_owned(),
            why: "it is not UTF-8".to_owned(),
        })
    }

    fn tile(&self, path: &TilePath) -> Result<Vec<u8>, ReadLogError> {
        self.read(&path.to_string())
    }
}
