//! SHA-256 as hexadecimal text.

use sha2::{Digest, Sha256};

pub(crate) fn sha256_hex(text: &str) -> String {
    to_hex(Sha256::digest(text).as_slice())
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
