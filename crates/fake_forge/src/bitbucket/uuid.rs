//! Bitbucket's UUIDs, derived from the forge's numeric ids.

use sha2::{Digest as _, Sha256};

pub(super) fn of_repository(id: u64) -> String {
    derive_uuid("repository", id)
}

pub(super) fn of_account(id: u64) -> String {
    derive_uuid("account", id)
}

pub(super) fn of_hook(id: u64) -> String {
    derive_uuid("hook", id)
}

/// UUID version 8, which allows custom bits, in braces as on Bitbucket.
fn derive_uuid(kind: &str, id: u64) -> String {
    let digest = Sha256::digest(format!("{kind}:{id}"));
    let bits = digest.iter().take(16).fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
    let bits = (bits & !(0xf_u128 << 76)) | (0x8_u128 << 76);
    let bits = (bits & !(0x3_u128 << 62)) | (0x2_u128 << 62);
    let (first, second, third) = (bits >> 96, (bits >> 80) & 0xffff, (bits >> 64) & 0xffff);
    let (fourth, fifth) = ((bits >> 48) & 0xffff, bits & 0xffff_ffff_ffff);
    format!("{{{first:08x}-{second:04x}-{third:04x}-{fourth:04x}-{fifth:012x}}}")
}
