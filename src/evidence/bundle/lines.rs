//! Files of lines within a bundle, read one line at a time.

use super::container::{ByteSource, Placed};

const CHUNK_BYTES: usize = 64 * 1024;
/// A policy's record with every byte escaped, and its proof, stays below this.
const LINE_MAX_BYTES: usize = 32 << 20;

/// The lines of a member, each ended by a line feed.
pub(super) struct Lines<'a> {
    source: &'a dyn ByteSource,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    taken: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(source: &'a dyn ByteSource, placed: &Placed) -> Self {
        let end = placed.offset + u64::from(placed.member.bytes);
        Self { source, at: placed.offset, end, buffer: Vec::new(), taken: 0 }
    }

    /// The next line without its end; `None` behind the last.
    pub(super) fn next_line(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut searched = 0;
        loop {
            let rest = self.buffer.get(self.taken..).unwrap_or_default();
            let found = rest.iter().skip(searched).position(|byte| *byte == b'\n');
            if let Some(length) = found.map(|found| found + searched) {
                let line = rest.get(..length).unwrap_or_default().to_vec();
                self.taken += length + 1;
                return Ok(Some(line));
            }
            searched = rest.len();
            if self.at == self.end {
                return if rest.is_empty() { Ok(None) } else { Err("the last line has no end".to_owned()) };
            }
            if searched > LINE_MAX_BYTES {
                return Err(format!("a line is longer than {LINE_MAX_BYTES} bytes"));
            }
            self.refill()?;
        }
    }

    fn refill(&mut self) -> Result<(), String> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let step = usize::try_from(self.end - self.at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let before = self.buffer.len();
        self.buffer.resize(before + step, 0);
        let fresh = self.buffer.get_mut(before..).unwrap_or_default();
        self.source.read_exact_at(fresh, self.at).map_err(|e| e.to_string())?;
        self.at += step as u64;
        Ok(())
    }
}
