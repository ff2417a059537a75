//! Tests the calls of git and their results in temporary repositories.

use super::*;
use pullyard_domain::project::forge::ForgeKind;
use pullyard_forge::git_login;

#[test]
fn only_commands_for_the_forge_carry_the_token() {
    let git = Git::with_login("https://forge.test/a/b.git", git_login(ForgeKind::GitHub, "secret"));
    let carries = |call: GitCall<'_>| {
        let command = git.command(&call, None);
        let encoded = git.basic_auth();
        command
            .as_std()
            .get_envs()
            .any(|(_, value)| value.is_some_and(|value| value.to_string_lossy().contains(&encoded)))
    };
    assert!(!carries(GitCall::new(["status"])));
    assert!(carries(GitCall::new(["fetch"]).with_forge_access()));
    assert_eq!(git.redact(b"bad secret"), "bad [token]");
    let header = format!("Authorization: Basic {}", git.basic_auth());
    assert_eq!(git.redact(header.as_bytes()), "Authorization: Basic [token]");
}

#[test]
fn each_call_has_a_folder() {
    let git = Git::with_login("https://forge.test/a/b.git", git_login(ForgeKind::GitHub, "secret"));
    let folder = |call: GitCall<'_>| git.command(&call, None).as_std().get_current_dir().map(Path::to_owned);
    let (repository, tree) = (Path::new("/repository"), Path::new("/tree"));
    assert_eq!(folder(GitCall::new(["init"])).as_deref(), Some(Path::new("/")));
    assert_eq!(folder(GitCall::new(["log"]).repository(repository)).as_deref(), Some(repository));
    assert_eq!(folder(GitCall::new(["add"]).repository(repository).tree(tree)).as_deref(), Some(tree));
}

#[test]
fn each_kind_of_token_has_its_own_user_name() {
    let basic = |kind, token| {
        let git = Git::with_login("https://forge.test/a/b.git", git_login(kind, token));
        let credentials = BASE64_STANDARD.decode(git.basic_auth()).unwrap();
        assert_eq!(git.redact(format!("no {}", git.token).as_bytes()), "no [token]");
        String::from_utf8(credentials).unwrap()
    };
    assert_eq!(basic(ForgeKind::GitHub, "ghp_planted"), "x-access-token:ghp_planted");
    assert_eq!(basic(ForgeKind::Bitbucket, "ATCTT-planted"), "x-token-auth:ATCTT-planted");
    let with_address = basic(ForgeKind::Bitbucket, "ann@acme.example:ATATT-planted");
    assert_eq!(with_address, "x-bitbucket-api-token-auth:ATATT-planted");
}

#[tokio::test]
async fn git_errors_are_redacted_before_they_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    let redactor = Redactor::new(["planted-secret-4711".to_owned()]);
    let git = Git::local("https://forge.test/a/b.git").with_redactor(&redactor);
    let repository = init_bare(&git, dir.path().join("git")).await.unwrap();
    for before in [0, 165, 170, 175] {
        let name = format!("{}planted-secret-4711", "x".repeat(before));
        let error = git.run(GitCall::new(["rev-parse", &name]).repository(&repository)).await.unwrap_err();
        let (debug_text, reason) = (format!("{error:?}"), error.reason());
        assert!(debug_text.contains("[redacted]"), "{debug_text}");
        assert!(!debug_text.contains("planted") && !reason.contains("planted"), "{debug_text} {reason}");
    }
}

#[tokio::test]
async fn file_transport_is_allowed_only_for_a_file_forge() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("forge.git");
    let files = Git::local(&format!("file://{}", path.display()));
    init_bare(&files, path).await.unwrap();
    let forge = Git::with_login("https://forge.test/a/b.git", git_login(ForgeKind::GitHub, "secret"));
    let list_refs = || GitCall::new(["ls-remote", "--", files.url()]);
    assert!(files.run(list_refs().with_forge_access()).await.is_ok());
    for call in [list_refs(), list_refs().with_forge_access()] {
        let error = forge.run(call).await.unwrap_err();
        assert!(error.reason().contains("transport 'file' not allowed"), "{error}");
    }
}

