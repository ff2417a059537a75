//! Signs tokens with HMAC-SHA256 and verifies them without a read. A bootstrap token contains stored values only, so
//! that a repeated RunTask has the same parameters.

use crate::Error;
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use pullyard_domain::job::Fence;
use pullyard_domain::text::id::{IntegrationId, JobId, ProjectId};
use pullyard_domain::text::time::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

const BOOTSTRAP: &str = "pyb_";
const LEASE: &str = "pyl_";
const SIGN_IN: &str = "pyc_";
const SESSION: &str = "pys_";
const APP_REQUEST: &str = "pya_";
/// A key shorter than the hash would weaken the HMAC.
const MIN_KEY_BYTES: usize = 32;
const MAX_TOKEN_BYTES: usize = 1_024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    pub job: JobId,
    pub attempt: u32,
    pub dispatch: u32,
    pub expires: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInCode {
    pub token: String,
    /// Unique, so that the code works only once.
    pub nonce: String,
    pub expires: Timestamp,
}

/// A signed-in browser. Each request reads the rights of its token from the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub token: String,
    pub issued: Timestamp,
    pub expires: Timestamp,
}

/// The `state` of a GitHub App that a visitor creates. It protects from another user's App: only the same visitor can
/// return with it, and it ends with the connection that it names. GitHub's code works once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppRequest {
    pub visitor: String,
    pub integration: IntegrationId,
    pub api_url: String,
    pub project: Option<ProjectId>,
    pub expires: Timestamp,
}

#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys { .. }")
    }
}

impl SigningKey {
    pub fn new(secret: &str) -> Result<Self, Error> {
        if secret.len() < MIN_KEY_BYTES {
            return Err(Error::Inconsistent(format!("the signing key has fewer than {MIN_KEY_BYTES} characters")));
        }
        let mac = Hmac::new_from_slice(secret.as_bytes())
            .map_err(|_| Error::Inconsistent("the signing key can't be used".into()))?;
        Ok(Self(mac))
    }

    pub fn sign_bootstrap(&self, bootstrap: &Bootstrap) -> Result<String, Error> {
        self.sign(BOOTSTRAP, bootstrap)
    }

    pub fn verify_bootstrap(&self, token: &str, now: Timestamp) -> Result<Bootstrap, Error> {
        let bootstrap: Bootstrap = self.verify(BOOTSTRAP, token)?;
        if now < bootstrap.expires { Ok(bootstrap) } else { Err(Error::InvalidToken) }
    }

    /// Signs the lease of a claimed attempt. Only the table shows whether it still holds its job.
    pub fn sign_lease(&self, fence: &Fence) -> Result<String, Error> {
        self.sign(LEASE, fence)
    }

    pub fn verify_lease(&self, token: &str) -> Result<Fence, Error> {
        self.verify(LEASE, token)
    }

    pub(crate) fn sign_sign_in_code(&self, code: &SignInCode) -> Result<String, Error> {
        self.sign(SIGN_IN, code)
    }

    pub(crate) fn verify_sign_in_code(&self, code: &str, now: Timestamp) -> Result<SignInCode, Error> {
        let code: SignInCode = self.verify(SIGN_IN, code)?;
        if now < code.expires { Ok(code) } else { Err(Error::InvalidToken) }
    }

    pub(crate) fn sign_session(&self, session: &Session) -> Result<String, Error> {
        self.sign(SESSION, session)
    }

    pub fn verify_session(&self, cookie: &str, now: Timestamp) -> Result<Session, Error> {
        let session: Session = self.verify(SESSION, cookie)?;
        if now < session.expires { Ok(session) } else { Err(Error::InvalidToken) }
    }

    pub fn sign_app_request(&self, request: &AppRequest) -> Result<String, Error> {
        self.sign(APP_REQUEST, request)
    }

    /// Errors: `InvalidToken` if the state is forged or expired, or belongs to another visitor.
    pub fn verify_app_request(&self, state: &str, visitor: &str, now: Timestamp) -> Result<AppRequest, Error> {
        let request: AppRequest = self.verify(APP_REQUEST, state)?;
        if now < request.expires && request.visitor == visitor { Ok(request) } else { Err(Error::InvalidToken) }
    }

    fn sign<T: Serialize>(&self, kind: &str, content: &T) -> Result<String, Error> {
        let json = serde_json::to_vec(content).map_err(|error| Error::Inconsistent(error.to_string()))?;
        let body = BASE64URL_NOPAD.encode(&json);
        let mac = BASE64URL_NOPAD.encode(&self.mac(kind, &body).finalize().into_bytes());
        Ok(format!("{kind}{body}.{mac}"))
    }

