//! Redacts secrets in everything that leaves this machine.
//! These are the secrets that the attempt received, in the forms that programs write, and all texts with the shape of a
//! well-known token. The callers decide what leaves the machine: `reporter` redacts events, `job` redacts the finish.

mod addresses;
mod block;
mod boundary;
mod broken;
mod colours;
mod credentials;
mod forms;
mod hex;
mod names;
mod parts;
mod quoted;
mod samples;
mod scan;
mod shapes;
mod stream;

use crate::api::said::Said;
use pullyard_domain::failure::Failure;
use scan::Scanner;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

pub(crate) use addresses::credentials_in_addresses;
pub(crate) use block::Block;
pub(crate) use names::{is_name_of_file_of_secrets, is_name_of_secret};
pub(crate) use stream::{Search, Stream};

/// Limit for secrets from an agent's own files, because each secret makes every search slower. Units: bytes.
const MOST_OF_AGENT: usize = 32 * 1024;

pub(crate) const MARK: &str = "[redacted]";

/// Redacts secrets in texts. Clones are cheap and share the known secrets.
#[derive(Clone)]
pub(crate) struct Redactor(Arc<RwLock<Known>>);

struct Known {
    secrets: BTreeSet<String>,
    /// Total length of the secrets from an agent's files. Units: bytes.
    of_agent: usize,
    scanner: Arc<Scanner>,
}

impl Known {
    fn add(&mut self, secrets: Vec<String>) {
        let before = self.secrets.len();
        self.secrets.extend(secrets.into_iter().filter(|secret| forms::is_secret(secret)));
        if self.secrets.len() > before {
            self.scanner = Arc::new(Scanner::of(&self.secrets));
        }
    }
}

impl Redactor {
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let secrets = secrets.into_iter().flat_map(|secret| credentials::of(&secret));
        let secrets: BTreeSet<String> = secrets.filter(|secret| forms::is_secret(secret)).collect();
        let scanner = Arc::new(Scanner::of(&secrets));
        Self(Arc::new(RwLock::new(Known { secrets, of_agent: 0, scanner })))
    }

    /// Adds a secret, or the tokens if it is a file of credentials. A value that is too short is ignored, because it
    /// would match ordinary text.
    pub(crate) fn learn(&self, secret: &str) {
        self.learn_all(credentials::of(secret));
    }

    /// Adds the tokens of a file of credentials. Ignores any other text.
    pub(crate) fn learn_file(&self, text: &str) {
        self.learn_all(credentials::tokens(text).unwrap_or_default());
    }

    /// Like `learn_file` for a file that the agent can write, up to `MOST_OF_AGENT` in total.
    pub(crate) fn learn_file_of_agent(&self, text: &str) {
        let Some(tokens) = credentials::tokens(text) else { return };
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Known { secrets, of_agent, .. } = &mut *known;
        let mut new = tokens;
        new.retain(|token| {
            let is_new = !secrets.contains(token) && *of_agent + token.len() <= MOST_OF_AGENT;
            let counts = is_new && !credentials::repeats_itself(token);
            *of_agent += if counts { token.len() } else { 0 };
            counts
        });
        known.add(new);
    }

    fn learn_all(&self, secrets: Vec<String>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).add(secrets);
    }

    pub(crate) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match stream::redacted(&self.scanner(), text.as_bytes()) {
            Some(clean) => Cow::Owned(String::from_utf8_lossy(&clean).into_owned()),
            None => Cow::Borrowed(text),
        }
    }

    /// Redacts a line of output. In JSON, `\u001b` begins a terminal code, so it is decoded for the search.
    pub(crate) fn line<'t>(&self, line: &'t str) -> Cow<'t, str> {
        const WRITTEN: [&str; 2] = ["\\u001b", "\\u001B"];
        if line.contains('\u{1b}') || !WRITTEN.iter().any(|written| line.contains(written)) {
            return self.text(line);
        }
        let [lower, upper] = WRITTEN;
        let coloured = line.replace(lower, "\u{1b}").replace(upper, "\u{1b}");
        self.text(&coloured).replace('\u{1b}', lower).into()
    }

    /// Redacts a text that was cut, and removes an end that may be the beginning of a secret.
    pub(crate) fn beginning(&self, text: &[u8]) -> Vec<u8> {
        self.stream().push(text)
    }

    pub(crate) fn said(&self, mut said: Said) -> Said {
        for text in [&mut said.text, &mut said.name, &mut said.path, &mut said.call].into_iter().flatten() {
            self.clean(text);
        }
        if let Some(data) = &mut said.data {
            self.value(data);
        }
        said
    }

    /// Redacts the facts of a failure. An agent's output must be complete until here, so that no part of a secret
    /// remains. Afterwards only its last line is returned.
    pub(crate) fn failure(&self, failure: Failure) -> Failure {
        let mut failure = self.without_secrets(failure);
        if let Failure::AgentFailed { last_words: said, .. }
        | Failure::Stalled { event: said, .. }
        | Failure::ProviderStalled { event: said, .. } = &mut failure
        {
            let last = said.lines().rev().find(|line| !line.trim().is_empty());
            *said = last.unwrap_or_default().to_owned();
        }
        failure
    }

    fn without_secrets(&self, failure: Failure) -> Failure {
        let Ok(mut facts) = serde_json::to_value(&failure) else {
            return failure;
        };
        let before = facts.clone();
        self.value(&mut facts);
        if facts == before {
            return failure;
        }
        // Redaction may have changed a fact so that it no longer parses.
        serde_json::from_value(facts).unwrap_or_else(|_| Failure::Unknown { last_words: MARK.into() })
    }

    pub(crate) fn stream(&self) -> Stream {
        Stream::new(self.scanner())
    }

    /// Like [`Self::knows_one_in`], for data that arrives in pieces.
    pub(crate) fn search(&self) -> Search {
        Search::new(self.scanner())
    }

    /// Whether the bytes contain a secret of this attempt. Shapes of tokens do not count, because a repository may
    /// contain examples.
    pub(crate) fn knows_one_in(&self, bytes: &[u8]) -> bool {
        self.scanner().has_exact(bytes)
    }

    /// Redacts every text and number in the value, and the names of fields.
    pub(crate) fn value(&self, value: &mut Value) {
        self.value_but(value, &[]);
    }

    /// Like `value`, but skips the text fields with these names.
    pub(crate) fn value_but(&self, value: &mut Value, names: &[&str]) {
        match value {
            Value::String(text) => self.clean(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.value_but(value, names)),
            Value::Object(object) => {
                let fields = std::mem::take(object).into_iter().map(|(mut name, mut value)| {
                    if !(value.is_string() && names.contains(&name.as_str())) {
                        self.value_but(&mut value, names);
                    }
                    self.clean(&mut name);
                    (name, value)
                });
                *object = fields.collect();
            }
            Value::Number(number) if matches!(self.text(&number.to_string()), Cow::Owned(_)) => {
                *value = Value::from(MARK);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn clean(&self, text: &mut String) {
        if let Cow::Owned(clean) = self.text(text) {
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
mod figures;
#[cfg(test)]
mod tests;
