//! Signs JWTs with an App's private key.

use std::sync::Arc;

use aws_lc_rs::{rand::SystemRandom, rsa::KeyPair, signature::RSA_PKCS1_SHA256};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::json;

use crate::{Error, Token};

/// Tolerated clock difference between us and GitHub. Units: seconds.
const CLOCK_SKEW_SECS: u64 = 60;
/// Lifetime of a JWT; GitHub's limit is ten minutes. Units: seconds.
const JWT_LIFETIME_SECS: u64 = 540;

#[derive(Clone)]
pub(super) struct AppKey(Arc<KeyPair>);

impl std::fmt::Debug for AppKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AppKey([redacted])")
    }
}

impl AppKey {
    /// Parses PKCS#1, which GitHub issues, or PKCS#8. Errors: `Settings`, without any of the input.
    pub(super) fn from_pem(pem: &str) -> Result<Self, Error> {
        let refuse = |reason: &str| Error::Settings { reason: format!("the App's private key {reason}") };
        let pair = match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
            Ok(PrivateKeyDer::Pkcs1(der)) => KeyPair::from_der(der.secret_pkcs1_der()),
            Ok(PrivateKeyDer::Pkcs8(der)) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            Ok(_) => return Err(refuse("is not an RSA key")),
            Err(_) => return Err(refuse("is not PEM text")),
        };
        pair.map(|pair| Self(Arc::new(pair))).map_err(|_| refuse("is not an RSA key of 2048 bits or more"))
    }

    /// `id` must be unique per JWT.
    pub(super) fn jwt(&self, issuer: &str, now: u64, id: u128) -> Result<Token, Error> {
        let head = json!({ "alg": "RS256", "typ": "JWT" });
        // GitHub documents the App's id as a number, but accepts both kinds of issuer as text.
        let issued_at = now.saturating_sub(CLOCK_SKEW_SECS);
        let claims = json!({ "iat": issued_at, "exp": issued_at + JWT_LIFETIME_SECS, "iss": issuer, "jti": format!("{id:032x}") });
        let part = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&head), part(&claims));
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| Error::Settings { reason: "signing with the App's private key failed".to_owned() })?;
        Ok(Token::new(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))))
    }
}
