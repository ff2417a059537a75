//! Bitbucket's UUIDs of what the forge knows by a number: the same number always gives the same one.

use sha2::{Digest as _, Sha256};

pub(super) fn of_repository(id: u64) -> String {
    braced("repository", id)
}

pub(super) fn of_account(id: u64) -> String {
    braced("account", id)
}

/// A commit status has one as well.
pub(super) fn of_status(id: u64) -> String {
    braced("status", id)
}

pub(super) fn of_hook(id: u64) -> String {
    braced("hook", id)
}

/// As an address has it.
pub(super) fn in_path(uuid: &str) -> String {
    uuid.replace('{', "%7B").replace('}', "%7D")
}

/// Of the eighth version, which leaves its bits to whoever makes one; Bitbucket writes braces around it.
fn braced(kind: &str, id: u64) -> String {
    let digest = Sha256::digest(format!("{kind}:{id}"));
    let bits = digest.iter().take(16).fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
    let bits = (bits & !(0xf_u128 << 76)) | (0x8_u128 << 76);
    let bits = (bits & !(0x3_u128 << 62)) | (0x2_u128 << 62);
    let (first, second, third) = (bits >> 96, (bits >> 80) & 0xffff, (bits >> 64) & 0xffff);
    let (fourth, fifth) = ((bits >> 48) & 0xffff, bits & 0xffff_ffff_ffff);
    format!("{{{first:08x}-{second:04x}-{third:04x}-{fourth:04x}-{fifth:012x}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_form_and_is_nobody_elses() {
        let uuid = of_repository(9_007_199_254_740_993);
        assert_eq!(uuid, of_repository(9_007_199_254_740_993));
        let parts: Vec<usize> = uuid.trim_matches(['{', '}']).split('-').map(str::len).collect();
        assert_eq!((uuid.len(), parts), (38, vec![8, 4, 4, 4, 12]), "{uuid}");
        assert_eq!((uuid.chars().nth(15), uuid.to_ascii_lowercase()), (Some('8'), uuid.clone()));
        assert_ne!(uuid, of_repository(9_007_199_254_740_994));
        assert_ne!(uuid, of_account(9_007_199_254_740_993));
    }
}
