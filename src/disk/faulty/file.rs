//! An open file on the simulated disk.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::inode::SECTOR;
use super::plan::{Fault, OpKind};
use super::state::eio;
use super::{DiskFile, Shared};

/// Larger files would only ever be a test's mistake.
const FILE_BYTES_MAX: u64 = 1 << 30;

#[derive(Debug)]
pub(super) struct FaultyFile {
    pub(super) state: Shared,
    pub(super) path: Arc<Path>,
    pub(super) inode: u64,
    pub(super) writable: bool,
}

impl FaultyFile {
    fn may_write(&self, end: Option<u64>) -> io::Result<()> {
        if !self.writable {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "simulated: opened for reading only",
            ));
        }
        match end {
            Some(end) if end <= FILE_BYTES_MAX => Ok(()),
            _ => Err(io::ErrorKind::FileTooLarge.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.state.run((OpKind::SyncFile, &self.path, 0, 0), Some(()), |state, fault| {
            if fault.is_some() {
                state.fail_sync_file(self.inode);
                return Err(eio("EIO from fsync"));
            }
            state.inode_mut(self.inode)?.sync();
            Ok(())
        })
    }
}

fn to_usize(n: u64) -> io::Result<usize> {
    usize::try_from(n).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

impl DiskFile for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.state
            .run((OpKind::Len, &self.path, 0, 0), None, |state, _| Ok(state.inode(self.inode)?.len() as u64))
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let op = (OpKind::Read, &*self.path, offset, buffer.len() as u64);
        self.state.run(op, None, |state, _| {
            if buffer.is_empty() {
                return Ok(());
            }
            let start = to_usize(offset)?;
            let range = start..start.saturating_add(buffer.len());
            let bytes = state.inode(self.inode)?.read(range).ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(bytes);
            Ok(())
        })
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.may_write(offset.checked_add(bytes.len() as u64))?;
        let start = to_usize(offset)?;
        let op = (OpKind::Write, &*self.path, offset, bytes.len() as u64);
        self.state.run(op, Some(()), |state, fault| {
            let wanted = match fault {
                Some(Fault::Torn { sectors }) => sectors.saturating_mul(SECTOR).min(bytes.len()),
                _ => bytes.len(),
            };
            let len = state.inode(self.inode)?.len();
            let grows = start.saturating_add(wanted).saturating_sub(len);
            let room = to_usize(state.room()).unwrap_or(usize::MAX);
            let done = if grows <= room { wanted } else { wanted.saturating_sub(grows - room) };
            state.inode_mut(self.inode)?.write(bytes.get(..done).unwrap_or(bytes), start);
            match fault {
                Some(_) => Err(eio("EIO in the middle of a write")),
                None if done < wanted => Err(io::ErrorKind::StorageFull.into()),
                None => Ok(()),
            }
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.may_write(Some(len))?;
        let wanted = to_usize(len)?;
        self.state.run((OpKind::SetLen, &self.path, len, 0), Some(()), |state, _| {
            let present = state.inode(self.inode)?.len() as u64;
            if len.saturating_sub(present) > state.room() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.inode_mut(self.inode)?.set_len(wanted);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }
}
