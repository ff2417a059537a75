//! Saves the context `demo` while `pullyard demo --stay` runs, so that commands in another terminal reach it.

use super::TEMPORARY_PREFIX;
use crate::client::{Config, SavedContext};
use pullyard_local::LocalSystem;
use std::path::Path;

const NAME: &str = "demo";

/// Returns the name, or `None` if the user has another context of this name or the file cannot be written.
pub(super) fn save(local: &LocalSystem, folder: &Path) -> Option<&'static str> {
    let mut config = Config::load().ok()?;
    if config.contexts.get(NAME).is_some_and(|saved| !is_ended_demo(saved)) {
        return None;
    }
    config.contexts.insert(NAME.into(), SavedContext::of_system(local, folder, None));
    config.save().ok().map(|_| NAME)
}

/// Removes the context of the demo in this folder. Best effort: the next demo replaces a context that remains.
pub(super) fn remove(folder: &Path) {
    let Ok(mut config) = Config::load() else { return };
    if config.contexts.get(NAME).and_then(|saved| saved.data.as_deref()) != Some(folder) {
        return;
    }
    config.contexts.remove(NAME);
    if config.current.as_deref() == Some(NAME) {
        config.current = None;
    }
    let _ = config.save();
}

fn is_ended_demo(saved: &SavedContext) -> bool {
    let Some(data) = &saved.data else { return false };
    if data.exists() {
        return data.join("demo.json").exists() && pullyard_local::is_abandoned(data);
    }
    data.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(TEMPORARY_PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_replaced(data: Option<&Path>) -> bool {
        let data = data.map(Path::to_owned);
        is_ended_demo(&SavedContext { url: "http://h".into(), token: "t".into(), project: None, data })
    }

    #[test]
    fn only_the_context_of_an_ended_demo_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        assert!(!is_replaced(None));
        assert!(!is_replaced(Some(&data.join("gone"))));
        assert!(is_replaced(Some(&data.join("pullyard-demo-gone"))));
        std::fs::write(data.join("lock"), "process 1\n").unwrap();
        assert!(!is_replaced(Some(data)), "the data of `pullyard up`");
        std::fs::write(data.join("demo.json"), "{}").unwrap();
        assert!(is_replaced(Some(data)));
        let lock = std::fs::File::open(data.join("lock")).unwrap();
        lock.try_lock().unwrap();
        assert!(!is_replaced(Some(data)), "a demo that still runs");
    }
}
