//! Verifies that each project's commit signing key has a value in a form that git accepts.
//! Reads the value with the operator's rights; no finding contains any part.

use super::Finding;
use super::secret::{State, restore, set_for_jobs, state};
use crate::aws::Service;
use crate::{Aws, Error};
use futures::future::join_all;
use serde_json::json;

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
/// First bytes of OpenSSH's format, `openssh-key-v1` and a zero byte, in base64.
const OPENSSH: &str = "b3BlbnNzaC1rZXktdjEA";
/// Next bytes of an unencrypted key: the cipher `none` and the first byte of the next length.
const PLAIN: &str = "AAAABG5vbmUA";

#[derive(Clone, Debug)]
pub struct SigningNeed {
    pub project: String,
    pub secret: String,
}

enum Key {
    Without(State),
    Hidden,
    Of(Form),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    Encrypted,
    /// Without the public key, as other programs and older OpenSSH versions write it.
    Foreign,
    Other,
}

impl Form {
    fn of(value: &str) -> Self {
        // The runner trims the value and uses Unix line ends, too.
        let value = value.trim();
        let Some(inner) = value.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)) else {
            let first = value.lines().next().unwrap_or_default().trim_end();
            let is_key = first.starts_with("-----BEGIN ") && first.ends_with("PRIVATE KEY-----") && first != BEGIN;
            return if is_key { Self::Foreign } else { Self::Other };
        };
        let body: String = inner.split_ascii_whitespace().collect();
        match body.strip_prefix(OPENSSH) {
            None => Self::Other,
            Some(rest) if rest.starts_with(PLAIN) => Self::Plain,
            Some(_) => Self::Encrypted,
        }
    }

    fn trouble(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Encrypted => Some("contains a key with a passphrase"),
            Self::Foreign => Some("contains a key that is not in OpenSSH format"),
            Self::Other => Some("does not contain an SSH private key"),
        }
    }
}

pub(super) async fn look(aws: &Aws, needs: &[SigningNeed]) -> Result<Vec<Finding>, Error> {
    let looks = needs.iter().map(|need| async move { Ok::<_, Error>((need, key(aws, &need.secret).await?)) });
    let mut findings = Vec::new();
    for seen in join_all(looks).await {
        let (need, key) = seen?;
        findings.extend(said(need, key));
    }
    if findings.is_empty() {
        let sentence = match needs.is_empty() {
            true => "No project signs its commits.",
            false => "Every commit signing key has a value that git can use.",
        };
        findings.push(Finding::good("signing", sentence));
    }
    Ok(findings)
}

async fn key(aws: &Aws, name: &str) -> Result<Key, Error> {
    let state = state(aws, name).await?;
    if state.trouble().is_some() {
        return Ok(Key::Without(state));
    }
    match aws.json(Service::SecretsManager, "GetSecretValue", &json!({ "SecretId": name })).await {
        Ok(secret) => Ok(Key::Of(Form::of(secret["SecretString"].as_str().unwrap_or_default()))),
        Err(error) if error.is_denied() => Ok(Key::Hidden),
        Err(error) => Err(error),
    }
}

fn said(need: &SigningNeed, key: Key) -> Option<Finding> {
    let SigningNeed { project, secret } = need;
    let named = format!("The secret {secret}, the commit signing key of {project},");
    let set = set_for_jobs(secret, project, " < key");
    let form = match key {
        Key::Without(state) => {
            let what = state.trouble()?;
            let help = match state {
                State::Deleted => restore(secret),
                _ => format!(
                    "{set} To stop signing commits: `pullyard settings set commits.signing_secret=null --project \
                     {project}`."
                ),
            };
            return Some(Finding::wrong("signing", format!("{named} {what}."), help));
        }
        Key::Hidden => {
            let sentence =
                format!("{named} has a value, but these credentials may not read it, so its format is unknown.");
            let help = "Grant `secretsmanager:GetSecretValue` on it to the caller, or check that the first job's \
                        commit is signed.";
            return Some(Finding::warning("signing", sentence, help));
        }
        Key::Of(form) => form,
    };
    let what = form.trouble()?;
    let help = match form {
        Form::Encrypted | Form::Foreign => {
            format!("Convert a copy of it with `ssh-keygen -p -N '' -f key`. {set}")
        }
        _ => format!(
            "Create one with `ssh-keygen -t ed25519 -N '' -f key`, and add key.pub to the forge as a signing key. \
             {set}"
        ),
    };
    Some(Finding::wrong("signing", format!("{named} {what}."), help))
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
            (plain.clone(), Form::Plain),
            (plain.replace('\n', "\r\n"), Form::Plain),
            (format!("\n {}", plain.trim_end()), Form::Plain),
            (encrypted, Form::Encrypted),
            (plain.replace("OPENSSH", "RSA"), Form::Foreign),
            (plain.replace("OPENSSH ", ""), Form::Foreign),
            (armoured("bm9uZQ"), Form::Other),
            (plain.replace(END, ""), Form::Other),
            (format!("ssh-ed25519 {OPENSSH}"), Form::Other),
            (String::new(), Form::Other),
        ] {
            assert_eq!(Form::of(&value), form, "{value}");
        }
    }

    #[test]
    fn finding_about_a_signing_key_names_its_fix() {
        let need = SigningNeed { project: "acme".into(), secret: "pullyard/job/signing".into() };
        assert_eq!(said(&need, Key::Of(Form::Plain)), None);
        let named = "The secret pullyard/job/signing, the commit signing key of acme,";
        for (key, what, help) in [
            (Key::Without(State::Missing), "does not exist.", "`pullyard secrets set signing --for-jobs < key`"),
            (
                Key::Without(State::Deleted),
                "is marked for deletion.",
                "restore-secret --secret-id pullyard/job/signing",
            ),
            (Key::Of(Form::Encrypted), "contains a key with a passphrase.", "ssh-keygen -p -N '' -f key"),
            (Key::Of(Form::Foreign), "contains a key that is not in OpenSSH format.", "ssh-keygen -p -N '' -f key"),
            (Key::Of(Form::Other), "does not contain an SSH private key.", "ssh-keygen -t ed25519 -N '' -f key"),
        ] {
            let finding = said(&need, key).unwrap();
            assert_eq!(finding.sentence, format!("{named} {what}"));
            assert!(finding.help.as_deref().unwrap().contains(help), "{finding:?}");
        }
    }
}
