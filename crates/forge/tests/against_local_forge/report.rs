//! Reviews that Pullyard posts: findings of an agent, placed by the forge's diff, sent, and found again.

use std::collections::BTreeSet;

use crate::prelude::*;
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::review::published::marker::Marker;
use pullyard_domain::review::report::diff::Diff;
use pullyard_domain::review::report::finding_marker::{FindingMarker, Fingerprint};
use pullyard_domain::review::report::place::{InlineComment, Place, PlaceRules, place};
use pullyard_domain::review::report::review_output::{Category, Finding, Severity, Side as FindingSide};
use pullyard_domain::text::id::JobId;
use pullyard_forge::{Bitbucket, Error, Lines, NewLineComment, NewReview, ReviewComment, ReviewPosts, Side, Verdict};
use pullyard_local_forge::{AccountKind, Role, User};

use crate::world::{TOKEN, World, new_pull_request};

const ANNS_TOKEN: &str = "ghp_ann";
const BRANCH: &str = "feature/a";

struct ReviewWorld {
    world: World,
    number: u64,
    head: String,
    /// The client of the account that reviews.
    forge: Forge,
    account: u64,
    kind: ForgeKind,
    job: JobId,
}

fn numbered(changed: &[usize]) -> String {
    (1..=60).map(|n| if changed.contains(&n) { format!("new {n}\n") } else { format!("old {n}\n") }).collect()
}

