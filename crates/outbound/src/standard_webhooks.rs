//! Signatures of outgoing and incoming webhooks by the Standard Webhooks specification, version 1.
//! Source: github.com/standard-webhooks/standard-webhooks, `spec/standard-webhooks.md`.

use crate::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::RngExt as _;
use sha2::Sha256;
use std::fmt;
use std::str::FromStr;

const PREFIX: &str = "whsec_";
const VERSION: &str = "v1,";
const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";
/// Greatest difference between the sender's clock and the local one. Units: seconds.
const TOLERANCE_SECS: u64 = 300;
const MAX_ID_BYTES: usize = 256;

/// A shared secret of 24 to 64 random bytes, written as `whsec_` and base64. Its `Debug` output is redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signing secret is whsec_ and the base64 text of 24 to 64 bytes")]
pub struct SecretError;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("a header is missing: send webhook-id, webhook-timestamp and webhook-signature")]
    Missing,
    #[error("webhook-timestamp differs from the time here by more than 5 minutes")]
    Age,
    #[error("no signature matches: the secret or the body differs")]
    Wrong,
}

impl SigningSecret {
    pub fn generate() -> Self {
        Self(rand::rng().random::<[u8; 32]>().to_vec())
    }

    /// The written form, for the user who configures the other side.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    fn hmac(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut code = match Hmac::<Sha256>::new_from_slice(&self.0) {
            Ok(code) => code,
            Err(_) => unreachable!("HMAC takes keys of any length"),
        };
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            code.update(part);
        }
        code
    }
}

impl FromStr for SigningSecret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.trim().strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
        bytes.filter(|bytes| (24..=64).contains(&bytes.len())).map(Self).ok_or(SecretError)
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret([redacted])")
    }
}

/// The three headers of a message. During a rotation, sign with the new and the old secret.
/// `id` has visible ASCII characters only. `now_secs` is Unix time.
pub fn signed_headers(secrets: &[SigningSecret], id: &str, now_secs: i64, body: &[u8]) -> HeaderMap {
    let timestamp = now_secs.to_string();
    let sign = |secret: &SigningSecret| {
        format!("{VERSION}{}", STANDARD.encode(secret.hmac(id, &timestamp, body).finalize().into_bytes()))
    };
    // One space: the library on PyPI rejects any other separator.
    let signatures = secrets.iter().map(sign).collect::<Vec<_>>().join(" ");
    let fields = [(ID, id), (TIMESTAMP, &timestamp), (SIGNATURE, &signatures)];
    let fields =
        fields.into_iter().filter_map(|(name, value)| Some((name.parse().ok()?, HeaderValue::from_str(value).ok()?)));
    fields.collect()
}

/// Verifies the raw body of a received message in constant time. Returns the message's id, by which a receiver
/// recognizes a repeat.
pub fn verify<'a>(
    secrets: &[SigningSecret],
    headers: &'a HeaderMap,
    body: &[u8],
    now_secs: i64,
) -> Result<&'a str, VerifyError> {
    let field = |name| headers.get(name).and_then(|value| value.to_str().ok()).ok_or(VerifyError::Missing);
    let (id, timestamp, signatures) = (field(ID)?, field(TIMESTAMP)?, field(SIGNATURE)?);
    if id.is_empty() || id.len() > MAX_ID_BYTES {
        return Err(VerifyError::Missing);
    }
    let sent_at = timestamp.parse::<i64>().map_err(|_| VerifyError::Age)?;
    if now_secs.abs_diff(sent_at) > TOLERANCE_SECS {
        return Err(VerifyError::Age);
    }
    let claimed = signatures.split(' ').filter_map(|part| STANDARD.decode(part.strip_prefix(VERSION)?).ok());
    let claimed = claimed.collect::<Vec<_>>();
    let mut matches = false;
    for secret in secrets {
        let code = secret.hmac(id, timestamp, body);
        for claimed in &claimed {
            matches |= code.clone().verify_slice(claimed).is_ok();
        }
    }
    if matches { Ok(id) } else { Err(VerifyError::Wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_783_211;
    const BODY: &[u8] = br#"{"type":"test"}"#;

    fn verified(secrets: &[SigningSecret], headers: &HeaderMap, now_secs: i64) -> Result<String, VerifyError> {
        verify(secrets, headers, BODY, now_secs).map(str::to_owned)
    }

    #[test]
    fn signature_equals_the_example_of_the_specification() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse::<SigningSecret>().unwrap();
        let headers =
            signed_headers(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(headers["webhook-timestamp"], "1614265330");
    }

    #[test]
    fn every_flipped_bit_fails() {
        let secrets = [SigningSecret::generate()];
        let headers = signed_headers(&secrets, "msg_1", NOW, BODY);
        assert_eq!(verified(&secrets, &headers, NOW), Ok("msg_1".to_owned()));
        for bit in 0..BODY.len() * 8 {
            let mut body = BODY.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verify(&secrets, &headers, &body, NOW), Err(VerifyError::Wrong), "bit {bit}");
        }
        let signature = headers["webhook-signature"].to_str().unwrap().to_owned();
        for index in 0..signature.len() {
            let mut changed = signature.clone().into_bytes();
            changed[index] ^= 1;
            let mut headers = headers.clone();
            headers.insert("webhook-signature", HeaderValue::from_bytes(&changed).unwrap());
            assert!(verified(&secrets, &headers, NOW).is_err(), "character {index}");
        }
    }

    #[test]
    fn one_valid_signature_of_several_suffices_during_a_rotation() {
        let (old, new) = (SigningSecret::generate(), SigningSecret::generate());
        let both = signed_headers(&[new.clone(), old.clone()], "msg_1", NOW, BODY);
        assert!(verified(std::slice::from_ref(&old), &both, NOW).is_ok());
        let signed_by_old = signed_headers(std::slice::from_ref(&old), "msg_1", NOW, BODY);
        assert!(verified(&[new.clone(), old], &signed_by_old, NOW).is_ok());
        assert_eq!(verified(&[new], &signed_by_old, NOW), Err(VerifyError::Wrong));
        assert_eq!(verified(&[], &both, NOW), Err(VerifyError::Wrong));
    }

    #[test]
    fn old_early_and_incomplete_messages_are_refused() {
        let secrets = [SigningSecret::generate()];
        let headers = signed_headers(&secrets, "msg_1", NOW, BODY);
        for (offset, expected) in [(-301, false), (-300, true), (300, true), (301, false)] {
            assert_eq!(verified(&secrets, &headers, NOW + offset).is_ok(), expected, "{offset}");
        }
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let mut headers = headers.clone();
            headers.remove(name);
            assert_eq!(verified(&secrets, &headers, NOW), Err(VerifyError::Missing), "{name}");
        }
    }

    #[test]
    fn secrets_have_one_written_form() {
        let secret = SigningSecret::generate();
        assert_eq!(secret.expose().parse(), Ok(secret.clone()));
        assert_eq!(format!("{secret:?}"), "SigningSecret([redacted])");
        for text in
            ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_not base64 at all, of some length"]
        {
            assert_eq!(text.parse::<SigningSecret>(), Err(SecretError), "{text}");
        }
    }
}
