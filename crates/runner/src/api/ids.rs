//! Creates random ids: 26 random characters in the form of a ULID, and UUIDs for programs that require them.

use crate::Error;
use pullyard_domain::text::id::{ClaimId, FinishId, InstanceId};
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
    let (high, low): (u64, u64) = rand::rng().random();
    let (version, variant) = ((high & 0x0fff) | 0x4000, ((low >> 48) & 0x3fff) | 0x8000);
    let (first, second, last) = (high >> 32, (high >> 16) & 0xffff, low & 0xffff_ffff_ffff);
    format!("{first:08x}-{second:04x}-{version:04x}-{variant:04x}-{last:012x}")
}

fn random_id() -> String {
    let mut rng = rand::rng();
    (0..26).filter_map(|_| LETTERS.get(rng.random_range(0..LETTERS.len()))).map(|letter| char::from(*letter)).collect()
}
