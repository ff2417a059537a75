//! Verifies that each project's commit signing key has a value in a form that git accepts.
//! Reads the value with the operator's rights; no finding contains any part.

use super::Finding;
use super::secret::{SecretState, load_state, restore_help, set_help};
use crate::aws::Service;
use crate::{Aws, Error};
use futures::future::try_join_all;
use serde_json::json;

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
/// First bytes of OpenSSH's format, `openssh-key-v1` and a zero byte, in base64.
const OPENSSH_PREFIX: &str = "b3BlbnNzaC1rZXktdjEA";
/// Next bytes of an unencrypted key: the cipher `none` and the first byte of the next length.
const UNENCRYPTED_PREFIX: &str = "AAAABG5vbmUA";

#[derive(Clone, Debug)]
pub struct SigningRequirement {
    pub project: String,
    pub secret: String,
}

enum KeyState {
    Missing(SecretState),
    AccessDenied,
    Readable(KeyFormat),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyFormat {
    Unencrypted,
    Encrypted,
    /// Without the public key, as other programs and older OpenSSH versions write it.
    NotOpenSsh,
    Invalid,
}

impl KeyFormat {
    fn parse(value: &str) -> Self {
        // The runner trims the value and uses Unix line ends, too.
        let value = value.trim();
        let Some(inner) = value.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)) else {
            let first = value.lines().next().unwrap_or_default().trim_end();
            let is_key = first.starts_with("-----BEGIN ") && first.ends_with("PRIVATE KEY-----") && first != BEGIN;
            return if is_key { Self::NotOpenSsh } else { Self::Invalid };
        };
        let body: String = inner.split_ascii_whitespace().collect();
        match body.strip_prefix(OPENSSH_PREFIX) {
            None => Self::Invalid,
            Some(rest) if rest.starts_with(UNENCRYPTED_PREFIX) => Self::Unencrypted,
            Some(_) => Self::Encrypted,
        }
    }

    fn problem(self) -> Option<&'static str> {
        match self {
            Self::Unencrypted => None,
            Self::Encrypted => Some("contains a key with a passphrase"),
            Self::NotOpenSsh => Some("contains a key that is not in OpenSSH format"),
            Self::Invalid => Some("does not contain an SSH private key"),
        }
    }
}

pub(super) async fn check(aws: &Aws, requirements: &[SigningRequirement]) -> Result<Vec<Finding>, Error> {
    let keys = try_join_all(requirements.iter().map(|requirement| load_key(aws, &requirement.secret))).await?;
    let findings = requirements.iter().zip(keys).filter_map(|(requirement, key)| to_finding(requirement, key));
    let mut findings: Vec<Finding> = findings.collect();
    if findings.is_empty() {
        let sentence = match requirements.is_empty() {
            true => "No project signs its commits.",
            false => "Every commit signing key has a value that git can use.",
        };
        findings.push(Finding::good("signing", sentence));
    }
    Ok(findings)
}

async fn load_key(aws: &Aws, name: &str) -> Result<KeyState, Error> {
    let state = load_state(aws, name).await?;
    if state.problem().is_some() {
        return Ok(KeyState::Missing(state));
    }
    match aws.call_json(Service::SecretsManager, "GetSecretValue", &json!({ "SecretId": name })).await {
        Ok(secret) => Ok(KeyState::Readable(KeyFormat::parse(secret["SecretString"].as_str().unwrap_or_default()))),
        Err(error) if error.is_denied() => Ok(KeyState::AccessDenied),
        Err(error) => Err(error),
    }
}

