//! Edits of valid bytes, as the fuzzer chose them.

/// Bytes of one edit: kind, place (three bytes, counted round the length), value.
const EDIT_BYTES: usize = 5;
const EDITS_MAX: usize = 8;

/// The valid bytes with up to eight edits; `None` where they end up as they were.
pub(crate) fn edited(valid: &[u8], edits: &[u8]) -> Option<Vec<u8>> {
    let mut out = valid.to_vec();
    for edit in edits.as_chunks::<EDIT_BYTES>().0.iter().take(EDITS_MAX) {
        apply(&mut out, *edit);
    }
    (out != valid).then_some(out)
}

fn apply(out: &mut Vec<u8>, [kind, a, b, c, value]: [u8; EDIT_BYTES]) {
    let place = u32::from_be_bytes([0, a, b, c]) as usize;
    if out.is_empty() {
        out.push(value);
        return;
    }
    let at = place % out.len();
    match kind % 7 {
        0 => out[at] = value,
        1 => out[at] ^= 1 << (value % 8),
        2 => out.insert(at, value),
        3 => drop(out.remove(at)),
        // Rarely: most of what it does is to end early.
        4 if value == 0 => out.truncate(at),
        4 => out.push(value),
        // A stretch of the same bytes from elsewhere.
        5 => {
            let length = usize::from(value).min(out.len() - at);
            let from = (at ^ 0x55) % (out.len() - length + 1);
            out.copy_within(from..from + length, at);
        }
        // A sector that was never written.
        _ => {
            let sector = at / 512 * 512;
            let end = (sector + 512).min(out.len());
            out[sector..end].fill(0);
        }
    }
}

/// The valid bytes with one burst of at most four changed bytes, which no CRC-32 misses; `None` where nothing changed.
pub(crate) fn burst(valid: &[u8], edit: &[u8]) -> Option<Vec<u8>> {
    let (place, changes) = edit.split_first_chunk::<3>()?;
    let mut out = valid.to_vec();
    let at = u32::from_be_bytes([0, place[0], place[1], place[2]]) as usize % out.len().max(1);
    for (byte, change) in out.iter_mut().skip(at).zip(changes.iter().take(4)) {
        *byte ^= change;
    }
    (out != valid).then_some(out)
}

/// Splits off the first byte, by which a target chooses among its ways.
pub(crate) fn choice(bytes: &[u8]) -> Option<(u8, &[u8])> {
    bytes.split_first().map(|(choice, rest)| (*choice, rest))
}
