//! Tests hostile repositories and agents.

use crate::prelude::*;
use crate::protected::run_in_repository;
use crate::world::World;

#[tokio::test]
async fn agent_link_out_of_the_repository_is_not_started() {
    let world = World::with_agent("true").await;
    std::fs::write(
        world.outside_path("evil.sh"),
        format!("#!/bin/sh\ntouch {}\n", world.outside_path("pwned").display()),
    )
    .unwrap();
    let chmod = std::process::Command::new("chmod").arg("+x").arg(world.outside_path("evil.sh")).status().unwrap();
    assert!(chmod.success());
    // The same files, with `agent.sh` as a link.
    let target = world.dir.path().join("target");
    std::fs::write(&target, world.outside_path("evil.sh").to_str().unwrap()).unwrap();
    let link = world.git_line(&["hash-object", "-w", target.to_str().unwrap()]);
    world.git_line(&["read-tree", "main"]);
    world.git_line(&["update-index", "--add", "--cacheinfo", &format!("120000,{link},agent.sh")]);
    let tree = world.git_line(&["write-tree"]);
    let commit = world.git_line(&["commit-tree", &tree, "-m", "A link"]);
    world.git_line(&["update-ref", "refs/heads/main", &commit]);

    assert_eq!(world.fails().await, "agent_script_missing");
    assert!(world.api.event_texts().contains("leads out of the repository"), "{}", world.api.event_texts());
    assert!(!world.outside_path("pwned").exists());
}

#[tokio::test]
async fn planted_hooks_and_git_settings_are_not_run() {
    let world = World::with_agent(
        r#"printf '#!/bin/sh\ntouch @DIR@/pwned\ncat\n' > @DIR@/evil.sh; chmod +x @DIR@/evil.sh
           printf '#!/bin/sh\ntouch @DIR@/pwned\n' > evil-hook; chmod +x evil-hook
           plant() {
             mkdir -p $1/hooks
             for hook in pre-commit commit-msg post-commit pre-push post-checkout post-index-change reference-transaction; do cp evil-hook $1/hooks/$hook; done
             git --git-dir=$1 config core.hooksPath $1/hooks
             git --git-dir=$1 config core.fsmonitor @DIR@/evil.sh
             git --git-dir=$1 config filter.evil.clean @DIR@/evil.sh
             git --git-dir=$1 config filter.evil.smudge @DIR@/evil.sh
             git --git-dir=$1 config credential.helper "!@DIR@/evil.sh"
             git --git-dir=$1 config core.sshCommand @DIR@/evil.sh
             git --git-dir=$1 config http.proxy http://127.0.0.1:1
             git --git-dir=$1 config url.http://127.0.0.1:1/.insteadOf http://
           }
           echo '*.txt filter=evil' > .gitattributes
           mkdir inner hooks && git init -q inner && echo inside > inner/file.txt
           git -C inner -c user.name=x -c user.email=x add . && git -C inner -c user.name=x -c user.email=x commit -qm x
           plant "$PWD/.git"; plant "$PWD/inner/.git"; plant "$PWD/../git"
           cp evil-hook hooks/pre-push
           rm -f @DIR@/pwned
           echo hello > greeting.txt"#,
    )
    .await;
    world.completes().await;
    assert!(!world.outside_path("pwned").exists(), "a planted program ran");
    assert_eq!(world.file_at(BRANCH, "greeting.txt").unwrap(), "hello\n");
    // An inner repository is committed as files, not as a link to an unknown commit.
    assert_eq!(world.file_at(BRANCH, "inner/file.txt").unwrap(), "inside\n");
}

#[tokio::test]
async fn repository_filter_is_not_run_at_checkout() {
    let files = [(".gitattributes", "*.sh filter=lfs\n", false)];
    let world = run_in_repository("acme/filtered", &files, "echo hi > new.txt").await;
    assert_eq!(world.api.only_finish().result.unwrap().files, 1);
}

#[tokio::test]
async fn job_without_isolation_is_refused_before_any_fetch() {
    let world = World::with_agent("echo hello > greeting.txt").await;
    let ran = world
        .run_with(|command| {
            command.env_remove("PULLYARD_ISOLATION");
        })
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!(world.api.failure_code(), "isolation_missing");
    assert!(world.api.statuses().is_empty() && world.api.calls("credentials").is_empty());
    assert!(!world.work_dir().join("mirrors").exists());
}
