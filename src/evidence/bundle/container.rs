//! The container: a zip file (PKWARE APPNOTE 6.3.10) of which nothing is left to choice.
//!
//! Members are stored, in a fixed order, all with the same time, mode and flags; there is no data descriptor, no extra
//! field, no comment, no zip64. So the bytes of a container follow from its members' names and contents, and a reader
//! accepts exactly what the writer writes: it makes each header again and compares. What hides in the slack of other
//! archives (members twice, overlapping, behind or before the data, names that lead elsewhere, links, bombs) cannot be
//! written down in this one.

use sha2::{Digest as _, Sha256};

/// The one directory that everything lies in (RFC 8493 §5).
pub const BASE: &str = "foreseal-bundle/";
/// Members, a limit of the format without zip64.
pub const MEMBERS_MAX: usize = 65_535;
const NAME_MAX_BYTES: usize = 200;
const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
const END_BYTES: u64 = 22;
const CHUNK_BYTES: usize = 64 * 1024;
/// 1980-01-01, the first day that the format knows.
const DOS_DATE: u16 = 0x0021;
/// A regular file of everybody's to read, as Unix has it.
const MODE: u32 = 0o100_644 << 16;

/// Where a bundle is read from.
pub trait ByteSource {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn length(&self) -> std::io::Result<u64>;

    /// Fills the buffer from `offset` on.
    ///
    /// # Errors
    /// What the system says.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()>;
}

impl ByteSource for [u8] {
    fn length(&self) -> std::io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        let end = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let from = usize::try_from(offset).map_err(|_| end())?;
        let to = from.checked_add(buffer.len()).ok_or_else(end)?;
        buffer.copy_from_slice(self.get(from..to).ok_or_else(end)?);
        Ok(())
    }
}

/// A member, by its name below [`BASE`] and what its content hashes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path below the base directory.
    pub name: String,
    /// Bytes of its content.
    pub bytes: u32,
    /// CRC-32 of its content.
    pub crc32: u32,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
}

/// A member in a container that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The member.
    pub member: Member,
    /// Where its content begins.
    pub offset: u64,
}

/// Digests content as it comes.
#[derive(Default)]
pub struct ContentDigest {
    bytes: u64,
    crc32: crc32fast::Hasher,
    sha256: Sha256,
}

impl ContentDigest {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        self.crc32.update(bytes);
        self.sha256.update(bytes);
    }

    /// The member with this name and the content taken. `None` beyond 4 GiB.
    #[must_use]
    pub fn finish(self, name: &str) -> Option<Member> {
        Some(Member {
            name: name.to_owned(),
            bytes: u32::try_from(self.bytes).ok()?,
            crc32: self.crc32.finalize(),
            sha256: self.sha256.finalize().into(),
        })
    }
}

impl Member {
    /// The member with this name and content. `None` beyond 4 GiB.
    #[must_use]
    pub fn of(name: &str, content: &[u8]) -> Option<Self> {
        let mut digest = ContentDigest::default();
        digest.update(content);
        digest.finish(name)
    }
}

/// Why bytes are no container, or none that this software writes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// The file could not be read.
    #[error("reading the bundle: {0}")]
    Read(#[from] std::io::Error),
    /// The bytes are not what would have been written.
    #[error("offset {offset}: {problem}")]
    Form {
        /// Where.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
}

fn form(offset: u64, problem: impl Into<String>) -> ContainerError {
    ContainerError::Form { offset, problem: problem.into() }
}

/// What stands before a member's content.
#[must_use]
pub fn local_header(member: &Member) -> Vec<u8> {
    let mut out = Vec::with_capacity(LOCAL_BYTES + BASE.len() + member.name.len());
    out.extend_from_slice(b"PK\x03\x04");
    common_fields(member, &mut out);
    out.extend_from_slice(BASE.as_bytes());
    out.extend_from_slice(member.name.as_bytes());
    out
}

/// Version needed to extract, up to the length of the extra field: the same in both headers.
fn common_fields(member: &Member, out: &mut Vec<u8>) {
    let name = u16::try_from(BASE.len() + member.name.len()).unwrap_or(u16::MAX);
    // Version 1.0, no flags, stored, midnight.
    for word in [10u16, 0, 0, 0, DOS_DATE] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for word in [member.crc32, member.bytes, member.bytes] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&name.to_le_bytes());
    out.extend_from_slice(&0u16.to_le_bytes());
}

/// A member's row in the directory at the end.
fn central_header(member: &Member, offset: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(CENTRAL_BYTES + BASE.len() + member.name.len());
    out.extend_from_slice(b"PK\x01\x02");
    // Made by: Unix, version 3.0 of the specification.
    out.extend_from_slice(&0x031Eu16.to_le_bytes());
    common_fields(member, &mut out);
    // No comment, first disk, binary.
    out.extend_from_slice(&[0; 6]);
    out.extend_from_slice(&MODE.to_le_bytes());
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(BASE.as_bytes());
    out.extend_from_slice(member.name.as_bytes());
    out
}

/// What stands behind the last member's content. `None` for what does not fit without zip64.
#[must_use]
pub fn directory(members: &[Member]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut offset = 0u64;
    for member in members {
        out.extend_from_slice(&central_header(member, u32::try_from(offset).ok()?));
        offset += local_bytes(member) + u64::from(member.bytes);
    }
    let (count, length) = (u16::try_from(members.len()).ok()?, u32::try_from(out.len()).ok()?);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&u32::try_from(offset).ok()?.to_le_bytes());
    out.extend_from_slice(&0u16.to_le_bytes());
    Some(out)
}

