//! Names the files of a session of Codex, which are in one folder for each day.

use crate::agent::driver::SessionFiles;
use std::path::Path;

pub(super) const SESSION: SessionFiles =
    SessionFiles { folders: |_, _| vec![("", Path::new("codex").join("sessions"))], is_file, is_folder: |_, _| true };

fn is_file(name: &str, id: &str) -> bool {
    name.rsplit('/').next().is_some_and(|file| {
        file.strip_suffix(".jsonl").is_some_and(|file| file.starts_with("rollout-") && file.ends_with(id))
    })
}
