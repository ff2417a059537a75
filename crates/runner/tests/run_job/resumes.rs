//! Tests which work of an earlier attempt is resumed: lost, broken or hostile checkpoints, and moved branches.

use crate::prelude::*;
use crate::world::World;
use crate::yields::paused_world;
use tar::{EntryType, Header};

const WORKING_AGENT: &str = "cat > /dev/null; echo half > half.txt; echo waiting; while :; do sleep 0.05; done";

pub(crate) fn pack_checkpoint(files: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (kind, name, content) in files {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_cksum();
        archive.append(&header, *content).unwrap();
    }
    zstd::encode_all(archive.into_inner().unwrap().as_slice(), 1).unwrap()
}

fn checkpoint_description(world: &World, change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let mut about = serde_json::json!({
        "format": 1, "agent": "command", "read": 0, "tree": "/tree", "start": world.branch_head("main").unwrap(),
        "branch": BRANCH, "task": "",
    });
    change(&mut about);
    serde_json::to_vec(&about).unwrap()
}

/// Verifies that a preferring job starts over and a requiring job fails.
async fn check_not_resumed(world: &World, reason: &str) {
    for policy in [Policy::Prefer, Policy::Require] {
        world.api.next_attempt(|job| {
            set_resume(job, policy, &[]);
            set_command(job, "cat > /dev/null; cat half.txt; ls; echo anew > anew.txt");
        });
        let ran = run_on_another_machine(world).await;
        assert_eq!(ran.code, Some(0), "{reason}: {}", ran.log);
        let (finish, texts) = (world.api.only_finish(), world.api.event_texts());
        assert!(texts.contains(&format!("cannot be resumed, because {reason}")), "{reason}: {texts}");
        if policy == Policy::Require {
            assert_eq!(world.api.failure_code(), "session_lost", "{reason}");
        } else {
            assert_eq!(finish.outcome, FinishOutcome::Completed, "{reason}: {finish:?}");
            assert_eq!(world.file_at(BRANCH, "anew.txt").as_deref(), Some("anew\n"));
            assert_eq!(world.file_at(BRANCH, "half.txt"), None, "{reason}");
            world.git_line(&["update-ref", "-d", &format!("refs/heads/{BRANCH}")]);
        }
    }
}

#[tokio::test]
async fn lost_or_changed_checkpoint_is_not_resumed() {
    let world = paused_world(WORKING_AGENT).await;
    world.api.replace_object("checkpoint.tar.zst", Some(b"something else".to_vec()));
    check_not_resumed(&world, "it can't be read: it differs from the uploaded one").await;
    world.api.replace_object("checkpoint.tar.zst", None);
    check_not_resumed(&world, "it could not be fetched: the bucket answered 404").await;
    world.api.change_script(|script| script.refuse("checkpoint", 404, "not_found"));
    check_not_resumed(&world, "no part of it was stored").await;
}

#[tokio::test]
async fn hostile_checkpoint_writes_no_file() {
    let world = World::with_agent("exit 1").await;
    let about = checkpoint_description(&world, |_| ());
    let outside = world.outside_path("planted");
    let target = outside.to_str().unwrap();
    let link = format!(
        "diff --git a/way b/way\nnew file mode 120000\n--- /dev/null\n+++ b/way\n@@ -0,0 +1 @@\n+{}\n\
         \\ No newline at end of file\ndiff --git a/way/planted b/way/planted\nnew file mode 100644\n--- /dev/null\n\
         +++ b/way/planted\n@@ -0,0 +1 @@\n+evil\n",
        outside.parent().unwrap().display()
    );
    let patch = |path: &str| {
        format!(
            "diff --git a/{path} b/{path}\nnew file mode 100755\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+evil\n"
        )
    };
    let plain = EntryType::Regular;
    for (files, reason) in [
        (vec![(plain, "about.json", about.as_slice()), (plain, "../planted", b"evil")], "it can't be read: it holds"),
        (vec![(plain, target, b"evil".as_slice())], "it can't be read: it holds"),
        (vec![(EntryType::Symlink, "session", b"".as_slice())], "it can't be read: it holds"),
        (vec![(plain, "other", b"".as_slice())], "it can't be read: "),
        (vec![(plain, "about.json", b"{\"format\":2}".as_slice())], "it can't be read: a newer runner kept it"),
        (
            vec![(plain, "about.json", about.as_slice()), (plain, "work.patch", link.as_bytes())],
            "its work does not fit",
        ),
        (
            vec![(plain, "about.json", about.as_slice()), (plain, "work.patch", patch("../planted").as_bytes())],
            "its work does not fit",
        ),
        (
            vec![
                (plain, "about.json", about.as_slice()),
                (plain, "work.patch", patch(".git/hooks/pre-commit").as_bytes()),
            ],
            "its work does not fit",
        ),
    ] {
        world.api.store_checkpoint(pack_checkpoint(&files));
        world.api.next_attempt(|job| {
            set_resume(job, Policy::Require, &[]);
            set_command(job, "exit 1");
        });
        let ran = run_on_another_machine(&world).await;
        assert_eq!((ran.code, world.api.failure_code()), (Some(0), "session_lost"), "{reason}: {}", ran.log);
        let texts = world.api.event_texts();
        assert!(texts.contains(&format!("because {reason}")), "{reason}: {texts}");
        assert!(!outside.exists(), "{reason}");
        assert_eq!(world.leftover_processes(), [""; 0]);
    }
}

#[tokio::test]
async fn invalid_checkpoint_is_reported_by_position_without_quotes() {
    let world = World::with_agent("exit 1").await;
    let odd = checkpoint_description(&world, |about| about["read"] = "a note of somebody".into());
    for (content, wrong) in
        [(odd.as_slice(), "a value is not what it should be"), (b"a note of somebody".as_slice(), "it is no JSON")]
    {
        world.api.store_checkpoint(pack_checkpoint(&[(EntryType::Regular, "about.json", content)]));
        world.api.next_attempt(|job| {
            set_resume(job, Policy::Require, &[]);
            set_command(job, "exit 1");
        });
        let ran = run_on_another_machine(&world).await;
        assert_eq!((ran.code, world.api.failure_code()), (Some(0), "session_lost"), "{wrong}: {}", ran.log);
        let texts = world.api.event_texts();
        let message = format!("because it can't be read: `about.json`: {wrong}, at line 1, column ");
        assert!(texts.contains(&message), "{wrong}: {texts}");
        assert!(!texts.contains("a note of") && !ran.log.contains("a note of"), "{wrong}: {texts} {}", ran.log);
    }
}

#[tokio::test]
async fn work_on_a_force_pushed_base_is_not_resumed() {
    let world = World::with_agent(WORKING_AGENT).await;
    let first = world.branch_head("main").unwrap();
    world.commit_on("main", "Has a key in it");
    world.pauses().await;
    world.git_line(&["update-ref", "refs/heads/main", &first]);
    check_not_resumed(&world, "its work does not fit: the commit that it started from is no longer on the branch")
        .await;
}
