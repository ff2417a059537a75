//! Tests the list of jobs: filters, search, totals, and bulk actions.

use super::job_pages::{Agent, HOSTILE, assert_harmless};
use super::{Answer, Browser};
use crate::prelude::*;

struct Jobs {
    story: Story,
    browser: Browser,
    failed: JobId,
    waiting: JobId,
}

impl Jobs {
    /// Two jobs: APP-1 failed, APP-2 waits.
    async fn begin() -> Self {
        let story = Story::start_with_waiting_tasks().await;
        let failed = story.create_job("e1", "APP-1", 1).await;
        let agent = Agent::start_executing(&story, &failed).await;
        agent.client.finish(&failed_finish("f1")).await.unwrap();
        story.wait_for_settled_ticket("APP-1").await;
        let waiting = story.create_job("e2", "APP-2", 1).await;
        let browser = Browser::admin(&story).await;
        Self { story, browser, failed, waiting }
    }

    fn shows(page: &Answer, job: &JobId) -> bool {
        page.contains(&format!(r#"<a class="title" href="/jobs/{job}""#))
    }

    async fn run_bulk(&self, action: &str, form_key: &str, jobs: &[&str]) -> Answer {
        let mut form = vec![("project", "acme"), ("action", action), ("form_key", form_key)];
        form.extend(jobs.iter().map(|job| ("job", *job)));
        self.browser.post("/jobs/bulk", &form).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn job_list_filters_by_every_field_and_sums_up() {
    let jobs = Jobs::begin().await;
    let (failed, short) = (jobs.failed.to_string(), jobs.failed.short());
    for (query, shows_failed, shows_waiting) in [
        ("", true, true),
        ("&status=failed", true, false),
        ("&status=waiting", false, true),
        ("&ticket=APP-2", false, true),
        ("&repository=acme%2Fapp", true, true),
        ("&agent=command", true, true),
        ("&agent=codex", false, false),
        ("&since=1", true, true),
        ("&failure=no_changes", true, false),
        ("&q=about+app-2", false, true),
        ("&q=APP-1", true, false),
        (&format!("&q={short}"), true, false),
        ("&q=nothing", false, false),
    ] {
        let page = jobs.browser.get(&format!("/jobs?project=acme{query}")).await;
        assert_eq!(page.status, 200, "{query}");
        let visible = (Jobs::shows(&page, &jobs.failed), Jobs::shows(&page, &jobs.waiting));
        assert_eq!(visible, (shows_failed, shows_waiting), "{query}: {}", page.body);
        let count = usize::from(shows_failed) + usize::from(shows_waiting);
        let total = if count == 1 { "<b>1 job</b>".to_owned() } else { format!("<b>{count} jobs</b>") };
        assert_eq!(page.contains(&total), !query.is_empty(), "{query}: {}", page.body);
        assert_eq!(page.contains("No matching jobs"), count == 0, "{query}");
    }
    let page = jobs.browser.get("/jobs?project=acme&status=failed").await;
    assert!(page.contains("<span>1 failed</span>") && page.contains("without changing a file"), "{}", page.body);
    let response = jobs.browser.get(&format!("/jobs?project=acme&q={failed}")).await;
    assert_eq!(response.redirect(), (303, format!("/jobs/{failed}").as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_job_filter_is_refused_with_its_name() {
    let (_story, browser) = Story::with_browser().await;
    for (query, expected) in [
        ("status=odd", "unknown status"),
        ("repository=acme%2Fother", "not connected to this project"),
        ("agent=odd", "unknown agent"),
        ("since=2", "unknown period"),
        ("failure=odd", "unknown code"),
    ] {
        let page = browser.get(&format!("/jobs?project=acme&{query}")).await;
        assert!(page.status == 422 && page.contains(expected), "{query}: {}", page.body);
    }
    let hostile = super::percent(HOSTILE);
    for field in ["status", "repository", "agent", "since", "failure", "ticket", "q"] {
        assert_harmless(&browser.get(&format!("/jobs?project=acme&{field}={hostile}")).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_cancel_reports_every_job() {
    let jobs = Jobs::begin().await;
    let list = jobs.browser.get("/jobs?project=acme").await;
    let box_of = |job: &JobId| format!(r#"name="job" value="{job}""#);
    assert!(list.contains(&box_of(&jobs.failed)) && list.contains(&box_of(&jobs.waiting)), "{}", list.body);
    let absent = format!("job_{}", "a".repeat(26));
    let answer =
        jobs.run_bulk("cancel", "form-1", &[jobs.failed.as_str(), jobs.waiting.as_str(), &absent, HOSTILE]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_harmless(&answer);
    answer.assert_contains(&["1 job was cancelled, 3 refused.", "has already", "Cancelled by", "There is no job"]);
    let status = async |job| jobs.story.api.job(job).await.unwrap().status;
    assert_eq!((status(&jobs.failed).await, status(&jobs.waiting).await), (JobStatus::Failed, JobStatus::Cancelled));
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_bulk_retry_creates_one_job_each() {
    let jobs = Jobs::begin().await;
    for _ in 0..2 {
        let answer = jobs.run_bulk("retry", "form-1", &[jobs.failed.as_str(), jobs.waiting.as_str()]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.assert_contains(&["1 job was retried, 1 refused.", "Open job", "only a failed or cancelled job"]);
    }
    assert_eq!(jobs.story.jobs().await.len(), 3);
    for (action, picked) in [("retry", vec![]), ("odd", vec![jobs.failed.as_str()])] {
        assert_eq!(jobs.run_bulk(action, "form-2", &picked).await.status, 422, "{action}");
    }
}
