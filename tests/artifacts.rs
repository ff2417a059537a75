//! Tests artifacts from the runner to the CLI and the page: access, interrupted uploads, provenance.

use crate::pages::Browser;
use crate::prelude::*;
use axum::Json;
use axum::http::header;
use axum::routing::get;
use pullyard_domain::job::AgentReport;
use pullyard_domain::job::artifact::MAX_SIZE_BYTES;
use pullyard_domain::text::id::{ArtifactId, ArtifactName, Sha256Hex};
use pullyard_emulator::s3::Fault;
use pullyard_protocol::artifact::{ArtifactUpload, NewArtifact};
use pullyard_protocol::client::Error;
use sha2::Digest;

const TALKING_AGENT: &str = "#!/bin/sh\ncat > /dev/null\necho 'I look around.'\necho '{\"kind\":\"result\",\"text\":\"All is done.\"}'\necho done >> work.txt\n";

pub(crate) fn reservation(kind: ArtifactKind, name: &str, bytes: &[u8]) -> NewArtifact {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let (name, sha256) = (ArtifactName::new(name).unwrap(), Sha256Hex::new(hex).unwrap());
    NewArtifact { kind, name, size_bytes: bytes.len() as u64, sha256 }
}

/// Uploads bytes; `None` if the answer was incomplete.
async fn upload(offer: &ArtifactUpload, bytes: &[u8]) -> Option<u16> {
    let request = reqwest::Client::new().put(offer.put_url.as_ref().unwrap());
    let request = offer.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    let answer = request.body(bytes.to_vec()).send().await.ok()?;
    let status = answer.status().as_u16();
    answer.bytes().await.ok().map(|_| status)
}

pub(crate) async fn store_artifact(client: &AttemptClient, kind: ArtifactKind, name: &str, bytes: &[u8]) -> ArtifactId {
    let offer = client.reserve_artifact(&reservation(kind, name, bytes)).await.unwrap();
    assert_eq!(upload(&offer, bytes).await, Some(200));
    client.confirm_artifact(&offer.id).await.unwrap();
    offer.id
}

fn problem_of<T: std::fmt::Debug>(answer: Result<T, Error>) -> (u16, String) {
    match answer.unwrap_err() {
        Error::Problem(problem) => (problem.status, problem.code),
        error => panic!("{error}"),
    }
}

async fn claimed_story() -> (Story, JobId, AttemptClient) {
    let (story, job) = Story::with_job().await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    (story, job, client)
}

/// Status and code of a user's request for an artifact, without following the redirect.
async fn get_artifact(story: &Story, job: &JobId, id: &ArtifactId, token: &str) -> (u16, String) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let url = format!("{}/v1/jobs/{job}/artifacts/{id}", story.local.api_url());
    let answer = client.request(Method::GET, url).bearer_auth(token).send().await.unwrap();
    let status = answer.status().as_u16();
    if status == 302 {
        assert_eq!(answer.headers()["cache-control"], "no-store", "the presigned URL may be cached");
    }
    let body: Value = answer.json().await.unwrap_or_default();
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

const LARGE_OUTPUT_AGENT: &str = r#"#!/bin/sh
cat > /dev/null
echo '{"kind":"tool_call","name":"read","path":"large.txt","call":"c1"}'
printf '{"kind":"tool_result","call":"c1","text":"begin %s end"}\n' "$(head -c 200000 /dev/zero | tr '\0' x)"
echo done >> work.txt
"#;

