//! Tests that files planted by an agent or a check never affect the commit, its signature or the push.

use crate::prelude::*;
use crate::world::World;
use std::ffi::OsString;

const GREETING_AGENT: &str = "cat > /dev/null; echo hello > greeting.txt";
const SECRET: &str = "the-model's/key+0123";

pub(crate) const SIGNING_KEY: &str =
    "-----BEGIN OPENSSH PRIVATE KEY-----\nbWFkZS11cC1rZXk\n-----END OPENSSH PRIVATE KEY-----";

pub(crate) fn write_fake_signer(world: &World) -> OsString {
    let folder = world.outside_path("bin");
    let script = format!(
        "for last; do :; done\n\
         while [ $# -gt 0 ]; do [ \"$1\" = -f ] && key=$2; shift; done\n\
         {{ ls -l \"$key\" | cut -c1-10; cat \"$key\"; }} >> {}\n\
         printf -- '-----BEGIN SSH SIGNATURE-----\\nZmFrZQ==\\n-----END SSH SIGNATURE-----\\n' > \"$last.sig\"",
        world.outside_path("signed").display()
    );
    pullyard_test_script::write_script(folder.join("ssh-keygen"), &script);
    let path = std::env::var_os("PATH").unwrap();
    std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&path))).unwrap()
}

fn write_marker_program(world: &World) {
    let script = format!("touch {}\ncat", world.outside_path("pwned").display());
    pullyard_test_script::write_script(world.outside_path("evil.sh"), &script);
}

async fn run_to_success(world: &World) {
    world.api.change_script(|script| script.push_for_secs = Some(60));
    world.completes().await;
    assert!(!world.outside_path("pwned").exists(), "a planted program ran");
    assert_eq!(world.file_at(BRANCH, "greeting.txt").as_deref(), Some("hello\n"));
}

#[tokio::test]
async fn git_settings_written_by_a_check_are_discarded() {
    let check = "git --git-dir=../git config http.proxy http://127.0.0.1:1; \
                 git --git-dir=../git config filter.evil.smudge @DIR@/evil.sh; echo dirt > README.md; \
                 [ -e @DIR@/once ] || { touch @DIR@/once; exit 4; }";
    let agent = format!("{GREETING_AGENT}; echo '* filter=evil' > .gitattributes");
    let world = with_checks(&agent, &[check], |all| all.checks.repair = true).await;
    write_marker_program(&world);
    run_to_success(&world).await;
    assert_eq!(world.file_at(BRANCH, "README.md").as_deref(), Some("# App\n"));
    assert_eq!(world.api.only_finish().work.unwrap().checks.len(), 2);
}

#[tokio::test]
async fn planted_files_of_setup_are_neither_run_nor_followed() {
    let world = with_checks(GREETING_AGENT, &[], |_| ()).await;
    write_marker_program(&world);
    std::fs::write(world.outside_path("victim"), "mine\n").unwrap();
    let plants = [
        "echo dirt > README.md; echo made > made.txt; mkdir -p ../git/info",
        "git --git-dir=../git config filter.evil.smudge @DIR@/evil.sh; echo '* filter=evil' > ../git/info/attributes",
        "rm -f ../git/info/exclude; ln -s @DIR@/victim ../git/info/exclude",
        "rm -rf .git/info; ln -s @DIR@ .git/info",
    ];
    let plants = plants.map(|line| line.replace("@DIR@", world.outside_path("").to_str().unwrap()));
    world.api.change_assignment(|job| job.commands.as_mut().unwrap().setup.commands = plants.to_vec());
    run_to_success(&world).await;
    assert_eq!(std::fs::read_to_string(world.outside_path("victim")).unwrap(), "mine\n");
    assert!(!world.outside_path("exclude").exists(), "the exclude list was written through a link");
    assert_eq!(world.file_at(BRANCH, "README.md").as_deref(), Some("# App\n"));
    assert_eq!(world.file_at(BRANCH, "made.txt"), None);
}

