//! What nobody outside this machine may read is taken out of everything that leaves it: the secrets that
//! this attempt was given, in the forms that programs write them in, and whatever has the shape of a
//! well-known kind of token.
//!
//! Deliberately not here: what leaves the machine. Events pass here in `reporter`, the finish in `job`.

mod forms;
mod scan;
mod shapes;
mod stream;

use crate::said::Said;
use pullyard_domain::failure::Failure;
use scan::Scanner;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

pub(crate) use stream::Stream;

/// What stands in a secret's place.
pub(crate) const MARK: &str = "[redacted]";

/// Names of environment variables that hold secrets end like this.
const SECRET_ENDINGS: &[&str] = &["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIALS", "BOOTSTRAP"];

/// Takes secrets out of texts; cheap to clone, and all clones learn together.
#[derive(Clone)]
pub(crate) struct Redactor(Arc<RwLock<Known>>);

struct Known {
    secrets: BTreeSet<String>,
    scanner: Arc<Scanner>,
}

impl Redactor {
    /// Knows the shapes of tokens, and these secrets.
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let secrets: BTreeSet<String> = secrets.into_iter().filter(|secret| forms::is_secret(secret)).collect();
        let scanner = Arc::new(Scanner::of(&secrets));
        Self(Arc::new(RwLock::new(Known { secrets, scanner })))
    }

    /// Takes this out as well from now on. What is too short to be a secret would blacken everything, and is
    /// not learned.
    pub(crate) fn learn(&self, secret: &str) {
        if !forms::is_secret(secret) {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.secrets.insert(secret.to_owned()) {
            known.scanner = Arc::new(Scanner::of(&known.secrets));
        }
    }

    /// The text without secrets.
    pub(crate) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match stream::redacted(&self.scanner(), text.as_bytes()) {
            Some(clean) => Cow::Owned(String::from_utf8_lossy(&clean).into_owned()),
            None => Cow::Borrowed(text),
        }
    }

    /// The event without secrets.
    pub(crate) fn said(&self, mut said: Said) -> Said {
        for text in [&mut said.text, &mut said.name, &mut said.path, &mut said.call].into_iter().flatten() {
            self.clean(text);
        }
        if let Some(data) = &mut said.data {
            self.value(data);
        }
        said
    }

    /// The failure without secrets in its facts.
    pub(crate) fn failure(&self, failure: Failure) -> Failure {
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

    /// For what comes in pieces.
    pub(crate) fn stream(&self) -> Stream {
        Stream::new(self.scanner())
    }

    /// Whether a secret that this attempt was given stands in it. The shapes of tokens don't count: a
    /// repository may have examples of them.
    pub(crate) fn knows_one_in(&self, bytes: &[u8]) -> bool {
        self.scanner().has_exact(bytes)
    }

    /// Takes secrets out of every text in it.
    pub(crate) fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.clean(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Object(object) => {
                let fields = std::mem::take(object).into_iter().map(|(mut name, mut value)| {
                    self.clean(&mut name);
                    self.value(&mut value);
                    (name, value)
                });
                *object = fields.collect();
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

/// Whether an environment variable of this name holds a secret, by the habits of those who name them.
pub(crate) fn is_name_of_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod figures;
#[cfg(test)]
mod tests;
