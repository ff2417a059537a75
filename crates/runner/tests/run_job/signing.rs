//! Tests the author and the signature of commits.

use crate::prelude::*;
use crate::world::World;
use pullyard_domain::project::commits::Author;
use std::process::Command;

const KEY_SEARCHING_AGENT: &str =
    "cat > /dev/null; env > @DIR@/env; grep -rqs 'OPENSSH [P]RIVATE' .. && exit 9; echo hello > greeting.txt";

fn create_key(dir: &Path, passphrase: &str) -> (String, String) {
    let path = dir.join(format!("key-{passphrase}"));
    let mut make = Command::new("ssh-keygen");
    let status = make.args(["-q", "-t", "ed25519", "-C", "bot", "-N", passphrase, "-f"]).arg(&path).status();
    assert!(status.unwrap().success());
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    (read(&path), read(&path.with_extension("pub")))
}

async fn world_with_signing_key(agent: &str, key: &str) -> World {
    let world = World::with_agent(agent).await;
    world.api.change_script(|script| script.signing_key = Some(key.to_owned()));
    let author = Author { name: "Acme Bot".into(), email: "bot@acme.example".into() };
    world.api.change_assignment(|job| job.author = Some(author));
    world
}

fn has_valid_signature(world: &World, public: &str, commit: &str) -> bool {
    let signers = world.outside_path("allowed-signers");
    std::fs::write(&signers, format!("bot@acme.example {public}")).unwrap();
    let setting = format!("gpg.ssh.allowedSignersFile={}", signers.display());
    world.git(&["-c", &setting, "verify-commit", commit]).status.success()
}

async fn run_to_exit(world: &World) -> RunResult {
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert!(!ran.log.contains("PRIVATE KEY"), "{}", ran.log);
    ran
}

#[tokio::test]
#[ignore = "needs ssh-keygen, which git may come without: .ci/run"]
async fn commit_is_signed_by_a_key_that_the_agent_never_sees() {
    let dir = tempfile::tempdir().unwrap();
    let ((private, public), (_, others)) = (create_key(dir.path(), ""), create_key(dir.path(), "other"));
    // Without a final newline, as users paste it.
    let world = world_with_signing_key(KEY_SEARCHING_AGENT, private.trim_end()).await;
    world.completes().await;
    assert!(has_valid_signature(&world, &public, BRANCH) && !has_valid_signature(&world, &others, BRANCH));
    let names = world.git_line(&["log", "-1", "--format=%an <%ae>, %cn <%ce>", BRANCH]);
    assert_eq!(names, "Acme Bot <bot@acme.example>, Acme Bot <bot@acme.example>");
    assert!(!std::fs::read_to_string(world.outside_path("env")).unwrap().contains("PRIVATE KEY"));
    assert!(world.worktrees().is_empty());
}

#[tokio::test]
#[ignore = "needs ssh-keygen, which git may come without: .ci/run"]
async fn unusable_signing_key_is_reported_and_nothing_is_pushed() {
    let dir = tempfile::tempdir().unwrap();
    let (locked, _) = create_key(dir.path(), "secret-words");
    for (key, reason) in [
        (locked.as_str(), "its key has a passphrase"),
        ("ssh-ed25519 AAAA nonsense", "its secret is not an SSH private key"),
    ] {
        let world = world_with_signing_key("cat > /dev/null; echo hello > greeting.txt", key).await;
        run_to_exit(&world).await;
        let failure = world.api.only_finish().failure.unwrap();
        assert_eq!(failure.sentence(), format!("The commit could not be signed: {reason}."));
        assert_eq!((failure.code(), world.branch_head(BRANCH)), ("signing_failed", None));
    }
}

#[tokio::test]
async fn missing_signing_secret_fails_before_any_fetch() {
    let world = World::with_agent("exit 1").await;
    world.api.change_script(|script| script.refuse("credentials", 422, "signing_secret_missing"));
    run_to_exit(&world).await;
    assert_eq!((world.api.failure_code(), world.api.statuses()), ("signing_failed", vec!["preparing".to_owned()]));
}
