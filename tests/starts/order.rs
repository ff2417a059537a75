//! Tests the order in which waiting jobs get the places of `pullyard up`.

use crate::prelude::*;
use crate::story::Tasks;
use std::collections::VecDeque;

#[tokio::test(flavor = "multi_thread")]
async fn waiting_jobs_start_by_priority_and_creation() {
    let story = Story::start_with(Setup { task: Task::Waiting, max_jobs: Some(2), ..Setup::default() }).await;
    let mut jobs = VecDeque::new();
    for (number, label) in (1..).zip([None; 9].into_iter().chain([Some("priority:low"), None, Some("priority:high")])) {
        story.clock.advance(Duration::from_secs(1));
        let mut event = story.event(&format!("e{number}"), &format!("APP-{number}"), TRIGGER, number);
        event.ticket.labels.extend(label.map(str::to_owned));
        jobs.push_back(story.api.send_ticket_event(&event).await.unwrap().job.unwrap());
        story.wait_for_empty_queues().await;
    }
    let low = jobs.remove(9).unwrap();
    let high = jobs.pop_back().unwrap();
    jobs.insert(2, high);
    jobs.push_back(low);
    let mut running: VecDeque<_> = jobs.drain(..2).collect();
    for next in jobs {
        // The end of a task also tries the job after the started one.
        wait_until("it waits for the machine", async || {
            let explanation = story.api.explain_job(&next).await.unwrap();
            if explanation.code.as_deref() == Some("machine_full") { Ok(()) } else { Err(format!("{explanation:?}")) }
        })
        .await;
        // No sweep and no due time: the end of a task gives its place to the next job.
        let ended = running.pop_front().unwrap();
        let task = story.wait_for_task(&ended, 1).await;
        story.kill_task(&task).await;
        story.wait_for_task(&next, 1).await;
        story.wait_for_empty_queues().await;
        running.push_back(next);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn start_of_up_gives_free_places_to_waiting_jobs() {
    let story = Story::start_with(Setup { task: Task::Waiting, max_jobs: Some(1), ..Setup::default() }).await;
    let mut jobs = Vec::new();
    for (number, key) in (1..).zip(["APP-1", "APP-2"]) {
        story.clock.advance(Duration::from_secs(1));
        let event = story.event(&format!("e{number}"), key, TRIGGER, number);
        jobs.push(story.api.send_ticket_event(&event).await.unwrap().job.unwrap());
        story.wait_for_empty_queues().await;
    }
    story.wait_for_task(&jobs[0], 1).await;
    assert!(!story.store().await.load_job(&jobs[1]).await.unwrap().unwrap().dispatch.starting);
    // No task ends, and nothing is due.
    let story = story.restart_with_jobs(Tasks::Survive, Some(2)).await;
    story.wait_for_task(&jobs[1], 1).await;
}
