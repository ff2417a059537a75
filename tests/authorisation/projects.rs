//! Tests access to another project's objects, shared runners and hooks.

use super::{World, manual_hook};
use crate::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_another_project_are_not_found() {
    let world = World::new().await;
    let story = &world.story;
    let token = story.create_token(&[Scope::Read, Scope::Jobs], Some(&["other"])).await;
    let absent = format!("job_{}", "a".repeat(26));
    let ask = async |path: &str| story.request(Method::GET, path, Some(&token), Vec::new()).await;
    for tail in ["", "/why", "/events"] {
        let (status, _, problem) = ask(&format!("/v1/jobs/{}{tail}", world.acme.job)).await;
        let (absent_status, _, absent_problem) = ask(&format!("/v1/jobs/{absent}{tail}")).await;
        assert_eq!((status, absent_status), (404, 404));
        let same = |body: &Value, job: &str| body.to_string().replace(job, "JOB");
        assert_eq!(
            same(&problem, world.acme.job.as_str()),
            same(&absent_problem, &absent),
            "the answers reveal the job"
        );
    }
    let (status, _, problem) = ask(&format!("/v1/deliveries/{}", world.acme.delivery)).await;
    assert_eq!((status, &problem["code"]), (404, &json!("not_found")));
    for (token, count) in [(token.as_str(), 1), (story.local.admin_token(), 2)] {
        let (status, _, page) = story.request(Method::GET, "/v1/projects", Some(token), Vec::new()).await;
        assert_eq!((status, page["projects"].as_array().unwrap().len()), (200, count), "{page}");
    }
    // A call that names a foreign project is not recorded there.
    let tool = story.create_token(&[Scope::Tickets], Some(&["other"])).await;
    for body in [r#"{"project":"acme"}"#.to_owned(), json!(story.event("e9", "APP-9", "Todo", 1)).to_string()] {
        let before = story.api.deliveries(&story.project, None).await.unwrap().deliveries.len();
        let (status, ..) = story.request(Method::POST, "/v1/tickets/events", Some(&tool), body.into()).await;
        assert!(status == 400 || status == 403, "{status}");
        assert_eq!(story.api.deliveries(&story.project, None).await.unwrap().deliveries.len(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_of_one_project_cannot_command_a_shared_runner() {
    let world = World::new().await;
    let story = &world.story;
    let admin = story.create_token(&[Scope::Admin], Some(&["acme"])).await;
    for (name, projects) in [("of-all", None), ("of-two", Some(&["acme", "other"][..]))] {
        let token = story.runner_token(name, projects, None).await;
        let path = format!("/v1/runners/{}", story.register_runner(&token, name, "i1").await.id);
        let drain = json!({ "command": "drain" }).to_string().into_bytes();
        let (drained, ..) = story.request(Method::POST, &format!("{path}/commands"), Some(&admin), drain).await;
        let (removed, ..) = story.request(Method::DELETE, &path, Some(&admin), Vec::new()).await;
        assert_eq!((drained, removed), (403, 403), "{name}");
        let (status, _, runner) = story.request(Method::GET, &path, Some(story.local.admin_token()), Vec::new()).await;
        assert_eq!((status, &runner["drain"]), (200, &Value::Null), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hook_is_created_only_for_the_tokens_projects() {
    let world = World::new().await;
    let story = &world.story;
    let admin = story.create_token(&[Scope::Admin], Some(&["other"])).await;
    for (change, expected) in [
        (json!({}), 201),
        (json!({ "name": "hook-acme" }), 409),
        (json!({ "project": "acme", "name": "taken" }), 403),
        (json!({ "name": "app", "repository": null, "app": true }), 403),
        (json!({ "name": "all", "repository": null, "organisation": "acme" }), 403),
        // An organization or App hook covers all projects and cannot be combined with a repository.
        (json!({ "app": true }), 422),
        (json!({ "organisation": "acme" }), 422),
    ] {
        let mut body = manual_hook(story, "other");
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, _, response) =
            story.request(Method::POST, "/v1/hooks", Some(&admin), body.to_string().into()).await;
        assert_eq!(status, expected, "{change}: {response}");
    }
    let (_, _, hook) =
        story.request(Method::GET, "/v1/hooks/hook-acme", Some(story.local.admin_token()), Vec::new()).await;
    assert_eq!(hook["project"], "acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn hook_of_all_projects_is_hidden_from_a_token_for_some() {
    let world = World::new().await;
    let story = &world.story;
    let mut install = manual_hook(story, "other");
    install["name"] = json!("shared");
    (install["repository"], install["organisation"]) = (Value::Null, json!("acme"));
    story.api.install_hook(&serde_json::from_value(install.clone()).unwrap()).await.unwrap();
    let ask = async |token: &str, method: Method, path: &str, body: &Value| {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let (status, _, response) = story.request(method, path, Some(token), body).await;
        (status, response)
    };
    for projects in [&["acme"][..], &["other"], &["acme", "other"]] {
        let token = story.create_token(&[Scope::Admin], Some(projects)).await;
        for (method, tail, body) in [
            (Method::GET, "", Value::Null),
            (Method::POST, "/verify", Value::Null),
            (Method::POST, "/repair", Value::Null),
            (Method::DELETE, "", Value::Null),
        ] {
            let (status, problem) = ask(&token, method.clone(), &format!("/v1/hooks/shared{tail}"), &body).await;
            assert_eq!((status, &problem["code"]), (404, &json!("not_found")), "{method} {tail} of {projects:?}");
        }
        let (_, listed) = ask(&token, Method::GET, "/v1/hooks", &Value::Null).await;
        let names: Vec<_> = listed["hooks"].as_array().unwrap().iter().map(|hook| hook["name"].clone()).collect();
        assert_eq!(names, projects.iter().map(|project| json!(format!("hook-{project}"))).collect::<Vec<_>>());
        // The name is taken for them as well.
        let mut own = manual_hook(story, projects[0]);
        own["name"] = json!("shared");
        assert_eq!(ask(&token, Method::POST, "/v1/hooks", &own).await.0, 409, "{projects:?}");
    }
    let of_all = story.create_token(&[Scope::Admin], None).await;
    let (status, shared) = ask(&of_all, Method::GET, "/v1/hooks/shared", &Value::Null).await;
    assert_eq!((status, &shared["project"]), (200, &json!("other")), "{shared}");
    assert_eq!(ask(&of_all, Method::POST, "/v1/hooks", &install).await.0, 201);
}
