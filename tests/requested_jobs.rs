//! Tests jobs that a user or program requests through the API.

use crate::prelude::*;
use futures::future::join_all;
use pullyard_protocol::Problem;
use pullyard_protocol::client::Error;
use pullyard_protocol::job::JobPage;

async fn story_without_hints() -> Story {
    Story::start_with(Setup { task: Task::Waiting, hints: HintDelivery::Drop, ..Setup::default() }).await
}

async fn without_default() -> Story {
    let story = story_without_hints().await;
    story.update_settings(|settings| settings.default_repository = None).await;
    story
}

fn create_request(story: &Story, ticket: Option<&str>, prompt: Option<&str>) -> CreateJob {
    CreateJob {
        kind: JobKind::Implement,
        project: story.project.clone(),
        ticket: ticket.map(|key| TicketKey::new(key).unwrap()),
        prompt: prompt.map(str::to_owned),
        repository: None,
        base: None,
        agent: None,
        model: None,
        labels: Default::default(),
        priority: None,
    }
}

async fn create_job(story: &Story, request: &CreateJob) -> JobId {
    let decision = story.api.create_job(request, None).await.unwrap();
    assert_eq!(decision.verdict, Verdict::Accepted, "{}", decision.sentence);
    decision.job.unwrap()
}

async fn assert_refused(story: &Story, request: &CreateJob) -> Problem {
    match story.api.create_job(request, None).await {
        Err(Error::Problem(problem)) => *problem,
        other => panic!("{request:?}: {other:?}"),
    }
}

fn summary(problem: &Problem) -> (u16, &str, Option<&str>) {
    (problem.status, &problem.code, problem.pointer.as_deref())
}

#[tokio::test(flavor = "multi_thread")]
async fn requested_job_starts_from_any_ticket_status() {
    let story = Story::begin_story().await;
    story.send_ticket_event("e1", "APP-1", TODO, 1).await;
    let job = create_job(&story, &create_request(&story, Some("APP-1"), None)).await;
    assert_eq!(story.ticket("APP-1").await.active_job, Some(job.clone()));
    let job = story.wait_for_end(&job).await;
    assert_eq!(job.status, JobStatus::Completed, "{:?}", job.failure);
    assert_eq!((job.title.as_str(), job.branch.as_str()), ("About APP-1", "pullyard/acme/app-1-1"));
    let ticket = story.wait_for_settled_ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.pull_request), (REVIEW, Some(job.result.unwrap().url)));
}