    fn verify<T: DeserializeOwned>(&self, kind: &str, token: &str) -> Result<T, Error> {
        let sealed = token.strip_prefix(kind).filter(|_| token.len() <= MAX_TOKEN_BYTES).ok_or(Error::InvalidToken)?;
        let (body, mac) = sealed.split_once('.').ok_or(Error::InvalidToken)?;
        let mac = BASE64URL_NOPAD.decode(mac.as_bytes()).map_err(|_| Error::InvalidToken)?;
        // Verify in constant time, before parsing the body.
        self.mac(kind, body).verify_slice(&mac).map_err(|_| Error::InvalidToken)?;
        let json = BASE64URL_NOPAD.decode(body.as_bytes()).map_err(|_| Error::InvalidToken)?;
        serde_json::from_slice(&json).map_err(|_| Error::InvalidToken)
    }

    /// Signs the kind with the body, so that a bootstrap token cannot pass for a lease.
    fn mac(&self, kind: &str, body: &str) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(kind.as_bytes());
        mac.update(body.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::text::id::ClaimId;

    fn job() -> JobId {
        JobId::for_request(&ProjectId::new("acme").unwrap(), "caller", "key")
    }

    fn fence() -> Fence {
        Fence { job: job(), attempt: 3, claim: ClaimId::new("c1").unwrap() }
    }

    fn keys(secret: char) -> SigningKey {
        SigningKey::new(&secret.to_string().repeat(32)).unwrap()
    }

    #[test]
    fn lease_verifies_only_with_its_key() {
        let lease = keys('a').sign_lease(&fence()).unwrap();
        assert_eq!(keys('a').verify_lease(&lease).unwrap(), fence());
        assert!(keys('b').verify_lease(&lease).is_err());
    }

    #[test]
    fn lease_with_a_changed_character_is_rejected() {
        let lease = keys('a').sign_lease(&fence()).unwrap();
        for at in 0..lease.len() {
            let mut bytes = lease.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).unwrap();
            assert!(keys('a').verify_lease(&forged).is_err(), "{at}");
        }
    }

    #[test]
    fn lease_is_rejected_as_a_bootstrap_token() {
        let lease = keys('a').sign_lease(&fence()).unwrap();
        let disguised = lease.replacen(LEASE, BOOTSTRAP, 1);
        assert!(keys('a').verify_bootstrap(&disguised, Timestamp::from_millis(0)).is_err());
    }

    #[test]
    fn bootstrap_token_is_deterministic_and_expires() {
        let expires = Timestamp::from_millis(1_000);
        let bootstrap = Bootstrap { job: job(), attempt: 1, dispatch: 2, expires };
        let token = keys('a').sign_bootstrap(&bootstrap).unwrap();
        assert_eq!(token, keys('a').sign_bootstrap(&bootstrap).unwrap());
        assert_eq!(keys('a').verify_bootstrap(&token, Timestamp::from_millis(999)).unwrap(), bootstrap);
        assert!(keys('a').verify_bootstrap(&token, expires).is_err());
    }

    #[test]
    fn session_and_sign_in_code_expire_and_are_distinct() {
        let (at, token) = (Timestamp::from_millis, "ab".repeat(32));
        let code = SignInCode { token: token.clone(), nonce: "n1".into(), expires: at(1_000) };
        let session = Session { token, issued: at(0), expires: at(1_000) };
        let (sealed, cookie) = (keys('a').sign_sign_in_code(&code).unwrap(), keys('a').sign_session(&session).unwrap());
        assert_eq!(keys('a').verify_sign_in_code(&sealed, at(999)).unwrap(), code);
        assert_eq!(keys('a').verify_session(&cookie, at(999)).unwrap(), session);
        assert!(keys('a').verify_sign_in_code(&sealed, at(1_000)).is_err());
        assert!(keys('a').verify_session(&cookie, at(1_000)).is_err());
        assert!(keys('b').verify_session(&cookie, at(999)).is_err());
        assert!(keys('a').verify_session(&sealed.replacen(SIGN_IN, SESSION, 1), at(0)).is_err());
        assert!(keys('a').verify_sign_in_code(&cookie.replacen(SESSION, SIGN_IN, 1), at(0)).is_err());
    }

    #[test]
    fn app_request_is_valid_for_its_visitor_until_it_expires() {
        let request = AppRequest {
            visitor: "t1".into(),
            integration: IntegrationId::new("github").unwrap(),
            api_url: "https://api.github.com".into(),
            project: None,
            expires: Timestamp::from_millis(1_000),
        };
        let (key, before) = (keys('a'), Timestamp::from_millis(999));
        let state = key.sign_app_request(&request).unwrap();
        assert_eq!(key.verify_app_request(&state, "t1", before).unwrap(), request);
        assert!(key.verify_app_request(&state, "t2", before).is_err());
        assert!(key.verify_app_request(&state, "t1", request.expires).is_err());
        assert!(keys('b').verify_app_request(&state, "t1", before).is_err());
    }

    #[test]
    fn short_key_is_rejected() {
        for (length, is_good) in [(0, false), (31, false), (32, true)] {
            assert_eq!(SigningKey::new(&"k".repeat(length)).is_ok(), is_good, "{length}");
        }
    }
}