#[tokio::test]
async fn pipes_left_by_setup_in_git_lists_do_not_block() {
    let world = with_checks(GREETING_AGENT, &[], |_| ()).await;
    let plants = [
        "echo made > made.txt; mkdir -p ../git/info; rm -f ../git/info/exclude; mkfifo ../git/info/exclude",
        "mkfifo ../git/packed-refs ../git/$(git rev-parse HEAD)",
    ];
    world
        .api
        .change_assignment(|job| job.commands.as_mut().unwrap().setup.commands = plants.map(str::to_owned).to_vec());
    run_to_success(&world).await;
    assert_eq!(world.file_at(BRANCH, "made.txt"), None);
}

#[tokio::test]
async fn pipes_left_as_git_attributes_and_ignores_do_not_block() {
    let pipes = "mkdir -p new; rm -f .gitattributes; mkfifo .gitattributes new/.gitignore new/.gitattributes";
    let check = format!("[ -e @DIR@/once ] || {{ touch @DIR@/once; {pipes}; exit 4; }}");
    let world = with_checks(GREETING_AGENT, &[&check], |all| {
        all.setup.commands = vec![pipes.to_owned()];
        all.checks.repair = true;
    })
    .await;
    run_to_success(&world).await;
    assert_eq!(world.git_line(&["diff", "--name-status", "main", BRANCH]), "A\tgreeting.txt");
}

#[tokio::test]
async fn unchanged_file_is_not_rewritten_after_setup() {
    let agent = format!("{GREETING_AGENT}; [ -z \"$(find README.md -newermt 2021-01-01)\" ] || exit 9");
    let world = with_checks(&agent, &[], |_| ()).await;
    let lines = ["touch -t 202001010000 README.md"].map(str::to_owned);
    world.api.change_assignment(|job| job.commands.as_mut().unwrap().setup.commands = lines.to_vec());
    run_to_success(&world).await;
}

#[tokio::test]
async fn check_cannot_choose_the_signing_program() {
    let check = "git --git-dir=../git config gpg.ssh.program @DIR@/evil.sh";
    let world = with_checks(GREETING_AGENT, &[check], |_| ()).await;
    write_marker_program(&world);
    let path = write_fake_signer(&world);
    world.api.change_script(|script| script.signing_key = Some(SIGNING_KEY.into()));
    let ran = world.run_under("PATH", path).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{:?} {}", world.api.only_finish(), ran.log);
    assert!(!world.outside_path("pwned").exists(), "the check's program received the key");
    assert!(world.outside_path("signed").exists());
}

#[tokio::test]
async fn settings_of_a_planted_common_repository_are_ignored() {
    let world = World::with_agent(
        "git init -q --bare @DIR@/common; git --git-dir=@DIR@/common config http.proxy http://127.0.0.1:1
         mkdir -p @DIR@/common/objects/info; cp ../git/objects/info/alternates @DIR@/common/objects/info/
         (cd ../git/objects && pwd) >> @DIR@/common/objects/info/alternates
         echo @DIR@/common > ../git/commondir; echo hello > greeting.txt",
    )
    .await;
    run_to_success(&world).await;
}

#[tokio::test]
async fn pipes_and_links_as_git_settings_are_not_followed() {
    let world = World::with_agent(
        "rm ../git/config ../git/objects/info/alternates; mkfifo ../git/config
         ln -s @DIR@/victim ../git/objects/info/alternates; echo hello > greeting.txt",
    )
    .await;
    std::fs::write(world.outside_path("victim"), "mine\n").unwrap();
    run_to_success(&world).await;
    assert_eq!(std::fs::read_to_string(world.outside_path("victim")).unwrap(), "mine\n");
}

#[tokio::test]
async fn secret_hidden_by_a_replace_ref_is_found() {
    let world = World::with_agent("exit 1").await;
    let fine = world.outside_path("fine");
    std::fs::write(&fine, "fine\n").unwrap();
    world.api.change_assignment(|job| {
        set_command(
            job,
            &format!(
                "cat > /dev/null; echo \"key = {SECRET}\" > settings.ini; secret=$(git hash-object settings.ini)
                 fine=$(git --git-dir=../git hash-object -w {}) || exit 9
                 git --git-dir=../git update-ref refs/replace/$secret $fine || exit 9",
                fine.display()
            ),
        );
    });
    let ran = world.run_under("SOME_MODEL_KEY", SECRET).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!((world.api.failure_code(), world.branch_head(BRANCH)), ("secret_in_change", None), "{}", ran.log);
}

