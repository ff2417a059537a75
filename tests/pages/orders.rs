//! What people order done with a job on its page.

use super::Browser;
use crate::story::Story;
use pullyard_domain::job::Status;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_cancelled_and_done_again_from_its_page() {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let browser = Browser::admin(&story).await;
    let address = format!("/jobs/{job}");
    let page = browser.get(&address).await;
    assert!(page.says("Cancel this job") && !page.says("Do it again"), "{}", page.body);
    let answer = browser.post(&format!("{address}/cancel"), &[]).await;
    assert_eq!(answer.to(), (303, address.as_str()));
    assert_eq!(story.api.job(&job).await.unwrap().status, Status::Cancelled);

    let page = browser.get(&address).await;
    assert!(page.says("Cancelled by") && page.says("Do it again") && !page.says("Cancel this job"), "{}", page.body);
    let twice = [("once", "form-1")];
    let first = browser.post(&format!("{address}/retry"), &twice).await;
    let second = browser.post(&format!("{address}/retry"), &twice).await;
    assert_eq!(first.to(), second.to(), "one click more makes no job more");
    assert_eq!(first.status, 303);
    assert_ne!(first.to().1, address);
    // A third form is another wish, and the ticket has its job.
    let third = browser.post(&format!("{address}/retry"), &[("once", "form-2")]).await;
    assert_eq!(third.status, 409, "{}", third.body);
    assert!(third.says("already has an active job"), "{}", third.body);
    story.end().await;
}
