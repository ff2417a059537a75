//! Lines that are a JSON object each, as far as they mean the same whichever agent writes them. What an object means
//! is its driver's business.

use super::sign::Sign;
use crate::api::said::Said;
use pullyard_protocol::event::EventKind;
use serde_json::Value;
use std::path::Path;

/// What a line says: what its object `means`; another line is passed on as it came, and an empty one says nothing.
pub(super) fn signs(line: &[u8], means: impl FnOnce(&Value) -> Vec<Sign>) -> Vec<Sign> {
    let words = String::from_utf8_lossy(line);
    let words = words.trim();
    if words.is_empty() {
        return Vec::new();
    }
    match serde_json::from_str(words) {
        Ok(object @ Value::Object(_)) => means(&object),
        _ => vec![Sign::Said(Said::words(EventKind::Raw, words))],
    }
}

/// An object that nobody knows.
pub(super) fn raw(object: &Value) -> Sign {
    Sign::Said(Said { data: Some(object.clone()), ..Said::new(EventKind::Raw) })
}

pub(super) fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

/// A file of the repository as people name it.
pub(super) fn inside(tree: &Path, path: &str) -> String {
    let inner = Path::new(path).strip_prefix(tree).ok().and_then(Path::to_str);
    inner.unwrap_or(path).to_owned()
}
