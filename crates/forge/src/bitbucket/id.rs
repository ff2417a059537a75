//! Derives numeric ids from Bitbucket's UUIDs.

use sha2::{Digest as _, Sha256};

use crate::Time;

/// Largest integer that every JSON parser reads exactly.
const MAX_ID: u64 = (1 << 53) - 1;

pub(crate) fn uuid_to_id(uuid: &str) -> u64 {
    hash_to_id(Sha256::digest(normalize_uuid(uuid).as_bytes()).iter())
}

/// Derives the id of a verdict, which Bitbucket does not number: the same for webhooks and the activity, below 2^53.
pub(crate) fn review_id(pull_request: u64, account_uuid: &str, date: Time) -> u64 {
    let mut hash = Sha256::new();
    for part in [pull_request.to_string(), normalize_uuid(account_uuid), date.millis().to_string()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash_to_id(hash.finalize().iter())
}

fn normalize_uuid(uuid: &str) -> String {
    uuid.trim().trim_start_matches('{').trim_end_matches('}').to_ascii_lowercase()
}

fn hash_to_id<'a>(hash: impl Iterator<Item = &'a u8>) -> u64 {
    hash.take(8).fold(0_u64, |id, byte| (id << 8) | u64::from(*byte)) & MAX_ID
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_id_ignores_case_and_braces() {
        let uuid = "1fef5fec-1660-40e2-ac86-735082b94b74";
        for written in
            [uuid.to_owned(), format!("{{{uuid}}}"), uuid.to_uppercase(), format!("{{{}}}", uuid.to_uppercase())]
        {
            assert_eq!(uuid_to_id(&written), 5_113_867_703_429_015, "{written}");
        }
        assert_ne!(uuid_to_id("1fef5fec-1660-40e2-ac86-735082b94b75"), uuid_to_id(uuid));
    }

    #[test]
    fn ids_stay_below_2_to_the_53() {
        for n in 0..1_000 {
            assert!(uuid_to_id(&format!("{{{n:032x}}}")) < 1 << 53);
            assert!(review_id(n, "{1}", Time::from_millis(1)) < 1 << 53);
        }
    }

    #[test]
    fn review_id_ignores_spelling_and_differs_by_every_part() {
        let at = |text: &str| Time::parse(text).unwrap();
        let uuid = "aaaaaaaa-1660-40e2-ac86-735082b94b74";
        for (reviewer, when) in [
            (format!("{{{uuid}}}"), "2026-11-20T12:04:01.123456+00:00"),
            (uuid.to_uppercase(), "2026-11-20T13:04:01.123+01:00"),
        ] {
            assert_eq!(review_id(7, &reviewer, at(when)), 3_397_496_730_342_225, "{reviewer} {when}");
        }
        let other = [
            review_id(8, uuid, at("2026-11-20T12:04:01.123Z")),
            review_id(7, "aaaaaaaa-1660-40e2-ac86-735082b94b75", at("2026-11-20T12:04:01.123Z")),
            review_id(7, uuid, at("2026-11-20T12:04:01.124Z")),
            // The same concatenated characters, split elsewhere.
            review_id(7_795, "aaaaaaaa-1660-40e2-ac86-735082b94b74", Time::from_millis(1)),
            review_id(7, "795aaaaaaaa-1660-40e2-ac86-735082b94b74", Time::from_millis(1)),
        ];
        let apart: std::collections::BTreeSet<u64> = other.into_iter().chain([3_397_496_730_342_225]).collect();
        assert_eq!(apart.len(), 6);
    }
}
