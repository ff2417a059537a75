//! Creates random ids: 26 random characters in the form of a ULID, and UUIDs for programs that require them.

use crate::Error;
use pullyard_domain::id::{ClaimId, FinishId, InstanceId};
use rand::RngExt;

const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

pub(crate) fn new_claim_id() -> Result<ClaimId, Error> {
    ClaimId::new(random_id()).map_err(Error::Id)
}

pub(crate) fn new_finish_id() -> Result<FinishId, Error> {
    FinishId::new(random_id()).map_err(Error::Id)
}

pub(crate) fn new_instance_id() -> Result<InstanceId, Error> {
    InstanceId::new(random_id()).map_err(Error::Id)
}

pub(crate) fn new_uuid() -> String {
    let number: u128 = rand::rng().random();
    let number = (number & !(0xf000 << 64) & !(0xc000 << 48)) | (0x4000 << 64) | (0x8000 << 48);
    let hex = format!("{number:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

fn random_id() -> String {
    let mut numbers = rand::rng();
    (0..26)
        .filter_map(|_| LETTERS.get(numbers.random_range(0..LETTERS.len())))
        .map(|letter| char::from(*letter))
        .collect()
}