#[tokio::test]
async fn planted_attributes_do_not_change_committed_content() {
    let world = World::with_agent(
        "printf 'a\\r\\n' > crlf.txt; mkdir -p ../git/info; echo '* text' > ../git/info/attributes
         echo hello > greeting.txt",
    )
    .await;
    run_to_success(&world).await;
    assert_eq!(world.file_at(BRANCH, "crlf.txt").as_deref(), Some("a\r\n"));
}

#[tokio::test]
async fn git_file_pointing_elsewhere_has_no_effect() {
    let world = World::with_agent(
        "git init -q @DIR@/other; git -C @DIR@/other config core.fsmonitor @DIR@/evil.sh
         git -C @DIR@/other config core.worktree @DIR@
         rm -rf .git; echo 'gitdir: @DIR@/other/.git' > .git; echo hello > greeting.txt",
    )
    .await;
    write_marker_program(&world);
    run_to_success(&world).await;
    assert_eq!(world.git_line(&["diff", "--name-status", "main", BRANCH]), "A\tgreeting.txt");
}

fn add_submodule(world: &World) -> String {
    let commit = "1".repeat(40);
    let evil = format!("ext::{} %S", world.outside_path("evil.sh").display());
    let modules = world.outside_path("gitmodules");
    std::fs::write(&modules, format!("[submodule \"sub\"]\n\tpath = sub\n\turl = \"{evil}\"\n")).unwrap();
    let modules = world.git_line(&["hash-object", "-w", modules.to_str().unwrap()]);
    world.git_line(&["read-tree", "main"]);
    for entry in [format!("100644,{modules},.gitmodules"), format!("160000,{commit},sub")] {
        world.git_line(&["update-index", "--add", "--cacheinfo", &entry]);
    }
    let tree = world.git_line(&["write-tree"]);
    let main = world.git_line(&["commit-tree", &tree, "-m", "A submodule"]);
    world.git_line(&["update-ref", "refs/heads/main", &main]);
    commit
}

#[tokio::test]
async fn pipes_in_a_submodule_repository_do_not_block() {
    for pipe in ["HEAD", "commondir", "config", "refs/heads/main"] {
        let agent = format!(
            "{GREETING_AGENT}; [ -e sub/.git ] || {{ git init -q -b main sub
             git -C sub -c user.name=x -c user.email=x@example.com commit -qm x --allow-empty
             rm -f sub/.git/{pipe}; mkfifo sub/.git/{pipe}; }}"
        );
        // The check's changes are reverted before the repair.
        let check = "[ -e @DIR@/once ] || { touch @DIR@/once; exit 4; }";
        let world = with_checks(&agent, &[check], |all| all.checks.repair = true).await;
        let commit = add_submodule(&world);
        run_to_success(&world).await;
        assert_eq!(world.git_line(&["ls-tree", BRANCH, "sub"]), format!("160000 commit {commit}\tsub"), "{pipe}");
        assert_eq!(world.git_line(&["diff", "--name-status", "main", BRANCH]), "A\tgreeting.txt", "{pipe}");
    }
}

#[tokio::test]
async fn pipes_in_the_mirror_block_neither_this_nor_later_jobs() {
    let world = World::with_agent(
        "mirror=$(head -n 1 .git/objects/info/alternates)/..; mkdir -p \"$mirror/logs\" ../git/logs
         mkfifo \"$mirror/objects/pack/multi-pack-index\" ../git/objects/pack/multi-pack-index
         rm -f \"$mirror/config\" \"$mirror/HEAD\" ../git/objects/info/alternates
         mkfifo \"$mirror/config\" \"$mirror/HEAD\" \"$mirror/objects/info/alternates\" ../git/objects/info/alternates
         mkfifo \"$mirror/logs/HEAD\" ../git/logs/HEAD; ln -s \"$mirror/config\" \"$mirror/packed-refs\"
         echo hello > greeting.txt",
    )
    .await;
    run_to_success(&world).await;
    assert_repeatable(&world).await;
}

