//! The demo forge's pages.

use pullyard_forge::NewPullRequest;

use crate::prelude::*;
use crate::world::World;

const HOSTILE: &str = "<script>alert('x')</script> \"&amp;";
const ESCAPED: &str = "&#60;script&#62;alert(&#39;x&#39;)&#60;/script&#62; &#34;&#38;amp;";

async fn get(world: &World, path: &str) -> reqwest::Response {
    http().get(format!("{}{path}", world.demo.url())).send().await.unwrap()
}

async fn with_hostile_pull_request() -> World {
    let world = World::new().await;
    let worktree = world.clone("hostile").await;
    worktree.commit("job", "page.html", format!("{HOSTILE}\n").as_bytes()).await;
    let message = format!("--message={HOSTILE}");
    assert_success(&worktree.git(&["commit", "-q", "--amend", &message]).await);
    assert_success(&worktree.git(&["push", "-q", "origin", "job"]).await);
    let new = NewPullRequest {
        title: HOSTILE.to_owned(),
        body: HOSTILE.to_owned(),
        head: "job".to_owned(),
        base: "main".to_owned(),
        draft: false,
    };
    world.forge().create_pull_request(REPOSITORY, &new).await.unwrap();
    world
}

#[tokio::test]
async fn hostile_text_is_escaped() {
    let world = with_hostile_pull_request().await;
    for (path, least) in [("/", 1), ("/acme/app", 1), ("/acme/app/pull/1", 5)] {
        let answer = get(&world, path).await;
        assert_eq!(answer.status().as_u16(), 200);
        assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"));
        let page = answer.text().await.unwrap();
        assert!(!page.contains("<script"), "{page}");
        assert!(page.matches(ESCAPED).count() >= least, "{path}: {page}");
    }
}

#[tokio::test]
async fn page_shows_branches_commits_and_diff() {
    let world = with_hostile_pull_request().await;
    let page = get(&world, "/acme/app/pull/1").await.text().await.unwrap();
    for part in [
        "<code>job</code> into <code>main</code>",
        "<h2>Commits</h2>",
        "(Test)</li>",
        "<ins>+&#60;script&#62;",
        "/acme/app/pull/1.diff",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[tokio::test]
async fn plain_diff_applies_with_git() {
    let world = with_hostile_pull_request().await;
    let answer = get(&world, "/acme/app/pull/1.diff").await;
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let diff = answer.text().await.unwrap();
    assert!(diff.contains(&format!("+{HOSTILE}")), "{diff}");
    let worktree = world.clone("apply").await;
    std::fs::write(world.dir.path().join("change.diff"), diff).unwrap();
    assert_success(&worktree.git(&["apply", "--check", "../change.diff"]).await);
}

#[tokio::test]
async fn missing_pages_return_404() {
    let world = World::new().await;
    for path in ["/acme/none", "/acme/app/pull/1", "/acme/app/pull/x", "/acme/app/pull/1.diff", "/x"] {
        assert_eq!(get(&world, path).await.status().as_u16(), 404, "{path}");
    }
}
