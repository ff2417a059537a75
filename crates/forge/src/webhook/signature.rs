//! The signature of GitHub and of Bitbucket: HMAC-SHA256 of the bytes as they came, keyed with the hook's secret.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// A hook's secret, which can't be printed.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps the secret.
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }

    /// As text, for the call that tells the forge; `None` when it is none.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok().filter(|secret| !secret.is_empty())
    }

    /// The signature that a delivery of this body has, as GitHub's header `X-Hub-Signature-256` gives
    /// it, and Bitbucket's `X-Hub-Signature`.
    pub fn sign(&self, body: &[u8]) -> String {
        let code = self.code(body).finalize().into_bytes();
        format!("{PREFIX}{}", data_encoding::HEXLOWER.encode(&code))
    }

    fn code(&self, body: &[u8]) -> Hmac<Sha256> {
        // Never an error: a key of any length is a key.
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

/// Why a signature doesn't count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// There is none: the hook has no secret.
    #[error("find a signature: the hook has no secret")]
    Missing,
    /// It is no SHA-256 signature.
    #[error("read the signature: it is not sha256= and 64 hexadecimal digits")]
    Malformed,
    /// It was made with another secret, or of another body.
    #[error("verify the signature: it was made with another secret, or of another body")]
    Wrong,
}

const PREFIX: &str = "sha256=";

/// Which of the secrets the signature was made with.
///
/// Every secret is tried, each in constant time, so that how long it takes says nothing about any. An empty
/// secret fits nothing.
pub fn verify(secrets: &[Secret], body: &[u8], signature: Option<&str>) -> Result<usize, SignatureFault> {
    let signature = signature.filter(|signature| !signature.is_empty()).ok_or(SignatureFault::Missing)?;
    let digits = signature.strip_prefix(PREFIX).ok_or(SignatureFault::Malformed)?;
    let claimed = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map_err(|_| SignatureFault::Malformed)?;
    if claimed.len() != 32 {
        return Err(SignatureFault::Malformed);
    }
    let mut fits = None;
    for (index, secret) in secrets.iter().enumerate() {
        let same = secret.code(body).verify_slice(&claimed).is_ok();
        if same && fits.is_none() && !secret.0.is_empty() {
            fits = Some(index);
        }
    }
    fits.ok_or(SignatureFault::Wrong)
}