#[tokio::test(flavor = "multi_thread")]
async fn oversized_tool_output_is_whole_in_the_recorded_output() {
    let story = Story::start_with(Setup { agent: LARGE_OUTPUT_AGENT, ..Setup::default() }).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    assert_eq!(story.wait_for_end(&job).await.status, JobStatus::Completed);
    let user = User::of(&story);
    let logs = user.ok(&["jobs", "logs", job.as_str()]).await;
    assert!(logs.contains("[cut: 65536 of 200010 bytes; all in agent-output.jsonl]"), "the event names no artifact");
    let recorded = user.ok(&["jobs", "artifacts", job.as_str(), "agent-output.jsonl"]).await;
    let mut events = recorded.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let result = events.find(|event| event["kind"] == "tool_result").unwrap();
    let text = result["text"].as_str().unwrap();
    assert!(text.starts_with("begin xxx") && text.ends_with("xxx end") && text.len() == 200_010, "{}", text.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn cli_and_page_show_patch_output_and_final_message() {
    let story = Story::start_with(Setup { agent: TALKING_AGENT, ..Setup::default() }).await;
    let user = User::of(&story);
    let job = story.create_job("e1", "APP-1", 1).await;
    assert_eq!(story.wait_for_end(&job).await.status, JobStatus::Completed);
    let listed = user.json(&["jobs", "artifacts", job.as_str()]).await;
    let mut names: Vec<_> = listed["artifacts"].as_array().unwrap().iter().collect();
    names.sort_by_key(|artifact| artifact["name"].to_string());
    let listed_names: Vec<_> =
        names.iter().map(|artifact| (artifact["name"].as_str().unwrap(), artifact["kind"].as_str().unwrap())).collect();
    let expected =
        [("agent-output.jsonl", "agent_output"), ("changes.patch", "patch"), ("final-message.md", "final_message")];
    assert_eq!(listed_names, expected);
    assert!(names.iter().all(|artifact| artifact["stored"] == true && artifact["attempt"] == 1), "{listed}");
    let table = user.ok(&["jobs", "artifacts", &short(&job)]).await;
    assert_eq!(table.lines().count(), 3, "{table}");

    let patch = user.ok(&["jobs", "diff", job.as_str()]).await;
    assert!(patch.starts_with("diff --git a/work.txt b/work.txt\nnew file mode 100644\n"), "{patch}");
    assert!(patch.ends_with("@@ -0,0 +1 @@\n+done\n"), "{patch}");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("my.patch").display().to_string();
    let ran = user.run(&["jobs", "diff", job.as_str(), "--out", &out]).await;
    assert!(ran.err.contains("Wrote "), "{ran:?}");
    assert_eq!((ran.assert_success().as_str(), std::fs::read_to_string(&out).unwrap()), ("", patch));
    let final_message = user.ok(&["jobs", "artifacts", job.as_str(), "final-message.md"]).await;
    assert_eq!(final_message, "All is done.");
    let log = user.ok(&["jobs", "artifacts", job.as_str(), "agent-output.jsonl"]).await;
    let first: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!((&first["kind"], &first["text"]), (&json!("text"), &json!("I look around.")));
    user.run(&["jobs", "artifacts", job.as_str(), "nothing.txt"]).await.assert_exit(5, "has no artifact nothing.txt");
    let no_attempt = format!("job {} has no attempt 9; it has attempt 1 only", short(&job));
    for command in ["artifacts", "diff", "checks", "logs"] {
        user.run(&["jobs", command, job.as_str(), "--attempt", "9"]).await.assert_exit(5, &no_attempt);
    }
    let of_first = ["jobs", "artifacts", job.as_str(), "nothing.txt", "--attempt", "1"];
    user.run(&of_first).await.assert_exit(5, "attempt 1 of job").assert_exit(5, "has no artifact nothing.txt");
    let unchecked = user.run(&["jobs", "checks", job.as_str(), "--attempt", "1"]).await;
    unchecked.assert_exit(0, &format!("No checks ran in attempt 1 of job {}.", short(&job)));
    user.run(&["jobs", "diff", job.as_str(), "--json"]).await.assert_exit(2, "--out");

    let browser = Browser::admin(&story).await;
    let page = browser.get(&format!("/jobs/{job}/artifacts")).await;
    let link = page.body.split(&format!("href=\"/jobs/{job}/artifacts/")).nth(1).unwrap().split('"').next().unwrap();
    assert!(page.contains("changes.patch") && page.contains("Final message"), "{}", page.body);
    let answer = browser.get(&format!("/jobs/{job}/artifacts/{link}")).await;
    let (status, to) = answer.redirect();
    assert_eq!(status, 302);
    let download = reqwest::get(to).await.unwrap();
    let disposition = download.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(disposition.starts_with("attachment; filename=\""), "{disposition}");
    assert_eq!(download.headers()["content-type"], "application/octet-stream");

    let prompt = user.ok(&["jobs", "context", job.as_str()]).await;
    assert!(prompt.contains("APP-1: About APP-1"), "{prompt}");
    let context = user.json(&["jobs", "context", job.as_str()]).await;
    assert_eq!((&context["base"], &context["repository"]), (&json!("main"), &json!("acme/app")));

    let stranger = story.create_token(&[Scope::Read], Some(&["other"])).await;
    let other_user = User::with(&story, &stranger);
    for command in ["artifacts", "diff", "context", "provenance"] {
        other_user.run(&["jobs", command, job.as_str()]).await.assert_exit(5, "there is no job");
    }
    let id = ArtifactId::new(link).unwrap();
    assert_eq!(get_artifact(&story, &job, &id, &stranger).await, (404, "not_found".into()));
}

/// A server whose bucket sends four bytes per artifact: `short` announced nine.
async fn broken_bucket(job: &JobId) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let bucket_artifacts = [("whole", 'a', 4), ("short", 'b', 9)];
    let id = |letter: char| format!("art_{}", letter.to_string().repeat(26));
    let artifacts: Vec<Value> = bucket_artifacts
        .iter()
        .map(|(name, letter, size)| {
            json!({
                "id": id(*letter), "attempt": 1, "kind": "patch", "name": name, "size_bytes": size,
                "sha256": "0".repeat(64), "at": "2026-01-02T03:04:05Z", "stored": true,
            })
        })
        .collect();
    let all = json!({ "artifacts": artifacts });
    let mut router = Router::new()
        .route(&format!("/v1/jobs/{job}/artifacts"), get(|| async move { Json(all) }))
        .route("/whole", get(|| async { "half" }))
        .route("/short", get(|| async { "half" }));
    for (name, letter, _) in bucket_artifacts {
        let to = (StatusCode::FOUND, [(header::LOCATION, format!("{url}/{name}"))]);
        router = router.route(&format!("/v1/jobs/{job}/artifacts/{}", id(letter)), get(|| async move { to }));
    }
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_download_leaves_no_file_and_names_the_artifact() {
    let job = JobId::new(format!("job_{}", "a".repeat(26))).unwrap();
    let mut user = User::new();
    user.set_env("PULLYARD_URL", &broken_bucket(&job).await);
    user.set_env("PULLYARD_TOKEN", "pat_any");
    let folder = tempfile::tempdir().unwrap();
    let download = async |name: &str, out: &Path| {
        user.run(&["jobs", "artifacts", job.as_str(), name, "--out", out.to_str().unwrap()]).await
    };
    let out = folder.path().join("my.patch");
    let short = download("short", out.as_path()).await;
    short
        .assert_exit(1, "the download of short stopped: received 4 of 9 bytes")
        .assert_exit(1, "help: run the same command again");
    // A folder can't be replaced, and a missing folder holds no file.
    let occupied = folder.path().join("taken");
    std::fs::create_dir(&occupied).unwrap();
    for path in [occupied, folder.path().join("nowhere/my.patch")] {
        let message = format!("can't write {}: ", path.display());
        download("whole", path.as_path())
            .await
            .assert_exit(1, &message)
            .assert_exit(1, "help: choose another file with --out");
    }
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["taken"], "a partial file is left");
    download("whole", out.as_path()).await.assert_success();
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "half");
}

