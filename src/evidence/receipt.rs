//! Receipts are C2SP tlog-proofs: an index, an inclusion path, and the signed checkpoint it leads to.

use crate::merkle::Hash;

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// A path in a tree of 2^64 leaves has 64 hashes.
const PATH_HASHES_MAX: usize = 64;
/// A checkpoint with a hundred post-quantum cosignatures stays well below this.
const RECEIPT_BYTES_MAX: usize = 1 << 20;

/// A parsed tlog-proof. Nothing in it is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The `extra` line's bytes: unauthenticated, so never interpreted here.
    pub extra: Option<Vec<u8>>,
    /// The leaf's index.
    pub index: u64,
    /// Audit path, leaf sibling first (RFC 9162 §2.1.3).
    pub path: Vec<Hash>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

/// Why text is not a tlog-proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the receipt: {problem}")]
pub struct ReceiptError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

impl Receipt {
    /// Parses a tlog-proof (C2SP tlog-proof.md).
    ///
    /// # Errors
    /// [`ReceiptError`] with the line.
    pub fn parse(text: &str) -> Result<Self, ReceiptError> {
        use base64::Engine as _;
        let fail = |line, problem| Err(ReceiptError { line, problem });
        if text.len() > RECEIPT_BYTES_MAX {
            return fail(1, "it is longer than 1 MiB");
        }
        let mut line_number = 0;
        let mut rest = text;
        let mut next_line = || {
            line_number += 1;
            let (line, after) = rest
                .split_once('\n')
                .ok_or(ReceiptError { line: line_number, problem: "the text ends before the checkpoint" })?;
            rest = after;
            Ok((line_number, line))
        };
        let (number, header) = next_line()?;
        if header != HEADER {
            return fail(number, "is not \"c2sp.org/tlog-proof@v1\"");
        }
        let (mut number, mut line) = next_line()?;
        let mut extra = None;
        if let Some(encoded) = line.strip_prefix("extra ") {
            match base64::engine::general_purpose::STANDARD.decode(encoded) {
                Ok(bytes) => extra = Some(bytes),
                Err(_) => return fail(number, "\"extra\" is not base64"),
            }
            (number, line) = next_line()?;
        }
        let Some(index) = line.strip_prefix("index ").and_then(parse_decimal) else {
            return fail(number, "is not \"index\" and a decimal number");
        };
        let mut path = Vec::new();
        loop {
            let (number, line) = next_line()?;
            if line.is_empty() {
                break;
            }
            if path.len() == PATH_HASHES_MAX {
                return fail(number, "the path has more than 64 hashes");
            }
            match Hash::from_base64(line) {
                Ok(hash) => path.push(hash),
                Err(_) => return fail(number, "is not a base64 hash of 32 bytes"),
            }
        }
        Ok(Self { extra, index, path, checkpoint: rest.to_owned() })
    }

    /// The text form.
    #[must_use]
    pub fn to_text(&self) -> String {
        use base64::Engine as _;
        use std::fmt::Write as _;
        let mut out = format!("{HEADER}\n");
        // INVARIANT: writing to a String cannot fail, so the results carry nothing.
        if let Some(extra) = &self.extra {
            let _ = writeln!(out, "extra {}", base64::engine::general_purpose::STANDARD.encode(extra));
        }
        let _ = writeln!(out, "index {}", self.index);
        for hash in &self.path {
            let _ = writeln!(out, "{hash}");
        }
        out.push('\n');
        out.push_str(&self.checkpoint);
        out
    }
}

/// A decimal number without sign, spaces or leading zeros.
fn parse_decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    (canonical && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_specification_refuses_is_refused() {
        let hash = Hash([7; 32]);
        let good = format!("{HEADER}\nindex 3\n{hash}\n\nnote");
        assert_eq!(Receipt::parse(&good).map(|r| r.to_text()), Ok(good.clone()));
        let none = format!("{HEADER}\nindex 0\n\nnote");
        assert_eq!(Receipt::parse(&none).map(|r| r.path.len()), Ok(0));
        for (bad, line) in [
            (good.replace("@v1", "@v2"), 1),
            (good.replace("index 3", "index -3"), 2),
            (good.replace("index 3", "index 03"), 2),
            (good.replace("index 3", "index x"), 2),
            (good.replace("index 3\n", ""), 2),
            (good.replace("index", "extra !\nindex"), 2),
            (good.replace(&hash.to_string(), "AAAA"), 3),
            (good.replace("\n\nnote", "\nnote"), 4),
            (format!("{HEADER}\nindex 3\n{}\nnote", format!("{hash}\n").repeat(65)), 67),
        ] {
            assert_eq!(Receipt::parse(&bad).expect_err(&bad).line, line, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn it_never_panics_and_what_it_accepts_it_writes_again(text in "(c2sp.org/tlog-proof@v1\n)?(extra [A-Za-z0-9+/=]{0,8}\n)?(index [0-9-]{1,20}\n)?([A-Za-z0-9+/=\n]{0,90})\n\n?.{0,40}") {
            if let Ok(receipt) = Receipt::parse(&text) {
                prop_assert_eq!(receipt.to_text(), text);
            }
        }
    }
}
