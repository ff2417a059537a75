//! Finds git repositories near the folder where `pullyard up` was started: around it, its children, its siblings.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const MAX_REPOSITORIES: usize = 12;
/// Entries of each of the two folders.
const MAX_ENTRIES: usize = 500;
/// Pages refresh more often than folders change.
const MAX_AGE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Search {
    found: Vec<PathBuf>,
    runs: bool,
    ended: Option<Instant>,
}

/// Starts the first search. The function returns the last result and never waits: each search has its own thread,
/// because a network folder may never answer.
pub(super) fn repository_list(folder: PathBuf) -> Arc<dyn Fn() -> Vec<PathBuf> + Send + Sync> {
    let search = Arc::new(Mutex::new(Search::default()));
    let list = move || {
        let mut last = search.lock().unwrap_or_else(PoisonError::into_inner);
        if !last.runs && last.ended.is_none_or(|ended| ended.elapsed() >= MAX_AGE) {
            last.runs = true;
            let (folder, search) = (folder.clone(), Arc::clone(&search));
            thread::spawn(move || {
                let found = find_repositories(&folder);
                let mut last = search.lock().unwrap_or_else(PoisonError::into_inner);
                *last = Search { found, runs: false, ended: Some(Instant::now()) };
            });
        }
        last.found.clone()
    };
    list();
    Arc::new(list)
}

fn find_repositories(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> =
        folder.ancestors().find(|path| is_repository(path)).map(Path::to_owned).into_iter().collect();
    found.extend(list_folders(folder));
    found.extend(folder.parent().map(list_folders).unwrap_or_default().into_iter().filter(|path| path != folder));
    // A control character would not survive a form.
    let is_plain = |path: &PathBuf| path.to_str().is_some_and(|path| !path.contains(char::is_control));
    found.into_iter().filter(|path| is_plain(path) && is_repository(path)).take(MAX_REPOSITORIES).collect()
}

/// Sorted, without hidden folders and without links, which may lead elsewhere.
fn list_folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_ENTRIES);
    let folders = entries.filter(|entry| {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        is_folder && entry.file_name().to_str().is_some_and(|name| !name.starts_with('.'))
    });
    let mut folders: Vec<_> = folders.map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

fn is_repository(folder: &Path) -> bool {
    let is_folder = |path: PathBuf| fs::symlink_metadata(path).is_ok_and(|entry| entry.is_dir());
    is_folder(folder.join(".git")) || (is_folder(folder.join("objects")) && is_folder(folder.join("refs")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_stays_within_the_folder_its_children_and_siblings() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for path in [
            "home/work/.git",
            "home/work/b/.git",
            "home/work/a/.git",
            "home/work/.hidden/.git",
            "home/work/new\nline/.git",
            "home/work/plain/deep/.git",
            "home/shop/.git",
            "home/bare.git/objects",
            "home/bare.git/refs",
            "home/other/deep/.git",
            "elsewhere/.git",
        ] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        std::os::unix::fs::symlink(root.join("elsewhere"), root.join("home/work/link")).unwrap();
        let home = root.join("home");
        let expected = ["work", "work/a", "work/b", "bare.git", "shop"].map(|path| home.join(path));
        assert_eq!(find_repositories(&home.join("work")), expected);
        let expected = ["", "plain/deep", "a", "b"].map(|path| home.join("work").join(path));
        assert_eq!(find_repositories(&home.join("work/plain")), expected);
        assert_eq!(
            find_repositories(&home.join("work/new\nline")),
            ["a", "b"].map(|path| home.join("work").join(path))
        );
    }

    #[test]
    fn number_of_repositories_is_bounded() {
        let root = tempfile::tempdir().unwrap();
        for number in 0..20 {
            fs::create_dir_all(root.path().join(format!("work/{number}/.git"))).unwrap();
        }
        assert_eq!(find_repositories(&root.path().join("work")).len(), MAX_REPOSITORIES);
    }
}
