//! Clones and pushes with git over HTTP, and their refusals.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::prelude::*;
use crate::world::{TOKEN, World, git, git_as, stderr};

#[tokio::test]
async fn clone_has_files_and_modes() {
    let world = World::new().await;
    let worktree = world.clone("clone").await;
    let listed = worktree.git(&["ls-tree", "-r", "HEAD"]).await;
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("100644 blob") && listed.contains("\tREADME.md"), "{listed}");
    assert!(listed.contains("100755 blob") && listed.contains("\tbin/run me.sh"), "{listed}");
    assert_eq!(std::fs::read_to_string(worktree.path.join("README.md")).unwrap(), "# App\n");
}

#[tokio::test]
async fn shallow_and_partial_clones_work() {
    let world = World::new().await;
    for option in ["--depth=1", "--filter=blob:none"] {
        let target = format!("clone{option}");
        let args = ["clone", "-q", option, "--", &world.repository.clone_url, &target];
        let output = git(world.dir.path(), &args).await;
        assert_success(&output);
        assert!(!stderr(&output).contains("filtering not recognized"), "{}", stderr(&output));
    }
}

#[tokio::test]
async fn large_chunked_push_arrives_intact() {
    let world = World::new().await;
    let worktree = world.clone("big").await;
    // Random bytes, so that the compressed pack exceeds the buffers of git and the forge.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(6 * 1024 * 1024)
    .collect();
    worktree.commit("big", "noise.bin", &noise).await;
    let pushed = worktree.git(&["push", "-q", "origin", "big"]).await;
    assert_success(&pushed);
    let trace = stderr(&pushed).to_lowercase();
    assert!(trace.contains("transfer-encoding: chunked"), "the push was not big enough");

    assert_eq!(world.branch_head("big").await, worktree.head().await);
    let back = world.clone("back").await;
    assert_success(&back.git(&["checkout", "-q", "big"]).await);
    assert!(std::fs::read(back.path.join("noise.bin")).unwrap() == noise);
}

#[tokio::test]
async fn gzipped_fetch_request_is_accepted() {
    let world = World::new().await;
    let worktree = world.clone("many").await;
    // Many distinct commits, so that git compresses its long list of wants.
    let stream: String = (0..60)
        .map(|n| {
            format!(
                "commit refs/heads/many/{n}\ncommitter T <t@example.com> {} +0000\ndata 1\nx\n\
                 from refs/heads/main^0\n\n",
                1_700_000_000 + n
            )
        })
        .collect();
    let import = ["fast-import", "--quiet", "--date-format=raw"];
    assert_success(&git_as(&worktree.path, None, &import, stream.as_bytes()).await);
    assert_success(&worktree.git(&["push", "-q", "origin", "--all"]).await);

    for version in ["0", "2"] {
        let config = format!("protocol.version={version}");
        let target = format!("clone-{version}");
        let args = ["-c", &config, "clone", &world.repository.clone_url, &target];
        let output = git(world.dir.path(), &args).await;
        assert_success(&output);
        let trace = stderr(&output).to_lowercase();
        assert!(trace.contains("content-encoding: gzip"), "the request was not compressed");
    }
}

#[tokio::test]
async fn only_one_of_four_pushes_with_one_lease_succeeds() {
    let world = World::new().await;
    let old = world.push_branch("job").await;
    let mut worktrees = Vec::new();
    for n in 0..4 {
        let worktree = world.clone(&format!("racer-{n}")).await;
        assert_success(&worktree.git(&["checkout", "-q", "job"]).await);
        worktree.commit("job", "racer.txt", n.to_string().as_bytes()).await;
        worktrees.push(worktree);
    }
    let lease = format!("--force-with-lease=refs/heads/job:{old}");
    let args = ["push", "--porcelain", &lease, "origin", "HEAD:refs/heads/job"];
    let pushes = worktrees.iter().map(|worktree| worktree.git(&args));
    let outputs = futures::future::join_all(pushes).await;
    let admitted: Vec<usize> = (0..4).filter(|&n| outputs[n].status.success()).collect();
    assert_eq!(admitted.len(), 1, "{}", outputs.iter().map(stderr).collect::<String>());
    assert_eq!(world.branch_head("job").await, worktrees[admitted[0]].head().await);
}

#[tokio::test]
async fn push_to_protected_refs_is_rejected() {
    let world = World::new().await;
    let worktree = world.clone("clone").await;
    for target in ["HEAD:refs/pull/1/head", ":refs/heads/main"] {
        let output = worktree.git(&["push", "origin", target]).await;
        assert!(!output.status.success(), "{target}");
        assert!(stderr(&output).contains("rejected"), "{}", stderr(&output));
    }
    assert!(!world.branch_head("main").await.is_empty());
}

