//! SHA-256 as hexadecimal text.

use sha2::{Digest, Sha256};

pub(crate) fn sha256_hex(content: impl AsRef<[u8]>) -> String {
    to_hex(Sha256::digest(content).as_slice())
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
