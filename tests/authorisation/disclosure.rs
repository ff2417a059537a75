//! Tests that answers to a token for one project name no object of another project.

use super::{RequiredCredential, World};
use crate::prelude::*;
use pullyard_domain::agent::breaker::{AttemptRef, Breaker, BreakerCause};
use pullyard_protocol::pull_request::LinkPullRequest;

impl World {
    async fn open_breaker(&self, account: &str) {
        let now = self.story.clock.now();
        let breaker = Breaker {
            id: account.parse().unwrap(),
            cause: BreakerCause::LimitReached,
            until: now.plus(Duration::from_secs(3_600)),
            times: 1,
            opened: now,
            by: AttemptRef { job: self.acme.job.clone(), attempt: 1 },
            rev: 0,
        };
        assert_eq!(self.story.store().await.put_breaker(&breaker, None).await.unwrap(), Write::Applied);
    }

    async fn get(&self, path: &str, token: &str) -> String {
        let (status, _, body) = self.story.request(Method::GET, path, Some(token), Vec::new()).await;
        assert_eq!(status, 200, "{path}: {body}");
        body.to_string()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn token_for_one_project_sees_no_names_of_another() {
    let world = World::new().await;
    let (story, acme) = (&world.story, &world.acme);
    let of_runner = format!("runner/{}/codex", acme.runner);
    for account in ["project/acme/codex", "project/other/codex", &of_runner] {
        world.open_breaker(account).await;
    }
    let link = LinkPullRequest {
        project: story.project.clone(),
        repository: RepositoryName::new(REPOSITORY).unwrap(),
        number: world.number,
        integration: None,
        ticket: TicketKey::new(acme.key).unwrap(),
    };
    story.api.link_pull_request(&link).await.unwrap();
    // A runner that serves both projects works for acme.
    story.update_settings(|settings| settings.compute = Compute::Runners).await;
    let job = story.create_job("e2", "APP-2", 2).await;
    let of_two = story.runner_token("of-two", Some(&["acme", "other"]), None).await;
    let runner = story.register_runner(&of_two, "of-two", "i1").await;
    assert_eq!(runner.claim_job_id("c1").await.as_ref(), Some(&job));

    let theirs = [
        r#""acme""#,
        "project/acme/",
        "runner/rnr_",
        "APP-1",
        "APP-2",
        job.as_str(),
        acme.job.as_str(),
        &acme.delivery,
        &acme.artifact,
        &acme.runner,
        &acme.runner_name,
        &acme.hook,
    ];
    let token = story.create_token(&[Scope::Admin], Some(&["other"])).await;
    let routes = world.routes(&world.other).into_iter().filter(|route| {
        let is_ours = matches!(
            route.needs,
            RequiredCredential::OwnProjects(_) | RequiredCredential::Project(_) | RequiredCredential::Object(_)
        );
        is_ours && route.method == Method::GET
    });
    let mut paths: Vec<String> = routes.map(|route| route.path).collect();
    assert!(paths.len() > 20, "{paths:?}");
    paths.push(format!("/v1/runners/{}", runner.id));
    for path in &paths {
        let body = world.get(path, &token).await;
        let named: Vec<_> = theirs.iter().filter(|word| body.contains(**word)).collect();
        assert!(named.is_empty(), "{path} names {named:?}: {body}");
    }
    // The administrator sees these names.
    let admin = story.local.admin_token();
    for (path, word) in [
        ("/v1/projects", theirs[0]),
        ("/v1/breakers", theirs[1]),
        ("/v1/breakers", theirs[2]),
        ("/v1/runners", job.as_str()),
        ("/v1/runners", acme.runner_name.as_str()),
        ("/v1/hooks", acme.hook.as_str()),
    ] {
        let body = world.get(path, admin).await;
        assert!(body.contains(word), "{path} does not name {word}: {body}");
    }
    // The token may not close a breaker of a shared runner's account either.
    let close = json!({ "account": of_runner }).to_string().into_bytes();
    let (status, _, problem) = story.request(Method::POST, "/v1/breakers/close", Some(&token), close).await;
    assert_eq!((status, &problem["code"]), (403, &Value::from("not_allowed")), "{problem}");
}
