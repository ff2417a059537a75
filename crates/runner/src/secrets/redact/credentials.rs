//! Finds the tokens in a file of credentials.
//! The file also contains ordinary text: dates, scopes and names of plans.

use super::names::is_secret_name;
use super::url_credentials::parse_url_credentials;
use serde_json::Value;
use std::collections::HashMap;

/// Limit for the tokens of a file, because an agent may have written it. Units: values.
const MAX_TOKENS: usize = 64;
/// A longer value is no token. Units: bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// How often a token may contain the same four characters. A long JSON Web Token repeats some a few times.
const MAX_REPETITIONS: usize = 16;
/// Names of secrets in files. As environment variables they have another meaning.
const FILE_SECRET_NAMES: &[&str] = &["pwd", "pin"];
/// Parts with a digit up to this length are versions and sizes. Units: characters.
const LONGEST_NUMBER: usize = 4;

/// The secrets in a value: the tokens of a JSON object, else the whole value. In addition, the credentials in its URLs.
pub(super) fn extract_secrets(value: &str) -> Vec<String> {
    let tokens = parse_tokens(value).filter(|tokens| (1..MAX_TOKENS).contains(&tokens.len()));
    let mut secrets = tokens.unwrap_or_else(|| vec![value.to_owned()]);
    secrets.extend(parse_url_credentials(value));
    secrets
}

/// The tokens in a file, at most `MAX_TOKENS`; `None` if it is no JSON object.
pub(super) fn parse_tokens(text: &str) -> Option<Vec<String>> {
    let read: Value = serde_json::from_str(text).ok().filter(Value::is_object)?;
    let mut tokens = Vec::new();
    collect(&read, "", &mut tokens);
    tokens.truncate(MAX_TOKENS);
    Some(tokens)
}

/// Whether a text repeats four characters more often than any token, which would slow down each search.
pub(super) fn is_repetitive(text: &str) -> bool {
    let mut often = HashMap::<_, usize>::new();
    text.as_bytes().windows(4).any(|part| {
        let before = often.entry(part).or_default();
        *before += 1;
        *before > MAX_REPETITIONS
    })
}

fn collect(value: &Value, name: &str, tokens: &mut Vec<String>) {
    match value {
        Value::String(text) if is_token(name, text) => tokens.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, name, tokens)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| collect(value, name, tokens)),
        _ => {}
    }
}

fn is_token(name: &str, text: &str) -> bool {
    text.len() <= MAX_TOKEN_BYTES
        && (is_secret_name(name) || FILE_SECRET_NAMES.contains(&name) || !is_ordinary_text(text))
}

/// Whether a text is ordinary: a date, a URL, a scope or a plan, but no token.
fn is_ordinary_text(text: &str) -> bool {
    let is_word = |part: &str| {
        part.len() <= LONGEST_NUMBER || part.bytes().all(|byte| byte.is_ascii_alphabetic()) || is_time(part)
    };
    text.contains("://")
        || text.contains(char::is_whitespace)
        || text.split(['-', '_', ':', '.', '/', '@']).all(is_word)
}

fn is_time(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'T' | b'Z' | b'+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codex_credentials_yield_tokens_and_account_id() {
        let signed_in = r#"{
          "OPENAI_API_KEY": null, "auth_mode": "chatgptAuthTokens",
          "tokens": {
            "id_token": "eyJhbGciOiJSUzI1NiJ9.eyJlbWFpbCI6ImEifQ.c2lnbmF0dXJl", "access_token": "planted-access",
            "refresh_token": "rt_planted-refresh", "account_id": "7d0c0e0e-0f3c-4d55-9d2f-3f8a3d6c1a01"
          },
          "last_refresh": "2026-11-21T05:58:13.123456789Z"
        }"#;
        let mut known = extract_secrets(signed_in);
        known.sort_unstable();
        assert_eq!(
            known,
            [
                "7d0c0e0e-0f3c-4d55-9d2f-3f8a3d6c1a01",
                "eyJhbGciOiJSUzI1NiJ9.eyJlbWFpbCI6ImEifQ.c2lnbmF0dXJl",
                "planted-access",
                "rt_planted-refresh",
            ]
        );
    }

    #[test]
    fn claude_credentials_yield_both_tokens() {
        let signed_in = r#"{"claudeAiOauth":{"accessToken":"planted-access","refreshToken":"planted-refresh",
          "expiresAt":1795255200000,"scopes":["user:inference","user:profile"],"subscriptionType":"enterprise",
          "rateLimitTier":"default_claude_max_20x"}}"#;
        assert_eq!(extract_secrets(signed_in), ["planted-access", "planted-refresh"]);
    }

    #[test]
    fn password_field_is_a_secret_despite_common_words() {
        assert_eq!(
            extract_secrets(r#"{"user":"bob-at-work","pass":"correct-horse-battery"}"#),
            ["correct-horse-battery"]
        );
    }

    #[test]
    fn object_with_too_many_tokens_is_one_secret() {
        let many: serde_json::Map<String, Value> = (0..MAX_TOKENS)
            .map(|number| (format!("token_{number}"), Value::from(format!("planted-{number}"))))
            .collect();
        let many = Value::from(many).to_string();
        assert_eq!(extract_secrets(&many).concat(), many);
    }

    #[test]
    fn other_content_is_one_secret() {
        for value in ["planted-secret", "[\"planted\"]", "{broken", "{\"mode\":\"nothing\"}"] {
            assert_eq!(extract_secrets(value), [value]);
        }
    }
}
