//! Tests the search page.

use super::{Browser, percent};
use crate::prelude::*;
use crate::pulls::{link_new_ticket, open_pull};

#[tokio::test(flavor = "multi_thread")]
async fn search_finds_tickets_jobs_and_pull_requests() {
    let (story, job) = Story::with_job().await;
    story.send_ticket_event("e2", "APP-12", TODO, 1).await;
    let number = open_pull(&story, "feature").await;
    link_new_ticket(&story, number, "APP-3").await;
    let described = json!({
        "project": story.project, "title": "Broken totals", "description": "First.\n\nThe <b>invoice</b> is wrong.",
    });
    let described: CreateTicket = serde_json::from_value(described).unwrap();
    story.api.create_ticket(&described, None).await.unwrap();
    let browser = Browser::with(&story, &[Scope::Read], None).await;
    let (ticket, job_link) = (r#"href="/tickets/APP-12?project=acme""#, format!(r#"href="/jobs/{job}""#));
    let pull = format!("#{number}</a><span class=\"second\">Pull request, open · APP-3");
    for (text, expected, absent) in [
        ("app-12", &[ticket][..], "/tickets/APP-3"),
        ("12 about", &[ticket], "/tickets/APP-3"),
        ("about", &[ticket, "/tickets/APP-3"], "No ticket, job"),
        (&job.short(), &[&job_link], "No ticket, job"),
        (&job.as_str()[..9], &[&job_link], "APP-12"),
        (job.as_str(), &[&job_link], "APP-12"),
        (&format!("#{number}"), &[&pull], "APP-12"),
        (
            "invoice totals",
            &["Ticket ACME-1 · in the description: The &#60;b&#62;invoice&#60;/b&#62; is wrong."],
            "APP-12",
        ),
        ("wall", &[r#"href="/setup/settings?project=acme#limits.wall_secs""#, "Setting · limits.wall_secs"], "APP-12"),
        ("usd per day", &["project=acme#budget.usd_per_day\""], "APP-12"),
        ("nothing like it", &["No ticket, job, pull request or setting of acme matches"], "id=\"hits\""),
        (" ", &["Enter a ticket’s key"], "id=\"hits\""),
        ("<script>\"'", &["value=\"&#60;script&#62;&#34;&#39;\""], "<script>\""),
    ] {
        let page = browser.get(&format!("/search?project=acme&q={}", percent(text))).await;
        assert_eq!(page.status, 200, "{text}");
        assert!(expected.iter().all(|part| page.contains(part)) && !page.contains(absent), "{text}: {}", page.body);
    }
    // Another project's search does not find this project's job, not even by its whole id.
    let other =
        CreateProject { id: ProjectId::new("other").unwrap(), name: "Other".into(), settings: Settings::default() };
    story.api.create_project(&other).await.unwrap();
    browser
        .get(&format!("/search?project=other&q={job}"))
        .await
        .assert_contains(&["No ticket, job, pull request or setting of other matches"]);
}
