//! Tests the folders of an attempt and their locks.

use super::*;

fn job(letter: &str) -> JobId {
    JobId::new(format!("job_{}", letter.repeat(26))).unwrap()
}

#[tokio::test]
async fn only_worktrees_of_dead_attempts_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let first = Workspace::create(dir.path(), &job("a"), 1).await.unwrap();
    let second = Workspace::create(dir.path(), &job("b"), 1).await.unwrap();
    assert!(Workspace::create(dir.path(), &job("a"), 1).await.is_err());
    fs::write(first.tree().join("dirty"), "").unwrap();
    let (living, dead) = (second.root.clone(), first.root.clone());
    drop(first);
    let third = Workspace::create(dir.path(), &job("a"), 1).await.unwrap();
    assert!(living.is_dir());
    assert_eq!(third.root, dead);
    assert!(!third.tree().join("dirty").exists());
    second.close().await;
    assert!(!living.exists());
    third.keep();
    assert!(dead.is_dir());
}

#[test]
fn existing_attempt_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("attempt");
    fs::create_dir_all(root.join("tree")).unwrap();
    let error = Workspace::create_root(&root).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    assert!(error.to_string().contains("is still there"), "{error}");
}

#[tokio::test]
async fn agent_home_is_outside_its_temporary_folder() {
    let dir = tempfile::tempdir().unwrap();
    let workspace = Workspace::create(dir.path(), &job("a"), 1).await.unwrap();
    // Codex refuses to create its helpers in a folder for temporary files.
    assert!(!workspace.home().starts_with(workspace.temp_dir()));
    workspace.close().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn next_attempt_kills_processes_of_a_dead_one() {
    let dir = tempfile::tempdir().unwrap();
    let first = Workspace::create(dir.path(), &job("a"), 1).await.unwrap();
    let folder = first.root().to_owned();
    let mut command = tokio::process::Command::new("sleep");
    let child = command.arg("600").env("TMPDIR", first.temp_dir()).kill_on_drop(true).spawn().unwrap();
    let environ = format!("/proc/{}/environ", child.id().unwrap());
    // During exec, a process has no environment or that of the test.
    let mark = [&b"TMPDIR="[..], first.temp_dir().as_os_str().as_encoded_bytes()].concat();
    let is_marked = || fs::read(&environ).unwrap().split(|byte| *byte == 0).any(|variable| variable == mark);
    let exec_end = async {
        while !is_marked() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), exec_end).await.unwrap();
    first.keep_for_orphan_cleanup();
    first.close().await;
    fs::write(folder.join("tree/dirty"), "").unwrap();
    // The same attempt, because it waits for locks that starting processes of other tests inherited.
    let second = Workspace::create(dir.path(), &job("a"), 1).await.unwrap();
    assert!(!second.tree().join("dirty").exists());
    // Dead processes have no environment.
    assert!(fs::read(&environ).unwrap_or_default().is_empty());
}

#[tokio::test]
async fn reset_restores_index_head_and_exclude_file() {
    let dir = tempfile::tempdir().unwrap();
    let workspace = Workspace::create(dir.path(), &job("a"), 1).await.unwrap();
    let repository = git::init_bare(&Git::local(""), workspace.repository()).await.unwrap();
    let head = "1".repeat(40);
    workspace.snapshot().head = Some(head.clone());
    fs::write(repository.join("index"), "what git knows").unwrap();
    workspace.snapshot_index().await.unwrap();
    workspace.exclude(b"made.txt").await.unwrap();
    let files = ["index", "HEAD", "info/exclude"].map(|file| repository.join(file));
    let plants: [&dyn Fn(&Path); 4] = [
        &|file| fs::write(file, "planted").unwrap(),
        &|file| nix::unistd::mkfifo(file, nix::sys::stat::Mode::S_IRWXU).unwrap(),
        &|file| fs::create_dir(file).unwrap(),
        &|file| std::os::unix::fs::symlink("/dev/null", file).unwrap(),
    ];
    for plant in plants {
        for file in &files {
            fs::remove_file(file).unwrap();
            plant(file);
        }
        fs::write(repository.join("index.lock"), "").unwrap();
        let [packed, refs] = ["packed-refs", "refs"].map(|name| repository.join(name));
        remove::remove_entry(&refs).unwrap();
        plant(&packed);
        plant(&refs);
        workspace.reset_repository().await.unwrap();
        assert!(fs::symlink_metadata(&packed).is_err());
        assert!(fs::symlink_metadata(&refs).unwrap().is_dir() && fs::read_dir(&refs).unwrap().next().is_none());
        let contents = files.each_ref().map(|file| fs::read_to_string(file).unwrap());
        assert_eq!(contents, ["what git knows".to_owned(), format!("{head}\n"), "/made.txt\n".into()]);
        assert!(!repository.join("index.lock").exists());
    }
}

#[tokio::test]
async fn reset_fails_if_a_folder_is_a_link_or_missing() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = dir.path().join("elsewhere");
    let workspace = Workspace::create(dir.path(), &job("a"), 1).await.unwrap();
    let git = Git::local("");
    git::init_bare(&git, workspace.repository()).await.unwrap();
    workspace.reset_repository().await.unwrap();
    for folder in [workspace.tree(), workspace.repository(), workspace.root().to_owned()] {
        fs::rename(&folder, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &folder).unwrap();
        let error = workspace.reset_repository().await.unwrap_err();
        assert!(error.reason().ends_with("was taken away or leads elsewhere"), "{error}");
        fs::remove_file(&folder).unwrap();
        assert!(workspace.reset_repository().await.is_err(), "the folder is missing");
        fs::rename(&elsewhere, &folder).unwrap();
        workspace.reset_repository().await.unwrap();
    }
}

#[tokio::test]
async fn excluded_paths_match_literally() {
    let dir = tempfile::tempdir().unwrap();
    let workspace = Workspace::create(dir.path(), &job("a"), 1).await.unwrap();
    let git = Git::local("");
    let (tree, repository) = (workspace.tree(), git::init_bare(&git, workspace.repository()).await.unwrap());
    git::init_bare(&git, tree.join(".git")).await.unwrap();
    let excluded = ["a*", "b[1]", "c d ", "#e", "!f", "g\\h", "i?", "j/k"];
    fs::create_dir_all(tree.join("j")).unwrap();
    let included = ["ax", "b1", "c d", "e", "f", "gh", "ii", "j/kk", "k"];
    excluded.iter().chain(&included).for_each(|name| fs::write(tree.join(name), "").unwrap());
    let with_line_break = "x\nk";
    workspace.exclude([&excluded[..], &[with_line_break]].concat().join("\0").as_bytes()).await.unwrap();
    let call = GitCall::new(["ls-files", "-z", "--others", "--exclude-standard"]);
    let output = git.run(call.repository(&repository).tree(&tree)).await.unwrap();
    let mut paths: Vec<_> = output.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    paths.retain(|name| !name.is_empty());
    paths.sort();
    assert_eq!(paths, included);
    let agent_exclude = fs::read(tree.join(".git/info/exclude")).unwrap();
    assert_eq!(agent_exclude, fs::read(repository.join("info/exclude")).unwrap(), "the agent's git shows the same");
}