#[tokio::test(flavor = "multi_thread")]
async fn diff_of_a_job_without_changes_reports_no_patch() {
    let (story, user) = Story::with_user().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    user.run(&["jobs", "diff", job.as_str()]).await.assert_exit(5, "no diff yet");
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    let finish = json!({ "finish_id": "f1", "outcome": "failed", "failure": { "code": "no_changes" } });
    client.finish(&serde_json::from_value(finish).unwrap()).await.unwrap();
    user.run(&["jobs", "diff", job.as_str()]).await.assert_exit(5, "no attempt changed a file");
    assert_eq!(user.json(&["jobs", "artifacts", job.as_str()]).await, json!({ "artifacts": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn artifact_is_reserved_once_and_within_limits() {
    let (story, job, client) = claimed_story().await;
    let patch = reservation(ArtifactKind::Patch, "changes.patch", b"one");
    let first = client.reserve_artifact(&patch).await.unwrap();
    assert_eq!(client.reserve_artifact(&patch).await.unwrap().id, first.id);
    let differing = client.reserve_artifact(&reservation(ArtifactKind::Patch, "changes.patch", b"two")).await;
    assert_eq!(problem_of(differing), (422, "artifact_differs".into()));
    let large = NewArtifact { size_bytes: MAX_SIZE_BYTES + 1, ..reservation(ArtifactKind::AgentOutput, "a", b"x") };
    assert_eq!(problem_of(client.reserve_artifact(&large).await), (422, "artifact_too_large".into()));
    // The upload accepts only the announced bytes. A stored artifact needs no second upload.
    assert_eq!(upload(&first, b"two").await, Some(400));
    assert_eq!(upload(&first, b"one").await, Some(200));
    client.confirm_artifact(&first.id).await.unwrap();
    client.confirm_artifact(&first.id).await.unwrap();
    assert_eq!(
        client.reserve_artifact(&patch).await.unwrap(),
        ArtifactUpload { id: first.id.clone(), ..without_upload(&first) }
    );
    let unknown = ArtifactId::new(format!("art_{}", "a".repeat(26))).unwrap();
    assert_eq!(problem_of(client.confirm_artifact(&unknown).await), (404, "not_found".into()));
    assert_eq!(story.api.artifacts(&job).await.unwrap().artifacts.len(), 1);
}

fn without_upload(offer: &ArtifactUpload) -> ArtifactUpload {
    ArtifactUpload { id: offer.id.clone(), put_url: None, headers: Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_artifact_without_upload_is_reported_as_missing() {
    let (story, job, client) = claimed_story().await;
    let admin = story.local.admin_token();
    let offer = client.reserve_artifact(&reservation(ArtifactKind::Patch, "changes.patch", b"one")).await.unwrap();
    let stored = async || story.api.artifacts(&job).await.unwrap().artifacts[0].stored;
    assert!(!stored().await);
    assert_eq!(problem_of(client.confirm_artifact(&offer.id).await), (404, "artifact_missing".into()));
    assert_eq!(get_artifact(&story, &job, &offer.id, admin).await, (404, "artifact_missing".into()));
    User::of(&story).run(&["jobs", "diff", job.as_str()]).await.assert_exit(5, "the artifact is not stored");
    let page = Browser::admin(&story).await.get(&format!("/jobs/{job}/artifacts/{}", offer.id)).await;
    assert!(page.status == 404 && page.contains("artifact_missing"), "{}", page.body);
    // The runner died after the upload: the first download marks the artifact as stored.
    assert_eq!(upload(&offer, b"one").await, Some(200));
    assert!(!stored().await);
    assert_eq!(get_artifact(&story, &job, &offer.id, admin).await.0, 302);
    assert!(stored().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_upload_stores_nothing_and_its_repeat_succeeds() {
    let (story, job, client) = claimed_story().await;
    let bucket = story.local.aws().s3();
    let offer =
        client.reserve_artifact(&reservation(ArtifactKind::AgentOutput, "log.jsonl", b"all of it")).await.unwrap();
    bucket.inject_fault(Fault::CutUpload);
    assert_eq!(upload(&offer, b"all of it").await, None);
    assert_eq!(problem_of(client.confirm_artifact(&offer.id).await), (404, "artifact_missing".into()));
    bucket.inject_fault(Fault::LoseResponse);
    assert_eq!(upload(&offer, b"all of it").await, None);
    client.confirm_artifact(&offer.id).await.unwrap();
    let output = User::of(&story).ok(&["jobs", "artifacts", job.as_str(), "log.jsonl"]).await;
    assert_eq!(output, "all of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn bucket_faults_do_not_fail_a_job() {
    let story = Story::start_with(Setup { agent: TALKING_AGENT, ..Setup::default() }).await;
    for fault in [Fault::CutUpload, Fault::SlowDown, Fault::LoseResponse] {
        story.local.aws().s3().inject_fault(fault);
    }
    let job = story.create_job("e1", "APP-1", 1).await;
    assert_eq!(story.wait_for_end(&job).await.status, JobStatus::Completed);
    let artifacts = story.api.artifacts(&job).await.unwrap().artifacts;
    assert_eq!(artifacts.iter().filter(|artifact| artifact.stored).count(), 3, "{artifacts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn superseded_attempt_cannot_add_artifacts() {
    let (story, job, client) = claimed_story().await;
    let first_id = store_artifact(&client, ArtifactKind::AgentOutput, "log.jsonl", b"first").await;
    let offer = client.reserve_artifact(&reservation(ArtifactKind::Patch, "changes.patch", b"one")).await.unwrap();
    let task = story.wait_for_task(&job, 1).await;
    story.kill_task(&task).await;
    story.wait_for_noted_death(&job).await;
    story.advance_and_sweep(Duration::from_secs(16)).await;
    story.wait_for_job(&job, has_status(JobStatus::Ready)).await;
    let lease_lost = (409, "lease_lost".to_owned());
    assert_eq!(
        problem_of(client.reserve_artifact(&reservation(ArtifactKind::Patch, "other.patch", b"two")).await),
        lease_lost
    );
    assert_eq!(problem_of(client.confirm_artifact(&offer.id).await), lease_lost);
    let task = story.wait_for_task(&job, 2).await;
    let (_, second) = story.claim_with_task(&task, &job, "c2").await.unwrap();
    assert_eq!(
        problem_of(client.reserve_artifact(&reservation(ArtifactKind::Patch, "other.patch", b"two")).await),
        lease_lost
    );
    // The second attempt stores an artifact of the same name; the first one remains.
    let second_id = store_artifact(&second, ArtifactKind::AgentOutput, "log.jsonl", b"second").await;
    assert_ne!(second_id, first_id);
    let user = User::of(&story);
    assert_eq!(user.ok(&["jobs", "artifacts", job.as_str(), "log.jsonl"]).await, "second");
    let first = user.ok(&["jobs", "artifacts", job.as_str(), "log.jsonl", "--attempt", "1"]).await;
    assert_eq!(first, "first");
}

#[tokio::test(flavor = "multi_thread")]
async fn provenance_shows_agent_and_usage_of_an_attempt() {
    let setup = Setup { task: Task::Waiting, ..Setup::default() };
    let story = Story::start_with(setup).await;
    let user = User::of(&story);
    let job = story.create_job("e1", "APP-1", 1).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    let running = user.json(&["jobs", "provenance", job.as_str()]).await;
    assert_eq!((&running["attempts"][0]["how"], &running["attempts"][0]["work"]), (&json!("running"), &Value::Null));
    let work = AgentReport {
        agent: "claude_code".into(),
        version: Some("2.1.197".into()),
        model: Some("opus <b>".repeat(100)),
        session: Some("4f2a".into()),
        isolation: "bubblewrap".into(),
        isolation_check: Some("16 of 16 attacks stopped".into()),
        refused_hosts: vec!["evil.example".into()],
        starts: 2,
        turns: 7,
        input_tokens: 12_000,
        cached_input_tokens: 9_000,
        output_tokens: 345,
        about_usd_micros: Some(20_000),
        prompt_sha256: Some(Sha256Hex::new("ab".repeat(32)).unwrap()),
        base_commit: Some("0c1d2e3f4a5b".repeat(3) + "0c1d"),
        commit: Some("903f6c2900cd".repeat(3) + "903f"),
        checks: Vec::new(),
    };
    let finish = json!({
        "finish_id": "f1", "outcome": "failed", "failure": { "code": "no_changes" },
        "spent_usd_micros": 420_000, "work": work,
    });
    let finish: FinishRequest = serde_json::from_value(finish).unwrap();
    client.finish(&finish).await.unwrap();
    let provenance = user.json(&["jobs", "provenance", job.as_str()]).await;
    let attempt = &provenance["attempts"][0];
    assert_eq!((&attempt["how"], &attempt["spent_usd_micros"]), (&json!("failed"), &json!(420_000)));
    assert_eq!(attempt["work"]["about_usd_micros"], 20_000, "the estimated part of the cost is wrong");
    assert_eq!(attempt["failure"]["code"], "no_changes");
    assert_eq!((&attempt["work"]["turns"], &attempt["work"]["input_tokens"]), (&json!(7), &json!(12_000)));
    assert_eq!(attempt["work"]["model"].as_str().unwrap().chars().count(), 200, "the model name is not truncated");
    let lines = user.ok(&["jobs", "provenance", &short(&job)]).await;
    for line in [
        "agent\tclaude_code",
        "version\t2.1.197",
        "session\t4f2a",
        "tokens_written\t345",
        "cost\t420000",
        "only_about\t20000",
        &format!("prompt_sha256\t{}", "ab".repeat(32)),
        "base_commit\t0c1d2e3f4a5b0c1d2e3f4a5b0c1d2e3f4a5b0c1d",
        "commit\t903f6c2900cd903f6c2900cd903f6c2900cd903f",
    ] {
        assert!(lines.lines().any(|candidate| candidate == line), "{line}: {lines}");
    }
    let page = Browser::admin(&story).await.get(&format!("/jobs/{job}/attempts")).await;
    let commits = "commit 903f6c2900cd on 0c1d2e3f4a5b";
    let usage = ["7 turns, 12000 tokens read", "about $0.42"];
    for text in [
        "claude_code 2.1.197",
        "isolation bubblewrap: 16 of 16 attacks stopped",
        "evil.example",
        "session 4f2a",
        commits,
    ]
    .into_iter()
    .chain(usage)
    {
        assert!(page.contains(text), "{text}: {}", page.body);
    }
}
