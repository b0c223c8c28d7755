//! What an entry commits to but does not say: the declared bytes, the evaluation, the seeds, the signature.

use zeroize::Zeroizing;

use crate::record::field_tree::Seed;

/// Powers of two from here to [`CLASS_STEP`], then steps of that: what the ciphertext's length shows.
const CLASS_SMALLEST: usize = 512;
const CLASS_STEP: usize = 64 * 1024;

/// One entry's payload, in the clear.
#[derive(Clone)]
pub struct Payload {
    /// The declared document, byte for byte as it came in.
    pub declared: Vec<u8>,
    /// The evaluation, canonical JSON; empty for entries that are not decisions.
    pub evaluation: Vec<u8>,
    /// Opens the commitment to the declared document.
    pub declared_seed: Seed,
    /// Opens the commitment to the evaluation.
    pub evaluation_seed: Seed,
    /// The agent's signature over its statement.
    pub signature: Option<[u8; 64]>,
}

/// A payload's plaintext does not have its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the decrypted payload is not of its form")]
pub struct PayloadFormError;

impl Payload {
    /// The plaintext, padded to its size class so that its length says little.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let signature = self.signature.as_ref().map_or(&[][..], |signature| signature);
        let parts: [&[u8]; 5] = [
            &self.declared,
            &self.evaluation,
            self.declared_seed.as_bytes(),
            self.evaluation_seed.as_bytes(),
            signature,
        ];
        let length: usize = parts.iter().map(|part| part.len() + 4).sum();
        let class = size_class(length);
        // Room for the authentication tag too: encryption is in place and must not reallocate secrets.
        let mut out = Zeroizing::new(Vec::with_capacity(class + 16));
        for part in parts {
            out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(part);
        }
        out.resize(class, 0);
        out
    }

    /// Reads a plaintext.
    ///
    /// # Errors
    /// [`PayloadFormError`]; whatever passed authentication but is not ours.
    pub fn decode(plaintext: &[u8]) -> Result<Self, PayloadFormError> {
        let mut rest = plaintext;
        let declared = take(&mut rest)?.to_vec();
        let evaluation = take(&mut rest)?.to_vec();
        let declared_seed = seed(take(&mut rest)?)?;
        let evaluation_seed = seed(take(&mut rest)?)?;
        let signature = match take(&mut rest)? {
            [] => None,
            bytes => Some(bytes.try_into().map_err(|_| PayloadFormError)?),
        };
        if rest.iter().any(|byte| *byte != 0) {
            return Err(PayloadFormError);
        }
        Ok(Self { declared, evaluation, declared_seed, evaluation_seed, signature })
    }
}

fn take<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], PayloadFormError> {
    let (length, after) = rest.split_first_chunk::<4>().ok_or(PayloadFormError)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| PayloadFormError)?;
    let (part, after) = after.split_at_checked(length).ok_or(PayloadFormError)?;
    *rest = after;
    Ok(part)
}

fn seed(bytes: &[u8]) -> Result<Seed, PayloadFormError> {
    <[u8; 32]>::try_from(bytes).map(Seed::from_bytes).map_err(|_| PayloadFormError)
}

/// The padded length for a plaintext of `length` bytes.
fn size_class(length: usize) -> usize {
    if length <= CLASS_STEP {
        length.next_power_of_two().max(CLASS_SMALLEST)
    } else {
        length.div_ceil(CLASS_STEP) * CLASS_STEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn classes_are_powers_of_two_then_steps() {
        for (length, class) in
            [(0, 512), (513, 1024), (65_536, 65_536), (65_537, 131_072), (131_073, 196_608)]
        {
            assert_eq!(size_class(length), class);
        }
    }

    proptest! {
        #[test]
        fn a_payload_survives_and_its_length_is_a_class(declared in proptest::collection::vec(any::<u8>(), 0..2000),
                evaluation in proptest::collection::vec(any::<u8>(), 0..300), signed: bool) {
            let payload = Payload {
                declared, evaluation, declared_seed: Seed::from_bytes([1; 32]),
                evaluation_seed: Seed::from_bytes([2; 32]), signature: signed.then_some([3; 64]),
            };
            let plaintext = payload.encode();
            prop_assert_eq!(plaintext.len(), size_class(plaintext.len()));
            let read = Payload::decode(&plaintext).expect("own form");
            prop_assert_eq!(&read.declared, &payload.declared);
            prop_assert_eq!(&read.evaluation, &payload.evaluation);
            prop_assert_eq!(read.signature, payload.signature);
        }

        #[test]
        fn other_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Payload::decode(&bytes);
        }
    }
}
