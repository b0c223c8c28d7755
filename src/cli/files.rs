//! Files that a person names.

use std::path::Path;
use std::sync::Arc;

use super::output::Failure;
use crate::disk::{Disk, DiskFile, OpenMode, RealDisk, read_file};
use crate::evidence::bundle::ByteSource;
use crate::note::TrustPolicy;

/// Larger than any receipt, answer, intent or policy.
const NAMED_FILE_MAX_BYTES: u64 = 16 << 20;

/// The machine's disk.
pub(super) fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

/// Reads a file that was named.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    read_file(&RealDisk, path, NAMED_FILE_MAX_BYTES).map_err(|error| {
        Failure::new(format!("{}: {error}", path.display()), "check the path, and that it can be read")
    })
}

/// Reads a text file that was named.
pub(super) fn read_text(path: &Path) -> Result<String, Failure> {
    let not_text =
        |_| Failure::new(format!("{}: not UTF-8 text", path.display()), "check that it is the right file");
    String::from_utf8(read(path)?).map_err(not_text)
}

/// Reads the trust policy, if one was named.
pub(super) fn trust(path: Option<&Path>) -> Result<Option<TrustPolicy>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let policy = TrustPolicy::parse(&read_text(path)?);
    policy.map(Some).map_err(|error| {
        Failure::new(
            format!("{}: {error}", path.display()),
            "--trust takes a tlog-policy file, such as the trust.policy that `foreseal init` writes",
        )
    })
}

/// A file that is read piece by piece.
pub(super) struct NamedFile(Arc<dyn DiskFile>);

impl NamedFile {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let file = RealDisk.open(path, OpenMode::Read);
        file.map(Self).map_err(|error| {
            Failure::new(format!("{}: {error}", path.display()), "check the path, and that it can be read")
        })
    }
}

impl ByteSource for NamedFile {
    fn length(&self) -> std::io::Result<u64> {
        self.0.len()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
}
