//! Tests the author and the signature of commits.

use crate::world::{BRANCH, Ran, WAIT, World};
use pullyard_domain::commits::Author;
use pullyard_forge::NewPullRequest;
use pullyard_protocol::attempt::{Continues, FinishOutcome};
use std::path::Path;
use std::process::Command;

const SEARCHES: &str =
    "cat > /dev/null; env > @DIR@/env; grep -rqs 'OPENSSH [P]RIVATE' .. && exit 9; echo hello > greeting.txt";

fn key(dir: &Path, passphrase: &str) -> (String, String) {
    let path = dir.join(format!("key-{passphrase}"));
    let mut make = Command::new("ssh-keygen");
    let made = make.args(["-q", "-t", "ed25519", "-C", "bot", "-N", passphrase, "-f"]).arg(&path).status();
    assert!(made.unwrap().success());
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    (read(&path), read(&path.with_extension("pub")))
}

async fn signing(agent: &str, key: &str) -> World {
    let world = World::with_agent(agent).await;
    world.api.script(|script| script.signing_key = Some(key.to_owned()));
    let author = Author { name: "Acme Bot".into(), email: "bot@acme.example".into() };
    world.api.assign(|job| job.author = Some(author));
    world
}

fn verified(world: &World, public: &str, commit: &str) -> bool {
    let signers = world.outside("allowed-signers");
    std::fs::write(&signers, format!("bot@acme.example {public}")).unwrap();
    let setting = format!("gpg.ssh.allowedSignersFile={}", signers.display());
    world.git(&["-c", &setting, "verify-commit", commit]).status.success()
}

async fn ran(world: &World) -> Ran {
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert!(!ran.log.contains("PRIVATE KEY"), "{}", ran.log);
    ran
}

#[tokio::test]
#[ignore = "needs ssh-keygen, which git may come without: .ci/run"]
async fn commit_is_signed_by_a_key_that_the_agent_never_sees() {
    let dir = tempfile::tempdir().unwrap();
    let ((private, public), (_, others)) = (key(dir.path(), ""), key(dir.path(), "other"));
    // Without a final newline, as users paste it.
    let world = signing(SEARCHES, private.trim_end()).await;
    ran(&world).await;
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed, "{:?}", world.api.finish().failure);
    assert!(verified(&world, &public, BRANCH) && !verified(&world, &others, BRANCH));
    let names = world.git_line(&["log", "-1", "--format=%an <%ae>, %cn <%ce>", BRANCH]);
    assert_eq!(names, "Acme Bot <bot@acme.example>, Acme Bot <bot@acme.example>");
    assert!(!std::fs::read_to_string(world.outside("env")).unwrap().contains("PRIVATE KEY"));
    assert!(world.worktrees().is_empty());
}

#[tokio::test]
#[ignore = "needs ssh-keygen, which git may come without: .ci/run"]
async fn rebased_work_is_signed() {
    let dir = tempfile::tempdir().unwrap();
    let (private, public) = key(dir.path(), "");
    let world = signing(&format!("cat > /dev/null; {WAIT}"), &private).await;
    world.commit_on("feature", "Earlier work");
    let (title, body, to) = ("T".into(), String::new(), "feature".to_owned());
    let new = NewPullRequest { title, body, head: to, base: "main".into(), draft: false };
    let number = world.rest().create_pull_request("acme/app", &new).await.unwrap().number;
    world.api.assign(|job| job.continues = Some(Continues { number, branch: "feature".into() }));
    let theirs = world.meanwhile(async || world.commit_on("feature", "Meanwhile")).await;
    assert_eq!(world.api.finish().outcome, FinishOutcome::Completed, "{:?}", world.api.finish().failure);
    assert_eq!(world.git_line(&["rev-parse", "feature^"]), theirs);
    assert!(verified(&world, &public, "feature") && !verified(&world, &public, "feature^"));
}

#[tokio::test]
async fn commit_is_unsigned_without_a_key() {
    let world = World::with_agent("cat > /dev/null; echo hello > greeting.txt").await;
    ran(&world).await;
    assert_eq!(world.git_line(&["log", "-1", "--format=%G?", BRANCH]), "N");
}

#[tokio::test]
#[ignore = "needs ssh-keygen, which git may come without: .ci/run"]
async fn unusable_signing_key_is_reported_and_nothing_is_pushed() {
    let dir = tempfile::tempdir().unwrap();
    let (locked, _) = key(dir.path(), "secret-words");
    for (key, reason) in [
        (locked.as_str(), "its key has a passphrase"),
        ("ssh-ed25519 AAAA nonsense", "its secret is not an SSH private key"),
    ] {
        let world = signing("cat > /dev/null; echo hello > greeting.txt", key).await;
        ran(&world).await;
        let failure = world.api.finish().failure.unwrap();
        assert_eq!(failure.sentence(), format!("The commit could not be signed: {reason}."));
        assert_eq!((failure.code(), world.head(BRANCH)), ("signing_failed", None));
    }
}

#[tokio::test]
#[ignore = "needs ssh-keygen, which git may come without: .ci/run"]
async fn missing_ssh_keygen_is_reported_with_what_to_install() {
    let dir = tempfile::tempdir().unwrap();
    let (private, _) = key(dir.path(), "");
    let world = signing("cat > /dev/null; echo hello > greeting.txt", &private).await;
    let tools = world.outside("bin");
    std::fs::create_dir(&tools).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    for tool in ["git", "sh", "cat", "unshare"] {
        let there = std::env::split_paths(&path).map(|folder| folder.join(tool)).find(|file| file.exists());
        if let Some(there) = there {
            std::os::unix::fs::symlink(there, tools.join(tool)).unwrap();
        }
    }
    let ran = world
        .run_with(|command| {
            command.env("PATH", &tools);
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let failure = world.api.finish().failure.unwrap();
    assert!(failure.sentence().contains("ssh-keygen is not installed on the runner"), "{}", failure.sentence());
    assert!(failure.help().contains("runners need ssh-keygen (OpenSSH 8.2)"), "{}", failure.help());
}

#[tokio::test]
async fn missing_signing_secret_fails_before_any_fetch() {
    let world = World::with_agent("exit 1").await;
    world.api.script(|script| script.refuse("credentials", 422, "signing_secret_missing"));
    ran(&world).await;
    assert_eq!((world.api.failure(), world.api.statuses()), ("signing_failed", vec!["preparing".to_owned()]));
}