#[tokio::test(flavor = "multi_thread")]
async fn prompt_job_branches_from_and_targets_its_base() {
    let story = Story::start_with(Setup { agent: "#!/bin/sh\ncat > prompt.txt\n", ..Setup::default() }).await;
    let person = ["-c", "user.name=Ana", "-c", "user.email=ana@localhost"];
    let commit = [&person[..], &["commit-tree", "main^{tree}", "-p", "main", "-m", "Ahead"]].concat();
    let ahead = story.git(&commit).await;
    story.git(&["update-ref", "refs/heads/develop", &ahead]).await;

    let request_text = "\n\n  Make it better\u{1b}[31m\n\n```\nand `better`\n```";
    let request = CreateJob { base: Some("develop".into()), ..create_request(&story, None, Some(request_text)) };
    let job = story.wait_for_end(&create_job(&story, &request).await).await;
    assert_eq!(job.status, JobStatus::Completed, "{:?}", job.failure);
    assert_eq!((job.ticket, job.title.as_str()), (None, "Make it better [31m"));
    let result = job.result.unwrap();
    assert!(result.branch.starts_with("pullyard/acme/job-"), "{}", result.branch);
    assert_eq!(story.git(&["rev-parse", &format!("{}^", result.head)]).await, ahead);
    let prompt = story.git(&["show", &format!("{}:prompt.txt", result.head)]).await;
    assert!(prompt.contains("branch `develop`") && prompt.contains("````text\nMake it better"), "{prompt}");
    let pulls = story.pull_requests().await;
    assert_eq!(pulls.len(), 1);
    assert_eq!((&pulls[0]["title"], &pulls[0]["base"]["ref"]), (&json!("Make it better [31m"), &json!("develop")));
    assert_eq!((&pulls[0]["head"]["ref"], &pulls[0]["head"]["sha"]), (&json!(result.branch), &json!(result.head)));
    assert!(pulls[0]["body"].as_str().unwrap().contains(job.id.as_str()));

    let nowhere = CreateJob { base: Some("nowhere".into()), ..create_request(&story, None, Some("Do it.")) };
    let failure = story.wait_for_end(&create_job(&story, &nowhere).await).await.failure.unwrap();
    assert_eq!(failure.sentence, "acme/app has no branch `nowhere`.");
    for base in ["", "origin/main", "--upload-pack=touch", "a b", "a\u{0}b", &"b".repeat(201)] {
        let request = CreateJob { base: Some(base.into()), ..create_request(&story, None, Some("Do it.")) };
        assert_eq!(summary(&assert_refused(&story, &request).await), (422, "invalid", Some("/base")), "{base}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_job_request_is_refused_with_its_reason() {
    let story = without_default().await;
    story.send_ticket_event("e1", "APP-1", TODO, 1).await;
    let (ticket, prompt) = (create_request(&story, Some("APP-1"), None), create_request(&story, None, Some("Do it.")));
    let elsewhere = Some(RepositoryName::new("acme/other").unwrap());
    let cases = [
        (create_request(&story, None, None), (422, "invalid", Some("/prompt"))),
        (create_request(&story, None, Some(" \n ")), (422, "invalid", Some("/prompt"))),
        (create_request(&story, Some("APP-9"), None), (404, "not_found", None)),
        (CreateJob { project: ProjectId::new("nobody").unwrap(), ..prompt.clone() }, (404, "not_found", None)),
        (prompt.clone(), (422, "invalid", Some("/repository"))),
        (ticket.clone(), (409, "ticket_without_repository", None)),
        (CreateJob { repository: elsewhere.clone(), ..prompt.clone() }, (409, "repository_not_integrated", None)),
        (CreateJob { repository: elsewhere, ..ticket.clone() }, (409, "repository_not_integrated", None)),
    ];
    for (request, expected) in cases {
        let problem = assert_refused(&story, &request).await;
        assert_eq!(summary(&problem), expected, "{request:?}");
        assert!(problem.detail.ends_with('.'), "{}", problem.detail);
    }
    story.update_settings(|settings| settings.held_by = Some("ana".into())).await;
    let repository = Some(RepositoryName::new(REPOSITORY).unwrap());
    for request in [ticket, prompt] {
        let request = CreateJob { repository: repository.clone(), ..request };
        assert_eq!(summary(&assert_refused(&story, &request).await), (409, "project_held", None));
    }
    assert!(story.jobs().await.is_empty());
    story.update_settings(|settings| settings.held_by = None).await;
    create_job(&story, &CreateJob { repository, ..create_request(&story, None, Some("Do it.")) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repository_of_a_request_overrides_its_tickets() {
    let story = story_without_hints().await;
    let [here, there] = [REPOSITORY, "acme/site"].map(|name| RepositoryName::new(name).unwrap());
    let files = [("README.md", "# Site\n", false)];
    story.local.forge().create_repository(there.as_str(), "main", &files).await.unwrap();
    let add = json!({
        "integration": "gh1", "name": there, "agent": { "capability": "command", "command": ["./agent.sh"] },
    });
    story.api.add_repository(&story.project, &serde_json::from_value(add).unwrap()).await.unwrap();
    for (key, named, expected) in [("APP-1", None, &there), ("APP-2", Some(&here), &here)] {
        let mut event = story.event(key, key, TODO, 1);
        event.ticket.repository = Some(there.clone());
        story.api.send_ticket_event(&event).await.unwrap();
        let request = CreateJob { repository: named.cloned(), ..create_request(&story, Some(key), None) };
        let job = create_job(&story, &request).await;
        assert_eq!(story.api.job(&job).await.unwrap().repository.as_ref(), Some(expected), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn second_job_for_a_ticket_is_refused_with_the_active_job() {
    let story = story_without_hints().await;
    let active = story.create_job("e1", "APP-1", 1).await;
    let problem = assert_refused(&story, &create_request(&story, Some("APP-1"), None)).await;
    assert_eq!((problem.status, problem.code.as_str()), (409, "job_active"));
    assert!(problem.detail.contains(&active.short()), "{}", problem.detail);
    story.send_ticket_event("e2", "APP-2", TODO, 1).await;
    let request = create_request(&story, Some("APP-2"), None);
    let answers = join_all((0..20).map(|_| story.api.create_job(&request, None))).await;
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    let codes = answers.iter().filter_map(|answer| answer.as_ref().err()?.code()).collect::<BTreeSet<_>>();
    assert_eq!(accepted, 1, "{codes:?}");
    assert!(codes.iter().all(|code| ["job_active", "contended"].contains(code)), "{codes:?}");
    assert_eq!(story.jobs().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_idempotency_key_returns_the_first_job() {
    let story = story_without_hints().await;
    story.send_ticket_event("e1", "APP-1", TODO, 1).await;
    for (key, request) in [
        ("k1", create_request(&story, None, Some("Do it."))),
        ("k2", create_request(&story, Some("APP-1"), None)),
        (&*"ü".repeat(64), create_request(&story, None, Some("Do it."))),
    ] {
        let ask = async |request: &CreateJob| {
            let bearer = format!("Bearer {}", story.local.admin_token());
            let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
            story.request_with_headers(Method::POST, "/v1/jobs", &headers, serde_json::to_vec(request).unwrap()).await
        };
        let (status, _, first) = ask(&request).await;
        if !key.is_ascii() {
            assert_eq!((status, &first["code"]), (400, &json!("bad_parameter")), "{first}");
            continue;
        }
        assert_eq!((status, &first["code"]), (201, &json!("accepted")), "{first}");
        for _ in 0..2 {
            let (status, _, again) = ask(&request).await;
            assert_eq!((status, &again["verdict"]), (200, &json!("duplicate")), "{again}");
            assert_eq!((&again["job"], &again["delivery"]), (&first["job"], &first["delivery"]));
        }
        let other = CreateJob { base: Some("develop".into()), ..request };
        let (status, _, problem) = ask(&other).await;
        assert_eq!((status, &problem["code"]), (422, &json!("idempotency_key_reused")), "{problem}");
    }
    let long = format!("{}x", "y".repeat(128));
    for key in ["", &long] {
        let refused = story.api.create_job(&create_request(&story, None, Some("Do it.")), Some(key)).await.unwrap_err();
        assert_eq!(refused.code(), Some("bad_parameter"), "{key}");
    }
    assert_eq!(story.jobs().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_newest_first_in_stable_pages() {
    let story = story_without_hints().await;
    let mut expected = Vec::new();
    for n in 0..53 {
        expected.push(create_job(&story, &create_request(&story, None, Some(&format!("Job {n}")))).await);
        story.clock.advance(std::time::Duration::from_millis(5));
    }
    expected.reverse();
    let mut listed = Vec::new();
    let mut after = None::<String>;
    let mut sizes = Vec::new();
    loop {
        let page: JobPage = story.api.jobs(&story.project, after.as_deref()).await.unwrap();
        sizes.push(page.jobs.len());
        if sizes.len() == 1 {
            // A new job must not shift the next page.
            create_job(&story, &create_request(&story, None, Some("Meanwhile"))).await;
        }
        listed.extend(page.jobs.into_iter().map(|job| job.id));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(listed, expected);
    assert_eq!(sizes, [50, 3]);
    let other = ProjectId::new("other").unwrap();
    assert!(story.api.jobs(&other, None).await.unwrap().jobs.is_empty());
}
