//! Redacts secrets in everything that leaves this machine.
//! These are the secrets that the attempt received, in the forms that programs write, and all texts with the shape of a
//! well-known token. The callers decide what leaves the machine: `reporter` redacts events, `job` redacts the finish.

mod boundary;
mod credentials;
mod escapes;
mod form_index;
mod forms;
mod line_breaks;
mod names;
mod private_key;
mod scan;
mod segments;
mod shapes;
mod stream;
mod terminal_codes;
mod tokens;
mod url_credentials;

use crate::api::event_draft::EventDraft;
use pullyard_domain::text::failure::Failure;
use scan::Scanner;
use segments::MARK;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

pub(crate) use names::{is_secret_file_name, is_secret_name};
pub(crate) use private_key::PrivateKeyFilter;
pub(crate) use stream::{RedactionStream, SecretSearch};
pub(crate) use tokens::{find_tokens, is_compressed};
pub(crate) use url_credentials::parse_url_credentials;

/// Limit for secrets from an agent's own files, because each secret makes every search slower. Units: bytes.
const MAX_AGENT_SECRET_BYTES: usize = 32 * 1024;

/// Redacts secrets in texts. Clones are cheap and share the known secrets.
#[derive(Clone)]
pub(crate) struct Redactor(Arc<RwLock<KnownSecrets>>);

struct KnownSecrets {
    secrets: BTreeSet<String>,
    /// Total length of the secrets from an agent's files. Units: bytes.
    agent_bytes: usize,
    scanner: Arc<Scanner>,
}

impl KnownSecrets {
    fn add(&mut self, secrets: Vec<String>) {
        let before = self.secrets.len();
        self.secrets.extend(secrets.into_iter().filter(|secret| forms::is_secret(secret)));
        if self.secrets.len() > before {
            self.scanner = Arc::new(Scanner::new(&self.secrets));
        }
    }
}

