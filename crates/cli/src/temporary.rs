//! The folder of a `demo` or a `try` that nobody keeps: made, and those removed that earlier ones left which were killed
//! while no job of theirs was there to do it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use tempfile::TempDir;

/// Makes one, which goes away with what this returns.
pub(crate) fn folder(prefix: &str) -> io::Result<TempDir> {
    folder_in(&std::env::temp_dir(), prefix)
}

fn folder_in(temporary: &Path, prefix: &str) -> io::Result<TempDir> {
    let made = tempfile::Builder::new().prefix(prefix).tempdir_in(temporary)?;
    let owner = fs::symlink_metadata(made.path())?.uid();
    for entry in fs::read_dir(temporary).into_iter().flatten().flatten() {
        let is_named_so = entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix));
        // What is ours nobody else can replace by a link to something that is not to go.
        let is_ours = entry.metadata().is_ok_and(|about| about.is_dir() && about.uid() == owner);
        if is_named_so && is_ours && pullyard_local::is_abandoned(&entry.path()) {
            remove(&entry.path());
        }
    }
    Ok(made)
}

/// As far as that can be done, and each by itself: its secrets stand beside what an agent left, whatever that is.
fn remove(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let _ = if is_folder { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
    }
    let _ = fs::remove_dir(folder);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn what_a_killed_one_left_goes_and_what_is_used_or_called_otherwise_stays() {
        let temporary = tempfile::tempdir().unwrap();
        let of = |name: &str| temporary.path().join(name);
        for name in ["try-dead", "try-used", "try-new", "demo-dead"] {
            fs::create_dir_all(of(name).join("work/inner")).unwrap();
            fs::write(of(name).join("keys.json"), "planted").unwrap();
        }
        let locks = ["try-dead", "try-used", "demo-dead"].map(|name| File::create(of(name).join("lock")).unwrap());
        locks[1].lock().unwrap();
        std::os::unix::fs::symlink(of("demo-dead"), of("try-link")).unwrap();

        let made = folder_in(temporary.path(), "try-").unwrap();
        let left = [made.path().to_owned(), of("try-used"), of("try-new"), of("demo-dead"), of("try-link")];
        assert!(left.iter().all(|folder| folder.exists()), "{left:?}");
        assert!(of("demo-dead").join("keys.json").exists() && !of("try-dead").exists());
    }
}
