//! Creates and verifies webhook signatures: HMAC-SHA256 of the raw body with the webhook's secret.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Its `Debug` output is redacted.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok().filter(|secret| !secret.is_empty())
    }

    /// Uses the format of GitHub's `X-Hub-Signature-256` and Bitbucket's `X-Hub-Signature`.
    pub fn sign(&self, body: &[u8]) -> String {
        let code = self.hmac(body).finalize().into_bytes();
        format!("{PREFIX}{}", data_encoding::HEXLOWER.encode(&code))
    }

    fn hmac(&self, body: &[u8]) -> Hmac<Sha256> {
        let mut code = match Hmac::<Sha256>::new_from_slice(&self.0) {
            Ok(code) => code,
            Err(_) => unreachable!("HMAC takes keys of any length"),
        };
        code.update(body);
        code
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("find a signature: set a secret for the webhook at the forge")]
    Missing,
    #[error("parse the signature: it must be sha256= and 64 hexadecimal digits")]
    Malformed,
    #[error("verify the signature: the secret or the body differs")]
    Wrong,
}

const PREFIX: &str = "sha256=";

/// Returns the matching secret's index, in constant time over all secrets. An empty secret never matches.
pub fn verify(secrets: &[Secret], body: &[u8], signature: Option<&str>) -> Result<usize, SignatureError> {
    let signature = signature.filter(|signature| !signature.is_empty()).ok_or(SignatureError::Missing)?;
    let digits = signature.strip_prefix(PREFIX).ok_or(SignatureError::Malformed)?;
    let claimed = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map_err(|_| SignatureError::Malformed)?;
    if claimed.len() != 32 {
        return Err(SignatureError::Malformed);
    }
    let mut matching_index = None;
    for (index, secret) in secrets.iter().enumerate() {
        let matches = secret.hmac(body).verify_slice(&claimed).is_ok();
        if matches && matching_index.is_none() && !secret.0.is_empty() {
            matching_index = Some(index);
        }
    }
    matching_index.ok_or(SignatureError::Wrong)
}
