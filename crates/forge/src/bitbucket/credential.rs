//! Credentials for Bitbucket: an access token, or an API token with its account's e-mail address.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::{
    StatusCode,
    header::{ACCEPT, HeaderMap, HeaderValue},
};

use super::error_body;
use crate::{
    Error, Token,
    http_client::{Authorization, ForgeApi, is_web_page},
    vendor::GitLogin,
};

/// An API token begins with its account's e-mail address and a colon.
pub(super) fn git_login(token: &str) -> GitLogin<'_> {
    match token.split_once(':') {
        Some((_email, api_token)) => GitLogin { user: "x-bitbucket-api-token-auth", password: api_token },
        None => GitLogin { user: "x-token-auth", password: token },
    }
}

#[derive(Clone)]
pub(super) struct Credential {
    header: HeaderValue,
    secrets: Vec<Token>,
}

impl Credential {
    pub(super) fn new(token: &Token) -> Result<Self, Error> {
        let refuse = || Error::Settings {
            reason: "the token has invalid characters: only printable ASCII without spaces is allowed".to_owned(),
        };
        let secret = git_login(token.reveal()).password;
        if secret.is_empty() && !token.reveal().is_empty() {
            return Err(Error::Settings { reason: "the token has no text after the colon".to_owned() });
        }
        let secret = Token::new(secret);
        let bearer = secret.bearer().ok_or_else(refuse)?;
        let Some((email, _)) = token.reveal().split_once(':') else {
            return Ok(Self { header: bearer, secrets: vec![secret] });
        };
        if email.is_empty() || !email.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Settings { reason: "the token has no e-mail address before the colon".to_owned() });
        }
        let basic = BASE64_STANDARD.encode(token.reveal());
        let mut header = HeaderValue::from_str(&format!("Basic {basic}")).map_err(|_| refuse())?;
        header.set_sensitive(true);
        Ok(Self { header, secrets: vec![Token::new(basic), secret] })
    }
}

impl ForgeApi for Credential {
    fn authorization(&self) -> Result<Authorization, Error> {
        Ok(Authorization { header: Some(self.header.clone()), secrets: self.secrets.clone() })
    }

    fn headers(&self) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))])
    }

    fn parse_message(body: &[u8]) -> String {
        error_body::parse_message(body)
    }

    fn parse_reason(status: StatusCode, body: &[u8]) -> Option<String> {
        let has_reason =
            matches!(status, StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY);
        has_reason.then(|| error_body::parse_reason(body))
    }

    /// Bitbucket rejects an unknown login with plain text, or without any.
    fn is_error_body(status: StatusCode, body: &[u8]) -> bool {
        error_body::is_error(body) || status == StatusCode::UNAUTHORIZED && !is_web_page(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(token: &str) -> Option<String> {
        let login = Credential::new(&Token::new(token)).ok()?;
        assert!(login.header.is_sensitive());
        Some(login.header.to_str().unwrap().to_owned())
    }

    #[test]
    fn access_token_is_bearer_and_api_token_is_basic() {
        assert_eq!(header("ATCTT3x-abc=1F").as_deref(), Some("Bearer ATCTT3x-abc=1F"));
        let login = git_login("ATCTT3x-abc=1F");
        assert_eq!(login, GitLogin { user: "x-token-auth", password: "ATCTT3x-abc=1F" });
        // printf ann@acme.example:ATATT3x-a:b | base64
        assert_eq!(
            header("ann@acme.example:ATATT3x-a:b").as_deref(),
            Some("Basic YW5uQGFjbWUuZXhhbXBsZTpBVEFUVDN4LWE6Yg==")
        );
        let login = git_login("ann@acme.example:ATATT3x-a:b");
        assert_eq!(login, GitLogin { user: "x-bitbucket-api-token-auth", password: "ATATT3x-a:b" });
    }

    #[test]
    fn token_invalid_as_header_is_rejected() {
        for bad in
            ["", ":", "ann@acme.example:", ":token", "a b", "ann@acme.example:a b", "an n@acme.example:t", "a\nb", "ü"]
        {
            assert!(header(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn token_and_basic_header_are_redacted() {
        let login = Credential::new(&Token::new("ann@acme.example:ATATT3x")).unwrap();
        let proof = login.authorization().unwrap();
        let header = proof.header.unwrap().to_str().unwrap().to_owned();
        let text = format!("who is ATATT3x, {header}, ann@acme.example:ATATT3x?");
        let output = proof.secrets.iter().fold(text, |text, secret| secret.redact(&text));
        assert_eq!(output, "who is [token], Basic [token], ann@acme.example:[token]?");
    }
}