fn to_finding(requirement: &SigningRequirement, key: KeyState) -> Option<Finding> {
    let SigningRequirement { project, secret } = requirement;
    let subject = format!("The secret {secret}, the commit signing key of {project},");
    let set = set_help(secret, project, " < key");
    let format = match key {
        KeyState::Missing(state) => {
            let problem = state.problem()?;
            let help = match state {
                SecretState::Deleted => restore_help(secret),
                _ => format!(
                    "{set} To stop signing commits: `pullyard settings set commits.signing_secret=null --project \
                     {project}`."
                ),
            };
            return Some(Finding::wrong("signing", format!("{subject} {problem}."), help));
        }
        KeyState::AccessDenied => {
            let sentence =
                format!("{subject} has a value, but these credentials may not read it, so its format is unknown.");
            let help = "Grant `secretsmanager:GetSecretValue` on it to the caller, or check that the first job's \
                        commit is signed.";
            return Some(Finding::warning("signing", sentence, help));
        }
        KeyState::Readable(format) => format,
    };
    let problem = format.problem()?;
    let help = match format {
        KeyFormat::Encrypted | KeyFormat::NotOpenSsh => {
            format!("Convert a copy of it with `ssh-keygen -p -N '' -f key`. {set}")
        }
        _ => format!(
            "Create one with `ssh-keygen -t ed25519 -N '' -f key`, and add key.pub to the forge as a signing key. \
             {set}"
        ),
    };
    Some(Finding::wrong("signing", format!("{subject} {problem}."), help))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armoured(body: &str) -> String {
        format!("{BEGIN}\n{body}\n{END}\n")
    }

    #[test]
    fn key_format_is_detected_with_any_line_ending() {
        // First lines of `ssh-keygen -t ed25519`, without and with a passphrase.
        let plain = armoured("b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\nQyNTUxOQ");
        let encrypted = armoured("b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABB5Lk5khg\nQyNTUxOQ");
        for (value, form) in [
            (plain.clone(), KeyFormat::Unencrypted),
            (plain.replace('\n', "\r\n"), KeyFormat::Unencrypted),
            (format!("\n {}", plain.trim_end()), KeyFormat::Unencrypted),
            (encrypted, KeyFormat::Encrypted),
            (plain.replace("OPENSSH", "RSA"), KeyFormat::NotOpenSsh),
            (plain.replace("OPENSSH ", ""), KeyFormat::NotOpenSsh),
            (armoured("bm9uZQ"), KeyFormat::Invalid),
            (plain.replace(END, ""), KeyFormat::Invalid),
            (format!("ssh-ed25519 {OPENSSH_PREFIX}"), KeyFormat::Invalid),
            (String::new(), KeyFormat::Invalid),
        ] {
            assert_eq!(KeyFormat::parse(&value), form, "{value}");
        }
    }

    #[test]
    fn finding_about_a_signing_key_names_its_fix() {
        let need = SigningRequirement { project: "acme".into(), secret: "pullyard/job/signing".into() };
        assert_eq!(to_finding(&need, KeyState::Readable(KeyFormat::Unencrypted)), None);
        let named = "The secret pullyard/job/signing, the commit signing key of acme,";
        for (key, problem, help) in [
            (
                KeyState::Missing(SecretState::Missing),
                "does not exist.",
                "`pullyard secrets set signing --for-jobs < key`",
            ),
            (
                KeyState::Missing(SecretState::Deleted),
                "is marked for deletion.",
                "restore-secret --secret-id pullyard/job/signing",
            ),
            (
                KeyState::Readable(KeyFormat::Encrypted),
                "contains a key with a passphrase.",
                "ssh-keygen -p -N '' -f key",
            ),
            (
                KeyState::Readable(KeyFormat::NotOpenSsh),
                "contains a key that is not in OpenSSH format.",
                "ssh-keygen -p -N '' -f key",
            ),
            (
                KeyState::Readable(KeyFormat::Invalid),
                "does not contain an SSH private key.",
                "ssh-keygen -t ed25519 -N '' -f key",
            ),
        ] {
            let finding = to_finding(&need, key).unwrap();
            assert_eq!(finding.sentence, format!("{named} {problem}"));
            assert!(finding.help.as_deref().unwrap().contains(help), "{finding:?}");
        }
    }
}