async fn assert_repeatable(world: &World) {
    if world.branch_head(BRANCH).is_some() {
        world.git_line(&["update-ref", "-d", &format!("refs/heads/{BRANCH}")]);
    }
    world.api.next_attempt(|job| job.checkpoint = false);
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert_eq!(world.file_at(BRANCH, "greeting.txt").as_deref(), Some("hello\n"), "{}", ran.log);
}

#[tokio::test]
async fn planted_alternates_of_the_mirror_are_ignored() {
    let world = World::with_agent(
        "mirror=$(dirname \"$(head -n 1 .git/objects/info/alternates)\")
         [ -e @DIR@/other ] || { mkdir -p @DIR@/other/pack; mkfifo @DIR@/other/pack/multi-pack-index; }
         echo @DIR@/other > \"$mirror/objects/info/alternates\"; echo hello > greeting.txt",
    )
    .await;
    run_to_success(&world).await;
    assert_repeatable(&world).await;
}

#[tokio::test]
async fn replaced_mirror_fails_the_job_and_is_created_again() {
    for moved in ["$mirror", "$mirror/objects"] {
        let world = World::with_agent(&format!(
            "mirror=$(dirname \"$(head -n 1 .git/objects/info/alternates)\"); echo hello > greeting.txt
             [ -e @DIR@/moved ] || {{ mv \"{moved}\" @DIR@/moved; ln -s @DIR@/moved \"{moved}\"
             at=$(find @DIR@/moved/ -type d -name pack); mkfifo \"$at/multi-pack-index\"; }}"
        ))
        .await;
        assert_eq!((world.fails().await, world.branch_head(BRANCH)), ("workspace_failed", None));
        let sentence = world.api.only_finish().failure.unwrap().sentence();
        assert!(sentence.contains("folder `objects` was taken away or leads"), "{sentence}");
        assert_repeatable(&world).await;
    }
}

#[tokio::test]
async fn submodule_is_not_fetched_and_its_commit_stays() {
    let world = World::with_agent(
        "ls -A sub > @DIR@/sub; git init -q sub; echo x > sub/file.txt
         git -C sub -c user.name=x -c user.email=x@example.com commit -qm x --allow-empty
         git -C sub config core.fsmonitor @DIR@/evil.sh; git -C sub config core.hooksPath @DIR@
         echo hello > greeting.txt",
    )
    .await;
    write_marker_program(&world);
    let commit = add_submodule(&world);

    run_to_success(&world).await;
    assert_eq!(std::fs::read_to_string(world.outside_path("sub")).unwrap(), "", "submodule fetched");
    assert_eq!(world.git_line(&["ls-tree", BRANCH, "sub"]), format!("160000 commit {commit}\tsub"));
    assert_eq!(world.git_line(&["diff", "--name-status", "main", BRANCH]), "A\tgreeting.txt");
}

#[tokio::test]
async fn planted_git_state_hides_no_change_from_the_commit() {
    for plant in [
        "mkdir -p ../git/info; echo '*' > ../git/info/exclude",
        "git --git-dir=../git --work-tree=. update-index --skip-worktree README.md",
        "git --git-dir=../git --work-tree=. update-index --assume-unchanged README.md",
        "touch ../git/index.lock",
        "rm ../git/index ../git/HEAD; mkfifo ../git/index ../git/HEAD",
        "mkdir -p ../git/refs/heads; mkfifo ../git/packed-refs ../git/refs/heads/main",
        "mkfifo ../git/$(git rev-parse HEAD)",
        "git --git-dir=../git config core.sparseCheckout true; mkdir -p ../git/info; echo /none > ../git/info/sparse-checkout",
        "git --git-dir=../git config core.worktree @DIR@",
    ] {
        // Planted by the agent, before its own work.
        let world = World::with_agent(&format!("{plant}; echo changed >> README.md; echo hello > greeting.txt")).await;
        run_to_success(&world).await;
        assert_eq!(world.file_at(BRANCH, "README.md").as_deref(), Some("# App\nchanged\n"), "{plant}");
        // Planted by a check, before the repair.
        let agent = format!("{GREETING_AGENT}; [ ! -e @DIR@/once ] || echo changed >> README.md");
        let check = format!("[ -e @DIR@/once ] || {{ touch @DIR@/once; {plant}; exit 4; }}");
        let world = with_checks(&agent, &[&check], |all| all.checks.repair = true).await;
        run_to_success(&world).await;
        assert_eq!(world.file_at(BRANCH, "README.md").as_deref(), Some("# App\nchanged\n"), "{plant}");
    }
}

#[tokio::test]
async fn link_in_place_of_a_runner_folder_fails_the_job() {
    for folder in ["tree", "git"] {
        let plant = format!(
            "git init -q @DIR@/other; echo theirs > @DIR@/other/theirs.txt; cd ..; mv {folder} moved; \
             ln -s @DIR@/other {folder}"
        );
        // Planted by the agent, by a check, and by a check before a repair.
        let agent = World::with_agent(&format!("echo hello > greeting.txt; {plant}")).await;
        let checked = with_checks(GREETING_AGENT, &[&plant], |_| ()).await;
        let mended = with_checks(GREETING_AGENT, &[&format!("{plant}; exit 4")], |all| all.checks.repair = true).await;
        for world in [agent, checked, mended] {
            assert_eq!((world.fails().await, world.branch_head(BRANCH)), ("workspace_failed", None));
            let sentence = world.api.only_finish().failure.unwrap().sentence();
            assert!(sentence.contains(&format!("folder `{folder}` was taken away or leads elsewhere")), "{sentence}");
            assert_eq!(std::fs::read_to_string(world.outside_path("other/theirs.txt")).unwrap(), "theirs\n");
            let settings = std::fs::read_to_string(world.outside_path("other/.git/config")).unwrap();
            assert!(settings.contains("bare = false"), "the runner's settings were written");
            assert!(!world.outside_path("other/config").exists(), "the runner's settings were written");
            let entry_count = std::fs::read_dir(world.outside_path("other")).unwrap().count();
            assert_eq!(entry_count, 2, "files were added or removed");
        }
    }
}

#[tokio::test]
async fn ignored_repositories_stay_and_others_become_files() {
    let inner =
        "for inner in build/_deps/lib seen; do mkdir -p $inner; git init -q $inner; echo x > $inner/file.txt; done";
    let agent = format!("{GREETING_AGENT}; echo build/ > .gitignore; {inner}");
    let check = "git -C build/_deps/lib rev-parse --git-dir | grep -qx .git && [ ! -e seen/.git ]";
    let world = with_checks(&agent, &[check], |_| ()).await;
    run_to_success(&world).await;
    let files = "A\t.gitignore\nA\tgreeting.txt\nA\tseen/file.txt";
    assert_eq!(world.git_line(&["diff", "--name-status", "main", BRANCH]), files);
}

#[tokio::test]
async fn unreadable_folders_and_pipes_neither_hide_files_nor_block() {
    let world = World::with_agent(
        "mkdir -p closed/inner; echo kept > closed/inner/kept.txt; mkfifo closed/pipe closed/.gitattributes
         chmod 600 closed/inner; chmod 000 closed; echo hello > greeting.txt",
    )
    .await;
    run_to_success(&world).await;
    assert_eq!(world.file_at(BRANCH, "closed/inner/kept.txt").as_deref(), Some("kept\n"));
    let files = "A\tclosed/inner/kept.txt\nA\tgreeting.txt";
    assert_eq!(world.git_line(&["diff", "--name-status", "main", BRANCH]), files);
}

#[tokio::test]
async fn pipe_in_place_of_a_file_is_a_deletion() {
    let world = World::with_agent("rm README.md; mkfifo README.md; echo hello > greeting.txt").await;
    run_to_success(&world).await;
    assert_eq!(world.git_line(&["diff", "--name-status", "main", BRANCH]), "D\tREADME.md\nA\tgreeting.txt");
}