impl Redactor {
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let secrets = secrets.into_iter().flat_map(|secret| credentials::extract_secrets(&secret));
        let secrets: BTreeSet<String> = secrets.filter(|secret| forms::is_secret(secret)).collect();
        let scanner = Arc::new(Scanner::new(&secrets));
        Self(Arc::new(RwLock::new(KnownSecrets { secrets, agent_bytes: 0, scanner })))
    }

    /// Adds a secret, or the tokens of a file of credentials. A short value is ignored: it would match ordinary text.
    pub(crate) fn add_secret(&self, secret: &str) {
        self.add_secrets(credentials::extract_secrets(secret));
    }

    pub(crate) fn add_file_tokens(&self, text: &str) {
        self.add_secrets(credentials::parse_tokens(text).unwrap_or_default());
    }

    /// Like `add_file_tokens` for a file that the agent can write, up to `MAX_AGENT_SECRET_BYTES` in total.
    pub(crate) fn add_agent_file_tokens(&self, text: &str) {
        self.add_limited(credentials::parse_tokens(text).unwrap_or_default());
    }

    /// Adds tokens that [`find_tokens`] found, up to `MAX_AGENT_SECRET_BYTES` in total.
    pub(crate) fn add_found_tokens(&self, tokens: impl IntoIterator<Item = String>) {
        self.add_limited(tokens.into_iter().collect());
    }

    fn add_limited(&self, mut tokens: Vec<String>) {
        let mut secrets_guard = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let KnownSecrets { secrets, agent_bytes, .. } = &mut *secrets_guard;
        tokens.retain(|token| {
            let is_new = !secrets.contains(token) && *agent_bytes + token.len() <= MAX_AGENT_SECRET_BYTES;
            let is_accepted = is_new && !credentials::is_repetitive(token);
            *agent_bytes += if is_accepted { token.len() } else { 0 };
            is_accepted
        });
        secrets_guard.add(tokens);
    }

    fn add_secrets(&self, secrets: Vec<String>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).add(secrets);
    }

    pub(crate) fn redact_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match stream::redact(&self.scanner(), text.as_bytes()) {
            Some(clean) => Cow::Owned(String::from_utf8_lossy(&clean).into_owned()),
            None => Cow::Borrowed(text),
        }
    }

    /// Redacts a line of output. In JSON, `\u001b` begins a terminal code, so it is decoded for the search.
    pub(crate) fn redact_line<'t>(&self, line: &'t str) -> Cow<'t, str> {
        const ESCAPED: [&str; 2] = ["\\u001b", "\\u001B"];
        if line.contains('\u{1b}') || !ESCAPED.iter().any(|escaped| line.contains(escaped)) {
            return self.redact_text(line);
        }
        let [lower, upper] = ESCAPED;
        let unescaped = line.replace(lower, "\u{1b}").replace(upper, "\u{1b}");
        self.redact_text(&unescaped).replace('\u{1b}', lower).into()
    }

    /// Redacts a text that was cut, and removes an end that may be the beginning of a secret.
    pub(crate) fn redact_prefix(&self, text: &[u8]) -> Vec<u8> {
        self.stream().push(text)
    }

    pub(crate) fn redact_draft(&self, mut draft: EventDraft) -> EventDraft {
        for text in [&mut draft.text, &mut draft.name, &mut draft.path, &mut draft.call].into_iter().flatten() {
            self.redact_in_place(text);
        }
        if let Some(data) = &mut draft.data {
            self.redact_value(data);
        }
        draft
    }

    /// Redacts the facts of a failure, and only then cuts an agent's output to its last line.
    pub(crate) fn redact_failure(&self, failure: Failure) -> Failure {
        let mut failure = self.redact_failure_facts(failure);
        if let Failure::AgentFailed { last_words: text, .. }
        | Failure::Stalled { event: text, .. }
        | Failure::ProviderStalled { event: text, .. } = &mut failure
        {
            let last = text.lines().rev().find(|line| !line.trim().is_empty());
            *text = last.unwrap_or_default().to_owned();
        }
        failure
    }

    fn redact_failure_facts(&self, failure: Failure) -> Failure {
        let Ok(mut facts) = serde_json::to_value(&failure) else {
            return failure;
        };
        let before = facts.clone();
        self.redact_value(&mut facts);
        if facts == before {
            return failure;
        }
        // Redaction may have changed a fact so that it no longer parses.
        serde_json::from_value(facts).unwrap_or_else(|_| Failure::Unknown { last_words: MARK.into() })
    }

    pub(crate) fn stream(&self) -> RedactionStream {
        RedactionStream::new(self.scanner())
    }

    /// Like [`Self::contains_secret`], for data that arrives in pieces.
    pub(crate) fn search(&self) -> SecretSearch {
        SecretSearch::new(self.scanner())
    }

    /// Whether the bytes contain a secret of this attempt. Shapes do not count: a repository may contain examples.
    pub(crate) fn contains_secret(&self, bytes: &[u8]) -> bool {
        self.scanner().contains_known(bytes)
    }

    pub(crate) fn redact_value(&self, value: &mut Value) {
        self.redact_value_except(value, &[]);
    }

    pub(crate) fn redact_value_except(&self, value: &mut Value, names: &[&str]) {
        match value {
            Value::String(text) => self.redact_in_place(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.redact_value_except(value, names)),
            Value::Object(object) => {
                let fields = std::mem::take(object).into_iter().map(|(mut name, mut value)| {
                    if !(value.is_string() && names.contains(&name.as_str())) {
                        self.redact_value_except(&mut value, names);
                    }
                    self.redact_in_place(&mut name);
                    (name, value)
                });
                *object = fields.collect();
            }
            Value::Number(number) if matches!(self.redact_text(&number.to_string()), Cow::Owned(_)) => {
                *value = Value::from(MARK);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn redact_in_place(&self, text: &mut String) {
        if let Cow::Owned(clean) = self.redact_text(text) {
            *text = clean;
        }
    }

    fn scanner(&self) -> Arc<Scanner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).scanner.clone()
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor { .. }")
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod throughput;
