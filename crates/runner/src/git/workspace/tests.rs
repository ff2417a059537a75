//! Tests the folders of an attempt and their locks.

use super::*;

fn job(letter: &str) -> JobId {
    JobId::new(format!("job_{}", letter.repeat(26))).unwrap()
}

#[tokio::test]
async fn only_worktrees_of_dead_attempts_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let one = Workspace::create(dir.path(), &job("a"), 1).await.unwrap();
    let two = Workspace::create(dir.path(), &job("b"), 1).await.unwrap();
    assert!(Workspace::create(dir.path(), &job("a"), 1).await.is_err());
    fs::write(one.tree().join("dirty"), "").unwrap();
    let (living, dead) = (two.root.clone(), one.root.clone());
    drop(one);
    let three = Workspace::create(dir.path(), &job("a"), 1).await.unwrap();
    assert!(living.is_dir());
    assert_eq!(three.root, dead);
    assert!(!three.tree().join("dirty").exists());
    two.close().await;
    assert!(!living.exists());
    three.keep();
    assert!(dead.is_dir());
}

#[test]
fn existing_attempt_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("attempt");
    fs::create_dir_all(root.join("tree")).unwrap();
    let refused = Workspace::create_root(&root).err().unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
    assert!(refused.to_string().contains("is still there"), "{refused}");
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
    let one = Workspace::create(dir.path(), &job("a"), 1).await.unwrap();
    let folder = one.root().to_owned();
    let mut command = tokio::process::Command::new("sleep");
    let child = command.arg("600").env("TMPDIR", one.temp_dir()).kill_on_drop(true).spawn().unwrap();
    let environ = format!("/proc/{}/environ", child.id().unwrap());
    // During exec, a process has no environment or that of the test.
    let mark = [&b"TMPDIR="[..], one.temp_dir().as_os_str().as_encoded_bytes()].concat();
    let is_marked = || fs::read(&environ).unwrap().split(|byte| *byte == 0).any(|variable| variable == mark);
    let begun = async {
        while !is_marked() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), begun).await.unwrap();
    one.keep_for_orphan_cleanup();
    one.close().await;
    fs::write(folder.join("tree/dirty"), "").unwrap();
    // The same attempt, because it waits for locks that starting processes of other tests inherited.
    let two = Workspace::create(dir.path(), &job("a"), 1).await.unwrap();
    assert!(!two.tree().join("dirty").exists());
    // Dead processes have no environment.
    assert!(fs::read(&environ).unwrap_or_default().is_empty());
}

#[tokio::test]
async fn seal_restores_index_head_and_exclude_file() {
    let dir = tempfile::tempdir().unwrap();
    let workspace = Workspace::create(dir.path(), &job("a"), 1).await.unwrap();
    let repository = git::init_bare(&Git::new("", ""), workspace.repository()).await.unwrap();
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
        let found = files.each_ref().map(|file| fs::read_to_string(file).unwrap());
        assert_eq!(found, ["what git knows".to_owned(), format!("{head}\n"), "/made.txt\n".into()]);
        assert!(!repository.join("index.lock").exists());
    }
}

#[tokio::test]
async fn seal_fails_if_a_folder_is_a_link_or_missing() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = dir.path().join("elsewhere");
    let workspace = Workspace::create(dir.path(), &job("a"), 1).await.unwrap();
    let git = Git::new("", "");
    git::init_bare(&git, workspace.repository()).await.unwrap();
    workspace.reset_repository().await.unwrap();
    for folder in [workspace.tree(), workspace.repository(), workspace.root().to_owned()] {
        fs::rename(&folder, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &folder).unwrap();
        let fault = workspace.reset_repository().await.unwrap_err();
        assert!(fault.reason().ends_with("was taken away or leads elsewhere"), "{fault}");
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
    let git = Git::new("", "");
    let (tree, repository) = (workspace.tree(), git::init_bare(&git, workspace.repository()).await.unwrap());
    git::init_bare(&git, tree.join(".git")).await.unwrap();
    let out = ["a*", "b[1]", "c d ", "#e", "!f", "g\\h", "i?", "j/k"];
    fs::create_dir_all(tree.join("j")).unwrap();
    let stays = ["ax", "b1", "c d", "e", "f", "gh", "ii", "j/kk", "k"];
    out.iter().chain(&stays).for_each(|name| fs::write(tree.join(name), "").unwrap());
    let with_line_break = "x\nk";
    workspace.exclude([&out[..], &[with_line_break]].concat().join("\0").as_bytes()).await.unwrap();
    let listed = GitCall::new(["ls-files", "-z", "--others", "--exclude-standard"]);
    let listed = git.run(listed.repository(&repository).tree(&tree)).await.unwrap();
    let mut listed: Vec<_> = listed.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    listed.retain(|name| !name.is_empty());
    listed.sort();
    assert_eq!(listed, stays);
    let agents = fs::read(tree.join(".git/info/exclude")).unwrap();
    assert_eq!(agents, fs::read(repository.join("info/exclude")).unwrap(), "the agent's git shows the same");
}
