//! `pullyard events sign`: signs an API Gateway event.

use crate::client::{CliError, Global, Screen, forge_parser, token};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pullyard_domain::project::ForgeKind;
use pullyard_forge::webhook::Secret;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Sign an event: adds the signature to a webhook, and the token to other requests.
///
/// The signature covers the bytes of the body: sign an event again after each change. A request to a path outside
/// /webhooks/ gets the token of --token, or of the current context.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard events sign events/webhook.review.json --secret-env HOOK_SECRET -o event.json
  pullyard events sign events/webhook.review.json --secret-file secret.txt > event.json
  pullyard events sign events/tickets.ignored.json > event.json")]
pub(crate) struct Sign {
    /// Event of API Gateway (payload format 2.0).
    file: PathBuf,
    /// Environment variable with the webhook's secret.
    #[arg(long, value_name = "NAME", conflicts_with = "secret_file")]
    secret_env: Option<String>,
    /// File with the webhook's secret; one line break at the end is removed.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Forge whose signature is added (default: from the event's path).
    #[arg(long, value_name = "FORGE", ignore_case = true, value_parser = forge_parser())]
    forge: Option<ForgeKind>,
    /// Write the event to this file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Sign {
    pub(super) fn run(self, global: &Global, screen: &Screen) -> Result<(), CliError> {
        let event = read(&self.file)?;
        let mut event: Value = serde_json::from_slice(&event)
            .map_err(|error| CliError::usage(format!("{} is not JSON: {error}", self.file.display())))?;
        let (header, value) = match self.forge.or_else(|| detect_forge(&event)) {
            Some(forge) => (signature_header(forge), self.secret()?.sign(&decode_body(&event)?)),
            None => ("authorization", format!("Bearer {}", token(global)?)),
        };
        set_header(&mut event, header, value)?;
        let Some(out) = self.out else { return screen.print_line(&format!("{event:#}")) };
        fs::write(&out, format!("{event:#}\n"))
            .map_err(|error| CliError::failed(format!("cannot write {}: {error}", out.display())))
    }

    fn secret(&self) -> Result<Secret, CliError> {
        let secret = match (&self.secret_env, &self.secret_file) {
            (Some(name), _) => std::env::var_os(name)
                .map(|value| value.to_string_lossy().into_owned().into_bytes())
                .ok_or_else(|| CliError::usage(format!("the variable {name} is not set")))?,
            (None, Some(file)) => trim_line_end(read(file)?),
            (None, None) => {
                return Err(CliError::usage("the secret of the webhook is missing, and the API returns no secrets")
                    .with_help("give its variable with --secret-env, or its file with --secret-file"));
            }
        };
        if secret.is_empty() {
            return Err(CliError::usage("the secret of the webhook is empty"));
        }
        Ok(Secret::new(secret))
    }
}

fn detect_forge(event: &Value) -> Option<ForgeKind> {
    let path = event["rawPath"].as_str().unwrap_or_default();
    let (_, hook) = path.split_once("/webhooks/")?;
    ForgeKind::from_code(hook.split('/').next().unwrap_or_default())
}

fn signature_header(forge: ForgeKind) -> &'static str {
    match forge {
        ForgeKind::GitHub => "x-hub-signature-256",
        ForgeKind::Bitbucket => "x-hub-signature",
    }
}

fn decode_body(event: &Value) -> Result<Vec<u8>, CliError> {
    let body = event["body"].as_str().unwrap_or_default();
    if event["isBase64Encoded"] != Value::Bool(true) {
        return Ok(body.as_bytes().to_vec());
    }
    BASE64.decode(body).map_err(|error| CliError::usage(format!("the event's body is not base64: {error}")))
}

/// Ignores case: API Gateway lower-cases header names, but events written by hand may not.
fn set_header(event: &mut Value, name: &str, value: String) -> Result<(), CliError> {
    let headers = event.get_mut("headers").and_then(Value::as_object_mut);
    let headers = headers.ok_or_else(|| {
        CliError::usage("the event has no headers")
            .with_help("sign an event of API Gateway, such as events/webhook.review.json")
    })?;
    headers.retain(|header, _| !header.eq_ignore_ascii_case(name));
    headers.insert(name.to_owned(), Value::String(value));
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(|error| CliError::usage(format!("cannot read {}: {error}", path.display())))
}

fn trim_line_end(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_forge::webhook::verify;
    use serde_json::json;

    #[test]
    fn signature_verifies_over_the_decoded_body() {
        let secret = Secret::new("s");
        for (body, encoded, bytes) in [
            (json!("{\"a\": \"größer\"}"), json!(false), "{\"a\": \"größer\"}".as_bytes()),
            (json!("//4Agf8="), json!(true), &[0xff, 0xfe, 0x00, 0x81, 0xff]),
            (json!(null), json!(null), b""),
        ] {
            let event = json!({ "body": body, "isBase64Encoded": encoded });
            let signature = secret.sign(&decode_body(&event).unwrap());
            assert_eq!(verify(std::slice::from_ref(&secret), bytes, Some(&signature)), Ok(0), "{event}");
        }
        assert!(decode_body(&json!({ "body": "{}", "isBase64Encoded": true })).is_err());
    }

    #[test]
    fn forge_is_read_from_the_path() {
        for (path, forge) in [
            ("/webhooks/github/acme", Some(ForgeKind::GitHub)),
            ("/prod/webhooks/bitbucket/shop", Some(ForgeKind::Bitbucket)),
            ("/webhooks/other/acme", None),
            ("/v1/tickets/events", None),
        ] {
            assert_eq!(detect_forge(&json!({ "rawPath": path })), forge, "{path}");
        }
        assert_eq!(detect_forge(&json!([])), None);
    }

    #[test]
    fn header_is_replaced_regardless_of_case() {
        let mut event = json!({ "headers": { "X-Hub-Signature-256": "<signature>", "accept": "*/*" } });
        set_header(&mut event, "x-hub-signature-256", "sha256=1".into()).unwrap();
        assert_eq!(event, json!({ "headers": { "x-hub-signature-256": "sha256=1", "accept": "*/*" } }));
        for other in [json!({ "Records": [] }), json!([]), json!("text")] {
            assert!(set_header(&mut other.clone(), "authorization", String::new()).is_err(), "{other}");
        }
    }

    #[test]
    fn secret_file_loses_one_line_end() {
        for (file, secret) in [("s", "s"), ("s\n", "s"), ("s\r\n", "s"), ("s\n\n", "s\n"), ("\n", "")] {
            assert_eq!(trim_line_end(file.into()), secret.as_bytes(), "{file:?}");
        }
    }
}