impl ReviewWorld {
    /// A pull request of another account that changes lines 10 and 40 of a file and deletes another file.
    async fn new(kind: ForgeKind) -> Self {
        let world = World::new().await;
        let ann = User { login: "ann".to_owned(), id: 9_007_199_254_740_997, token: ANNS_TOKEN.to_owned() };
        world.demo.add_user(ann, AccountKind::User).await.unwrap();
        world.demo.set_role(REPOSITORY, "ann", Role::Maintain).await.unwrap();
        let files = [("long.rs", &*numbered(&[]), false), ("gone.rs", "x\n", false)];
        world.demo.commit(REPOSITORY, "main", "ann", &files).await.unwrap();
        let worktree = world.clone("worktree").await;
        std::fs::remove_file(worktree.path.join("gone.rs")).unwrap();
        worktree.commit(BRANCH, "long.rs", numbered(&[10, 40]).as_bytes()).await;
        assert_success(&worktree.git(&["push", "-q", "origin", BRANCH]).await);
        let anns = world.forge_with(ANNS_TOKEN);
        let pull = anns.create_pull_request(REPOSITORY, &new_pull_request(BRANCH)).await.unwrap();
        let forge = match kind {
            ForgeKind::GitHub => world.forge(),
            ForgeKind::Bitbucket => bitbucket(&world, TOKEN),
        };
        let account = forge.account().await.unwrap().id;
        let job = JobId::new("job_aaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
        Self { number: pull.number, head: pull.head_sha, forge, account, kind, job, world }
    }

    async fn place(&self, findings: &[Finding]) -> Vec<Place> {
        let patch = self.world.forge().diff(REPOSITORY, self.number).await.unwrap();
        let posted: BTreeSet<Fingerprint> =
            findings_of(&self.posts().await).into_iter().map(|(_, marker)| marker.fingerprint).collect();
        let rules = PlaceRules {
            forge: self.kind,
            job: &self.job,
            posted: &posted,
            is_in_tree: &|path| path == "long.rs" || path == "README.md",
        };
        place(findings, &Diff::parse(&patch), &rules)
    }

    async fn posts(&self) -> ReviewPosts {
        self.forge.review_posts(REPOSITORY, self.number, Some(self.account)).await.unwrap()
    }

    fn is_complete(&self, posts: &ReviewPosts) -> bool {
        posts.texts.iter().any(|text| Marker::parse(text) == Some(Marker::Job(self.job.clone())))
    }

    fn new_review(&self, comments: Vec<NewLineComment>) -> NewReview {
        NewReview {
            head: self.head.clone(),
            verdict: Verdict::Comment,
            body: Marker::Job(self.job.clone()).append_to(self.kind, "Two problems."),
            comments,
            key: "one".to_owned(),
        }
    }

    async fn post(&self, forge: &Forge, comments: Vec<NewLineComment>) -> Result<(), Error> {
        forge.create_review(REPOSITORY, self.number, &self.new_review(comments)).await
    }
}

fn bitbucket(world: &World, token: &str) -> Forge {
    Forge::Bitbucket(Bitbucket::new(Endpoint::new(world.demo.bitbucket_api_url()), Token::new(token)).unwrap())
}

fn finding(path: &str, side: FindingSide, start_line: Option<u32>, line: u32) -> Finding {
    Finding {
        path: path.to_owned(),
        line: Some(line),
        start_line,
        side,
        severity: Severity::High,
        category: Category::Bug,
        title: "Wrong".to_owned(),
        body: "It is wrong.".to_owned(),
        suggestion: None,
    }
}

fn comments_of(places: &[Place]) -> Vec<NewLineComment> {
    let to_comment = |place: &Place| {
        let Place::Inline(InlineComment { path, side, start_line, line, body, .. }) = place.clone() else {
            return None;
        };
        let side = match side {
            FindingSide::Left => Side::Left,
            FindingSide::Right => Side::Right,
        };
        Some(NewLineComment { path, side, start_line: start_line.map(u64::from), line: line.into(), body })
    };
    places.iter().filter_map(to_comment).collect()
}

fn findings_of(posts: &ReviewPosts) -> Vec<(&ReviewComment, FindingMarker)> {
    let marker = |comment: &ReviewComment| match Marker::parse(&comment.body)? {
        Marker::Finding(marker) => Some(marker),
        _ => None,
    };
    posts.comments.iter().filter_map(|comment| Some((comment, marker(comment)?))).collect()
}

#[tokio::test]
async fn placed_findings_are_accepted_and_recognized_by_both_forges() {
    for kind in ForgeKind::ALL {
        let world = ReviewWorld::new(kind).await;
        let findings = [
            finding("long.rs", FindingSide::Right, None, 10),
            finding("long.rs", FindingSide::Right, Some(38), 42),
            finding("long.rs", FindingSide::Right, Some(12), 39),
            finding("long.rs", FindingSide::Left, None, 40),
            finding("long.rs", FindingSide::Left, Some(7), 13),
            finding("gone.rs", FindingSide::Left, None, 1),
            finding("gone.rs", FindingSide::Right, None, 1),
            finding("long.rs", FindingSide::Right, None, 14),
            finding("README.md", FindingSide::Right, None, 1),
            finding("none.rs", FindingSide::Right, None, 1),
        ];
        let places = world.place(&findings).await;
        let comments = comments_of(&places);
        assert_eq!(comments.len(), 6, "{places:?}");
        assert!(places[6..].iter().all(|place| *place == Place::InText), "{places:?}");
        world.post(&world.forge, comments).await.unwrap();
        let posts = world.posts().await;
        let own = findings_of(&posts);
        let posted: Vec<_> =
            own.iter().map(|(comment, _)| (comment.path.as_str(), comment.side, comment.lines)).collect();
        let lines = |start, end| Lines::Current { start, end };
        assert_eq!(
            posted,
            [
                ("long.rs", Side::Right, lines(None, 10)),
                ("long.rs", Side::Right, lines(Some(38), 42)),
                ("long.rs", Side::Right, lines(None, 39)),
                ("long.rs", Side::Left, lines(None, 40)),
                ("long.rs", Side::Left, lines(Some(7), 13)),
                ("gone.rs", Side::Left, lines(None, 1)),
            ]
        );
        assert!(own.iter().all(|(_, marker)| (&marker.job, marker.severity) == (&world.job, Severity::High)));
        assert!(world.is_complete(&posts) && !posts.truncated);

        // Line numbers are no part of a fingerprint.
        let text = format!("first\n{}", numbered(&[10, 40]));
        world.world.demo.commit(REPOSITORY, BRANCH, "ann", &[("long.rs", &text, false)]).await.unwrap();
        let moved =
            [finding("long.rs", FindingSide::Right, None, 11), finding("long.rs", FindingSide::Right, None, 41)];
        let places = world.place(&moved).await;
        assert!(matches!(places[..], [Place::Repeated, Place::Inline(_)]), "{places:?}");
        let lines: Vec<_> = world.posts().await.comments.iter().map(|comment| comment.lines).collect();
        let range = |start, end| Lines::Current { start, end };
        assert_eq!(lines[1..5], [range(Some(39), 43), range(None, 40), range(None, 40), range(Some(7), 13)]);
    }
}

#[tokio::test]
async fn one_wrong_line_refuses_the_review_at_github() {
    let world = ReviewWorld::new(ForgeKind::GitHub).await;
    let good = || NewLineComment::on_line("long.rs".to_owned(), 10, "Wrong.".to_owned());
    for wrong in [
        NewLineComment { line: 14, ..good() },
        NewLineComment { side: Side::Left, line: 36, ..good() },
        NewLineComment { path: "README.md".to_owned(), ..good() },
        NewLineComment { path: "gone.rs".to_owned(), line: 1, ..good() },
        NewLineComment { start_line: Some(10), ..good() },
        NewLineComment { start_line: Some(10), line: 40, ..good() },
    ] {
        let error = world.post(&world.forge, vec![good(), wrong.clone()]).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{wrong:?}: {error:?}");
    }
    let nothing = ReviewPosts { comments: Vec::new(), texts: Vec::new(), truncated: false };
    assert_eq!(world.posts().await, nothing);
    world.post(&world.forge, Vec::new()).await.unwrap();
    assert!(world.is_complete(&world.posts().await));
}

#[tokio::test]
async fn copied_marker_of_another_account_is_ignored() {
    for kind in ForgeKind::ALL {
        let world = ReviewWorld::new(kind).await;
        let comments = comments_of(&world.place(&[finding("long.rs", FindingSide::Right, None, 10)]).await);
        let ann = match kind {
            ForgeKind::GitHub => world.world.forge_with(ANNS_TOKEN),
            ForgeKind::Bitbucket => bitbucket(&world.world, ANNS_TOKEN),
        };
        world.post(&ann, comments.clone()).await.unwrap();
        let own = world.posts().await;
        assert_eq!((findings_of(&own).len(), world.is_complete(&own)), (0, false));
        let all = world.forge.review_posts(REPOSITORY, world.number, None).await.unwrap();
        assert_eq!((findings_of(&all).len(), world.is_complete(&all)), (1, true));
    }
}

#[tokio::test]
async fn bitbucket_review_has_no_verdict() {
    let world = ReviewWorld::new(ForgeKind::Bitbucket).await;
    for verdict in [Verdict::RequestChanges, Verdict::Approve] {
        let review = NewReview { verdict, ..world.new_review(Vec::new()) };
        let error = world.forge.create_review(REPOSITORY, world.number, &review).await.unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
    }
}
