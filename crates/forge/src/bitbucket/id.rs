//! Our numbers for what Bitbucket names by UUIDs.

use sha2::{Digest as _, Sha256};

/// As large as a number in JSON may be for every reader.
const LARGEST: u64 = (1 << 53) - 1;

/// The number of a repository or an account: always the same for its UUID, in whatever way that is written. The first
/// eight bytes of its SHA-256, below 2^53.
pub(super) fn id_of(uuid: &str) -> u64 {
    let plain = uuid.trim().trim_start_matches('{').trim_end_matches('}').to_ascii_lowercase();
    let first = Sha256::digest(plain.as_bytes()).iter().take(8).fold(0_u64, |id, byte| (id << 8) | u64::from(*byte));
    first & LARGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_one_number_however_it_is_written() {
        let uuid = "1fef5fec-1660-40e2-ac86-735082b94b74";
        for written in
            [uuid.to_owned(), format!("{{{uuid}}}"), uuid.to_uppercase(), format!("{{{}}}", uuid.to_uppercase())]
        {
            assert_eq!(id_of(&written), 5_113_867_703_429_015, "{written}");
        }
        assert_ne!(id_of("1fef5fec-1660-40e2-ac86-735082b94b75"), id_of(uuid));
    }

    #[test]
    fn no_number_is_larger_than_json_carries() {
        for n in 0..1_000 {
            assert!(id_of(&format!("{{{n:032x}}}")) < 1 << 53);
        }
    }
}
