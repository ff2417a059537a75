//! Random ids: the shape of a ULID's 26 characters, all of them random.

use crate::Error;
use pullyard_domain::id::{ClaimId, FinishId, InstanceId};
use rand::RngExt;

/// Crockford's base 32.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

pub(crate) fn claim() -> Result<ClaimId, Error> {
    ClaimId::new(random()).map_err(Error::Id)
}

pub(crate) fn finish() -> Result<FinishId, Error> {
    FinishId::new(random()).map_err(Error::Id)
}

pub(crate) fn instance() -> Result<InstanceId, Error> {
    InstanceId::new(random()).map_err(Error::Id)
}

fn random() -> String {
    let mut numbers = rand::rng();
    (0..26)
        .filter_map(|_| LETTERS.get(numbers.random_range(0..LETTERS.len())))
        .map(|letter| char::from(*letter))
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_ids_differ() {
        assert_eq!(super::random().len(), 26);
        assert_ne!(super::random(), super::random());
        assert!(super::claim().is_ok());
    }
}