fn local_bytes(member: &Member) -> u64 {
    (LOCAL_BYTES + BASE.len() + member.name.len()) as u64
}

/// Bytes of the whole container.
#[must_use]
pub fn total_bytes(members: &[Member]) -> u64 {
    let of = |member: &Member| {
        let central = CENTRAL_BYTES + BASE.len() + member.name.len();
        local_bytes(member) + u64::from(member.bytes) + central as u64
    };
    members.iter().map(of).sum::<u64>() + END_BYTES
}

/// Reads a container to its last byte and digests every member. Holds one buffer and the list of members.
///
/// # Errors
/// [`ContainerError`] for anything that [`local_header`], contents and [`directory`] would not have written.
pub fn read(
    source: &dyn ByteSource,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<Placed>, ContainerError> {
    let length = source.length()?;
    let mut placed: Vec<Placed> = Vec::new();
    let mut at = 0;
    loop {
        let mut signature = [0; 4];
        read_within(source, length, at, &mut signature, "a header")?;
        if signature != *b"PK\x03\x04" {
            break;
        }
        if placed.len() == MEMBERS_MAX {
            return Err(form(at, "more members than fit without zip64"));
        }
        let next = member_at(source, length, at)?;
        at = next.offset + u64::from(next.member.bytes);
        placed.push(next);
        progress(at, length);
    }
    let members: Vec<Member> = placed.iter().map(|placed| placed.member.clone()).collect();
    let expected = directory(&members).ok_or_else(|| form(at, "more than fits without zip64"))?;
    if length != at + expected.len() as u64 {
        return Err(form(at, "the directory of the members does not end where the file ends"));
    }
    let mut offset = at;
    for wanted in expected.chunks(CHUNK_BYTES) {
        let mut found = vec![0; wanted.len()];
        source.read_exact_at(&mut found, offset)?;
        if found != wanted {
            return Err(form(offset, "the directory at the end is not that of the members before it"));
        }
        offset += wanted.len() as u64;
    }
    Ok(placed)
}

/// Reads the member whose header begins at `at`. The header says how long name and content are; whatever else it says
/// is made again from name and content, and compared.
fn member_at(source: &dyn ByteSource, length: u64, at: u64) -> Result<Placed, ContainerError> {
    let mut header = [0; LOCAL_BYTES];
    read_within(source, length, at, &mut header, "a member's header")?;
    // Offsets of the format: uncompressed length at 22, name's length at 26.
    let [.., b0, b1, b2, b3, n0, n1, _, _] = header;
    let (bytes, name_bytes) =
        (u32::from_le_bytes([b0, b1, b2, b3]), usize::from(u16::from_le_bytes([n0, n1])));
    if name_bytes > NAME_MAX_BYTES {
        return Err(form(at, "a member's name is too long"));
    }
    let mut name = vec![0; name_bytes];
    read_within(source, length, at + LOCAL_BYTES as u64, &mut name, "a member's name")?;
    let name = std::str::from_utf8(&name).ok().and_then(|name| name.strip_prefix(BASE));
    let name = name
        .filter(|name| is_plain(name))
        .ok_or_else(|| form(at, "a member's name is not one of a bundle"))?;
    let offset = at + (LOCAL_BYTES + name_bytes) as u64;
    if offset.checked_add(u64::from(bytes)).is_none_or(|end| end > length) {
        return Err(form(at, format!("{name} ends behind the end of the file")));
    }
    let mut digest = ContentDigest::default();
    for_each_chunk(source, offset, u64::from(bytes), &mut |chunk| digest.update(chunk))?;
    let member = digest.finish(name).ok_or_else(|| form(at, format!("{name} is too long")))?;
    let wanted = local_header(&member);
    if wanted.get(..LOCAL_BYTES) != Some(&header) {
        return Err(form(at, format!("the header of {name} is not what its content makes it")));
    }
    Ok(Placed { member, offset })
}

/// Hands out a stretch of a file, piece by piece.
///
/// # Errors
/// What the system says.
pub fn for_each_chunk(
    source: &dyn ByteSource,
    offset: u64,
    bytes: u64,
    take: &mut dyn FnMut(&[u8]),
) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES.min(usize::try_from(bytes).unwrap_or(CHUNK_BYTES))];
    let mut done = 0;
    while done < bytes {
        let step = usize::try_from(bytes - done).unwrap_or(CHUNK_BYTES).min(buffer.len());
        let Some(piece) = buffer.get_mut(..step) else { return Ok(()) };
        source.read_exact_at(piece, offset + done)?;
        take(piece);
        done += step as u64;
    }
    Ok(())
}

/// Letters, digits and `._/-`, no part empty or with a dot before it. That no name is there twice follows from their
/// fixed order, which whoever knows the names checks.
fn is_plain(name: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/');
    name.bytes().all(known) && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
}

fn read_within(
    source: &dyn ByteSource,
    length: u64,
    at: u64,
    buffer: &mut [u8],
    what: &str,
) -> Result<(), ContainerError> {
    if at.checked_add(buffer.len() as u64).is_none_or(|end| end > length) {
        return Err(form(at, format!("the file ends within {what}")));
    }
    Ok(source.read_exact_at(buffer, at)?)
}