#[tokio::test]
async fn planted_commit_graph_is_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let git = Git::local("https://forge.test/a/b.git");
    let repository = init_bare(&git, dir.path().join("git")).await.unwrap();
    let run = async |args: &[&str], input: &str| {
        let call = GitCall::new(args).repository(&repository).input(input.as_bytes()).with_identity();
        git.run_for_line(call).await.unwrap()
    };
    let empty = run(&["mktree"], "").await;
    let file = run(&["hash-object", "-w", "--stdin"], "added").await;
    let full = run(&["mktree"], &format!("100644 blob {file}\tadded.txt\n")).await;
    let start = run(&["commit-tree", &empty], "start").await;
    let commit = run(&["commit-tree", &full, "-p", &start], "made").await;

    let graphs = ["-c", "core.commitGraph=true"];
    run(&[&graphs[..], &["commit-graph", "write", "--stdin-commits"]].concat(), &format!("{start}\n")).await;
    let bytes = |id: &str| -> Vec<u8> {
        (0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()).collect()
    };
    let (before, after) = (bytes(&empty), bytes(&full));
    let graph = repository.join("objects/info/commit-graph");
    let mut content = std::fs::read(&graph).unwrap();
    let at = content.windows(before.len()).position(|part| part == before).unwrap();
    content[at..at + after.len()].copy_from_slice(&after);
    std::fs::remove_file(&graph).unwrap();
    std::fs::write(&graph, content).unwrap();

    let diff = ["diff", "--name-only", &start, &commit];
    assert_eq!(run(&[&graphs[..], &diff].concat(), "").await, "", "the planted graph has no effect");
    assert_eq!(run(&diff, "").await, "added.txt");
}

#[tokio::test]
async fn runner_settings_override_the_repository_config() {
    let dir = tempfile::tempdir().unwrap();
    let git = Git::local("https://forge.test/a/b.git");
    let repository = init_bare(&git, dir.path().join("git")).await.unwrap();
    let planted = repository.join("config");
    for (name, theirs, ours) in [
        ("core.hooksPath", "/planted", "/dev/null"),
        ("core.fsmonitor", "/planted", "false"),
        ("core.untrackedCache", "true", "false"),
        ("core.commitGraph", "true", "false"),
        ("core.askPass", "/planted", ""),
        ("credential.helper", "!planted", ""),
        ("submodule.recurse", "true", "false"),
        ("fetch.recurseSubmodules", "true", "false"),
        ("push.recurseSubmodules", "on-demand", "no"),
        ("diff.ignoreSubmodules", "none", "all"),
        ("gc.auto", "1", "0"),
        ("maintenance.auto", "true", "false"),
        ("commit.gpgSign", "true", "false"),
        ("push.gpgSign", "true", "false"),
        ("protocol.allow", "always", "never"),
        ("http.lowSpeedLimit", "0", "1000"),
        ("http.lowSpeedTime", "0", "60"),
    ] {
        let plant_setting =
            [OsStr::new("config"), "--file".as_ref(), planted.as_os_str(), name.as_ref(), theirs.as_ref()];
        git.run(GitCall::new(plant_setting)).await.unwrap();
        let value = git.run_for_line(GitCall::new(["config", "--get", name]).repository(&repository)).await.unwrap();
        assert_eq!(value, ours, "{name}");
    }
}

#[tokio::test]
async fn push_waits_longer_for_the_answer_of_the_forge() {
    let git = Git::local("https://forge.test/a/b.git");
    let show = || GitCall::new(["config", "--get", "http.lowSpeedTime"]);
    assert_eq!(git.run_for_line(show().slow_answer()).await.unwrap(), "300");
    assert_eq!(git.run_for_line(show()).await.unwrap(), "60");
}

