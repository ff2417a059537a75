//! Saves a context while `pullyard demo --stay` runs, so that commands in another terminal reach it.

use crate::client::{CliError, Config, SavedContext};
use pullyard_local::LocalSystem;
use std::path::Path;

const NAME: &str = "demo";

/// Start of the name of the demo's temporary folder.
pub(super) const FOLDER_PREFIX: &str = "pullyard-demo-";

/// Returns the context's name. Never changes another context, nor the current one.
pub(super) fn save(local: &LocalSystem, folder: &Path) -> Result<String, CliError> {
    let mut config = Config::load()?;
    let name = choose_name(&config);
    let (url, token) = (local.api_url().into(), local.admin_token().into());
    let context = SavedContext { url, token, project: None, data: Some(folder.to_owned()) };
    config.contexts.insert(name.clone(), context);
    config.save()?;
    Ok(name)
}

fn choose_name(config: &Config) -> String {
    let is_free = |name: &String| config.contexts.get(name).is_none_or(is_abandoned);
    let numbered = (2..).map(|number| format!("{NAME}-{number}"));
    std::iter::once(NAME.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
}

/// A demo that was killed leaves its context behind, but not its temporary folder. The folder of another context may
/// be missing for a while only.
fn is_abandoned(context: &SavedContext) -> bool {
    let is_temporary = |folder: &Path| {
        folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(FOLDER_PREFIX))
    };
    context.data.as_deref().is_some_and(|folder| is_temporary(folder) && !folder.exists())
}

/// Best effort: a remaining context is useless, because its server has stopped.
pub(super) fn remove(name: &str, token: &str) {
    if let Ok(mut config) = Config::load()
        && remove_from(&mut config, name, token)
    {
        let _ = config.save();
    }
}

/// Another context may have the name by now.
fn remove_from(config: &mut Config, name: &str, token: &str) -> bool {
    let is_own = config.contexts.get(name).is_some_and(|context| context.token == token);
    if is_own {
        config.contexts.remove(name);
        config.current.take_if(|current| current == name);
    }
    is_own
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(data: Option<&Path>) -> Config {
        let url = "http://127.0.0.1:1".into();
        let context = SavedContext { url, token: "pat_1".into(), project: None, data: data.map(Path::to_owned) };
        Config { current: Some(NAME.into()), contexts: [(NAME.to_owned(), context)].into() }
    }

    #[test]
    fn only_a_name_without_a_live_context_is_used() {
        let present = tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir().unwrap();
        assert_eq!(choose_name(&Config::default()), "demo");
        for (data, expected) in [
            (None, "demo-2"),
            (Some(present.path()), "demo-2"),
            (Some(Path::new("/absent/own")), "demo-2"),
            (Some(Path::new("/absent/pullyard-demo-1")), "demo"),
        ] {
            assert_eq!(choose_name(&config(data)), expected, "{data:?}");
        }
    }

    #[test]
    fn context_with_another_token_is_not_removed() {
        let mut config = config(None);
        assert!(!remove_from(&mut config, NAME, "pat_2") && config.contexts.contains_key(NAME));
        assert!(remove_from(&mut config, NAME, "pat_1") && config.contexts.is_empty() && config.current.is_none());
    }
}
