//! What nobody outside this machine may read is taken out of everything that leaves it: the secrets that
//! this attempt was given, in the forms that programs write them in, and whatever has the shape of a
//! well-known kind of token.
//!
//! Deliberately not here: what leaves the machine. Events pass here in `reporter`, the finish in `job`.

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

/// How much an agent's own files may teach: each secret makes every look longer. Units: bytes.
const MOST_OF_AGENT: usize = 32 * 1024;

/// What stands in a secret's place.
pub(crate) const MARK: &str = "[redacted]";

/// Takes secrets out of texts; cheap to clone, and all clones learn together.
#[derive(Clone)]
pub(crate) struct Redactor(Arc<RwLock<Known>>);

struct Known {
    secrets: BTreeSet<String>,
    /// What an agent's files taught. Units: bytes.
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
    /// Knows the shapes of tokens, and these secrets.
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let secrets = secrets.into_iter().flat_map(|secret| credentials::of(&secret));
        let secrets: BTreeSet<String> = secrets.filter(|secret| forms::is_secret(secret)).collect();
        let scanner = Arc::new(Scanner::of(&secrets));
        Self(Arc::new(RwLock::new(Known { secrets, of_agent: 0, scanner })))
    }

    /// Takes this out as well from now on; of a file of credentials, its tokens. What is too short to be a secret
    /// would blacken everything, and is not learned.
    pub(crate) fn learn(&self, secret: &str) {
        self.learn_all(credentials::of(secret));
    }

    /// Takes the tokens in such a file out as well. What is no such file holds none.
    pub(crate) fn learn_file(&self, text: &str) {
        self.learn_all(credentials::tokens(text).unwrap_or_default());
    }

    /// The same of a file that is the agent's, up to [`MOST_OF_AGENT`] in all.
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

    /// A line as it was printed, without secrets. What changes colours is written out in one of JSON.
    pub(crate) fn line<'t>(&self, line: &'t str) -> Cow<'t, str> {
        const WRITTEN: [&str; 2] = ["\\u001b", "\\u001B"];
        if line.contains('\u{1b}') || !WRITTEN.iter().any(|written| line.contains(written)) {
            return self.text(line);
        }
        let [lower, upper] = WRITTEN;
        let coloured = line.replace(lower, "\u{1b}").replace(upper, "\u{1b}");
        self.text(&coloured).replace('\u{1b}', lower).into()
    }

    /// A text that was cut, without secrets and without what may be the beginning of one that went on behind the cut.
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

    /// The failure without secrets in its facts. What it quotes of an agent comes whole, so that no part of a secret
    /// stays, and is its last line from here on.
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
        // A fact that was all secret may not read as what it was.
        serde_json::from_value(facts).unwrap_or_else(|_| Failure::Unknown { last_words: MARK.into() })
    }

    pub(crate) fn stream(&self) -> Stream {
        Stream::new(self.scanner())
    }

    /// For a look into what comes in pieces, as [`Self::knows_one_in`] looks into the whole.
    pub(crate) fn search(&self) -> Search {
        Search::new(self.scanner())
    }

    /// Whether a secret that this attempt was given stands in it. The shapes of tokens don't count: a
    /// repository may have examples of them.
    pub(crate) fn knows_one_in(&self, bytes: &[u8]) -> bool {
        self.scanner().has_exact(bytes)
    }

    /// Takes secrets out of every text and number in it.
    pub(crate) fn value(&self, value: &mut Value) {
        self.value_but(value, &[]);
    }

    /// The same but for the texts that have one of these names.
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