#[tokio::test]
async fn git_inherits_only_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let git = Git::local("https://forge.test/a/b.git");
    let repository = init_bare(&git, dir.path().join("git")).await.unwrap();
    let show_env = GitCall::new(["-c", "alias.shows=!env", "shows"]).repository(&repository);
    let environment = String::from_utf8(git.run(show_env).await.unwrap()).unwrap();
    for line in [
        "HOME=/dev/null",
        "LC_ALL=C",
        "GIT_CONFIG_NOSYSTEM=1",
        "GIT_CONFIG_GLOBAL=/dev/null",
        "GIT_ATTR_NOSYSTEM=1",
        "GIT_TERMINAL_PROMPT=0",
        "GIT_NO_REPLACE_OBJECTS=1",
        "GIT_OPTIONAL_LOCKS=0",
    ] {
        assert!(environment.lines().any(|variable| variable == line), "{line}: {environment}");
    }
    // The alias's shell sets some variables itself.
    let expected = ["PATH", "HOME", "LC_ALL", "PWD", "OLDPWD", "SHLVL", "_"];
    let names = environment.lines().filter_map(|line| line.split_once('=').map(|(name, _)| name));
    let unexpected: Vec<&str> = names.filter(|name| !expected.contains(name) && !name.starts_with("GIT_")).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    assert!(!environment.contains("AUTHOR"), "a call that creates no commit has an author: {environment}");
}

#[tokio::test]
async fn cut_stderr_contains_no_part_of_a_secret() {
    let dir = tempfile::tempdir().unwrap();
    let (stderr_file, secret) = (dir.path().join("said"), "planted-secret-4711");
    let git = Git::local("https://forge.test/a/b.git").with_redactor(&Redactor::new([secret.to_owned()]));
    let says = format!("alias.says=!cat '{}' >&2; exit 1", stderr_file.display());
    for secret_bytes in [1, 7, secret.len() - 1] {
        let before = usize::try_from(MAX_STDERR_BYTES).unwrap() - secret_bytes;
        std::fs::write(&stderr_file, format!("{}{secret} and on", "x".repeat(before))).unwrap();
        let error = git.run(GitCall::new(["-c", &says, "says"])).await.unwrap_err();
        let GitError::Failed { stderr, .. } = error else { panic!("{error}") };
        let (length, is_clean) = (stderr.len(), stderr.bytes().all(|byte| byte == b'x'));
        assert!(length > before / 2 && is_clean, "{secret_bytes} bytes of the secret were read, {length} bytes remain");
    }
}

#[tokio::test]
async fn missing_commit_is_none_and_a_broken_one_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let git = Git::local("");
    let repository = init_bare(&git, dir.path().join("git")).await.unwrap();
    let run_git = async |args: &[&str]| {
        git.run_for_line(GitCall::new(args).repository(&repository).with_identity()).await.unwrap()
    };
    let tree = run_git(&["mktree"]).await;
    let first = run_git(&["commit-tree", &tree, "-m", "first"]).await;
    let second = run_git(&["commit-tree", &tree, "-p", &first, "-m", "second"]).await;
    let before = async |commit: &str| resolve_commit(&git, &repository, &format!("{commit}^")).await;
    assert_eq!(before(&second).await.unwrap(), Some(first.clone()));
    assert_eq!(before(&first).await.unwrap(), None);
    for none in ["refs/heads/none", tree.as_str(), "1".repeat(40).as_str()] {
        assert_eq!(resolve_commit(&git, &repository, none).await.unwrap(), None, "{none}");
    }
    let (folder, name) = first.split_at(2);
    let object = repository.join("objects").join(folder).join(name);
    std::fs::remove_file(&object).unwrap();
    std::fs::write(&object, "broken").unwrap();
    let error = before(&second).await.unwrap_err();
    assert!(error.reason().contains("loose object"), "{error}");
}
