//! Parses lines that are JSON objects, for all agents. Each driver interprets the objects itself.

use super::sign::Sign;
use crate::api::said::Said;
use pullyard_protocol::event::EventKind;
use serde_json::Value;
use std::path::Path;

/// Passes the object of a line to `means`. Other text becomes a `raw` event; an empty line gives no sign.
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

pub(super) fn raw(object: &Value) -> Sign {
    Sign::Said(Said { data: Some(object.clone()), ..Said::new(EventKind::Raw) })
}

pub(super) fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

/// The path of a file relative to the worktree, if the file is inside.
pub(super) fn inside(tree: &Path, path: &str) -> String {
    let inner = Path::new(path).strip_prefix(tree).ok().and_then(Path::to_str);
    inner.unwrap_or(path).to_owned()
}
