//! Reads a ChatGPT sign-in for the model's proxy, and writes one without secrets for a sandboxed Codex.

use crate::agent::json_lines::text_field;
use crate::agent::model_route::PLACEHOLDER_KEY;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use pullyard_agent_proxy::model::Key;
use pullyard_domain::agent::ModelKey;
use pullyard_domain::text::time::Timestamp;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

pub(super) const CODEX_AUTH: &str = ModelKey::CodexAuth.spec().variable;
/// The address to which Codex sends its requests with a ChatGPT sign-in.
pub(super) const CHATGPT_URL: &str = "https://chatgpt.com/backend-api/codex";
/// Longer than any attempt, so that Codex does not renew the sign-in.
const LIFE_MILLIS: i64 = 30 * 24 * 3600 * 1000;
const CLAIMS: &str = "https://api.openai.com/auth";

/// Errors: a sentence. The proxy does not renew tokens, because that would sign out the operator's own Codex.
pub(super) fn load_key(auth: &Path, now: Timestamp) -> Result<Key, String> {
    let invalid =
        |reason: &str| format!("the sign-in of {CODEX_AUTH} {reason}: run `codex login` again, or use OPENAI_API_KEY");
    let file = fs::read(auth).map_err(|error| invalid(&format!("cannot be read ({error})")))?;
    let file: Value = serde_json::from_slice(&file).map_err(|_| invalid("is no JSON"))?;
    let tokens = file.get("tokens").unwrap_or(&Value::Null);
    let token = text_field(tokens, "access_token").ok_or_else(|| invalid("has no access token"))?;
    let claims = token.split('.').nth(1).and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Value = claims.and_then(|claims| serde_json::from_slice(&claims).ok()).unwrap_or_default();
    let expiry = claims.get("exp").and_then(Value::as_i64).unwrap_or(i64::MAX);
    if expiry.saturating_mul(1_000) <= now.millis() {
        return Err(invalid("has expired"));
    }
    let claimed_account = claims.get(CLAIMS).and_then(|claims| text_field(claims, "chatgpt_account_id"));
    let account = text_field(tokens, "account_id").or(claimed_account).ok_or_else(|| invalid("names no account"))?;
    Ok(Key::ChatGpt { token: token.to_owned(), account: account.to_owned() })
}

/// An `auth.json` that Codex accepts. Codex does not verify the signature of its tokens.
pub(super) fn render_placeholder(now: Timestamp) -> String {
    let part = |claims: Value| BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    let account = json!({ "chatgpt_account_id": PLACEHOLDER_KEY, "chatgpt_plan_type": "pro" });
    let expiry = now.millis().saturating_add(LIFE_MILLIS) / 1_000;
    let claims = json!({ "exp": expiry, "email": "agent@example.com", CLAIMS: account });
    let token = format!("{}.{}.{}", part(json!({ "alg": "none", "typ": "JWT" })), part(claims), part(json!({})));
    let tokens = json!({
        "id_token": token, "access_token": token, "refresh_token": PLACEHOLDER_KEY, "account_id": PLACEHOLDER_KEY,
    });
    json!({ "OPENAI_API_KEY": null, "tokens": tokens, "last_refresh": now.to_string() }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_in_is_loaded_unless_it_expired() {
        let dir = tempfile::tempdir().unwrap();
        let auth = dir.path().join("auth.json");
        let now = Timestamp::from_millis(1_000_000);
        fs::write(&auth, render_placeholder(now)).unwrap();
        let after = |millis| Timestamp::from_millis(now.millis() + millis);
        assert!(load_key(&auth, after(LIFE_MILLIS - 1_000)).is_ok());
        let expired = load_key(&auth, after(LIFE_MILLIS)).unwrap_err();
        assert!(expired.starts_with("the sign-in of PULLYARD_CODEX_AUTH has expired: run `codex login`"), "{expired}");
        for (content, reason) in [("{", "no JSON"), ("{}", "no access token")] {
            fs::write(&auth, content).unwrap();
            assert!(load_key(&auth, now).unwrap_err().contains(reason), "{content}");
        }
    }
}