#[tokio::test]
async fn git_without_a_valid_token_is_unauthorized() {
    let world = World::new().await;
    let url = &world.repository.clone_url;
    for token in [None, Some("wrong"), Some("")] {
        let output = git_as(world.dir.path(), token, &["ls-remote", url], b"").await;
        assert!(!output.status.success(), "{token:?}");
    }
    for service in ["info/refs?service=git-upload-pack", "info/refs?service=git-receive-pack"] {
        let answer = http().get(format!("{url}/{service}")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 401);
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic "));
    }
    let post = http().post(format!("{url}/git-receive-pack")).send().await;
    assert_eq!(post.unwrap().status().as_u16(), 401);
}

#[tokio::test]
async fn path_traversal_and_git_files_return_404() {
    let world = World::new().await;
    std::fs::write(world.dir.path().join("secret"), "secret").unwrap();
    for path in [
        "/../../etc/passwd",
        "/../secret/info/refs?service=git-upload-pack",
        "/acme/../../secret/info/refs?service=git-upload-pack",
        "/acme/..%2f..%2fsecret/info/refs?service=git-upload-pack",
        "/%2e%2e/%2e%2e/info/refs?service=git-upload-pack",
        "/acme/%2e%2e/info/refs?service=git-upload-pack",
        "/acme/app%00/info/refs?service=git-upload-pack",
        "/acme%2fapp/x/info/refs?service=git-upload-pack",
        "//acme/app/info/refs?service=git-upload-pack",
        "/acme/app.git/config",
        "/acme/app.git/HEAD",
        "/acme/app.git/objects/info/packs",
        "/acme/app.json",
        "/server.gitconfig",
        "/acme/../pull/1",
        "/%2e%2e/secret/pull/1.diff",
        "/api/v3/repos/../../secret",
        "/api/v3/repos/%2e%2e/%2e%2e",
        "/api/v3/repos/acme/app%2f..",
    ] {
        assert_eq!(raw_get(&world, path).await, 404, "{path}");
    }
    assert_eq!(raw_get(&world, "/acme/app/info/refs?service=git-upload-pack").await, 200);
}

/// A raw push whose hook blocks: its connection, and the hook's process.
async fn start_blocked_push(world: &World) -> (TcpStream, String) {
    let job = world.push_branch("job").await;
    let (hook, begun) = (world.repository.git_dir.join("hooks/pre-receive"), world.dir.path().join("begun"));
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}\nwhile :; do sleep 0.05; done", begun.display());
    pullyard_test_script::write_script(&hook, &script);
    // Deleting a branch needs no objects.
    let command = format!("{job} {} refs/heads/job\0 report-status delete-refs", "0".repeat(40));
    let body = format!("{:04x}{command}0000", command.len() + 4);
    let authority = world.demo.url().replace("http://", "");
    let request = format!(
        "POST /acme/app.git/git-receive-pack HTTP/1.1\r\nHost: {authority}\r\n\
         Authorization: Basic {}\r\nContent-Length: {}\r\n\
         Content-Type: application/x-git-receive-pack-request\r\n\r\n{body}",
        BASE64_STANDARD.encode(format!("x:{TOKEN}")),
        body.len()
    );
    let mut stream = TcpStream::connect(&authority).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    wait_until("the hook does not start", || begun.exists()).await;
    (stream, std::fs::read_to_string(&begun).unwrap().trim().to_owned())
}

fn is_running(process: &str) -> bool {
    std::fs::read(format!("/proc/{process}/environ")).is_ok_and(|environ| !environ.is_empty())
}

async fn wait_until(condition: &str, is_so: impl Fn() -> bool) {
    let look = async {
        while !is_so() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(120), look).await.unwrap_or_else(|_| panic!("{condition}"));
}

#[tokio::test]
async fn blocking_hook_ends_when_the_forge_is_dropped() {
    let world = World::new().await;
    let (stream, hook) = start_blocked_push(&world).await;
    assert_eq!(is_running(&hook), cfg!(target_os = "linux"), "the hook runs before the forge is dropped");
    drop(world.demo);
    wait_until("the hook outlives the forge", || !is_running(&hook)).await;
    drop(stream);
}

/// Raw, because clients normalise paths.
async fn raw_get(world: &World, path: &str) -> u16 {
    let authority = world.demo.url().replace("http://", "");
    let credentials = if path.starts_with("/api") {
        format!("Bearer {TOKEN}")
    } else {
        format!("Basic {}", BASE64_STANDARD.encode(format!("x:{TOKEN}")))
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: {credentials}\r\n\
         Connection: close\r\n\r\n"
    );
    let mut stream = TcpStream::connect(&authority).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}
