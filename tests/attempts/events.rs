//! Tests an attempt's events: batches, repeats and reading.

use super::{GRACE, claimed_job, kill_task};
use crate::prelude::*;
use futures::future::join_all;
use pullyard_protocol::event::{Event, EventKind};

fn events(first: u64, count: u64, text: &str) -> EventsRequest {
    let event = |seq| Event {
        seq,
        age_ms: 0,
        kind: EventKind::Text,
        text: Some(format!("{text} {seq}")),
        name: None,
        path: None,
        call: None,
        data: None,
    };
    EventsRequest {
        first_seq: first,
        events: (first..first + count).map(event).collect(),
        inputs: None,
        spent_usd_micros: None,
    }
}

/// Reads all pages: attempt, sequence number and text of each event.
async fn read_all(story: &Story, job: &JobId, after: Option<String>) -> (Vec<(u32, u64, String)>, String, bool) {
    let (mut stored, mut after) = (Vec::new(), after);
    loop {
        let page = story.api.events(job, after.as_deref()).await.unwrap();
        let is_last = page.events.is_empty() || page.end;
        stored.extend(page.events.into_iter().map(|it| (it.attempt, it.event.seq, it.event.text.unwrap_or_default())));
        if is_last {
            return (stored, page.cursor, page.end);
        }
        after = Some(page.cursor);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_batch_keeps_the_first_events() {
    let (story, job, client, _) = claimed_job().await;
    assert_eq!(client.events(&events(1, 3, "first")).await.unwrap().next_seq, 4);
    assert_eq!(client.events(&events(1, 3, "second")).await.unwrap().next_seq, 4);
    join_all((0..8).map(|n| {
        let (client, batch) = (&client, events(4, 2, &format!("racer {n}")));
        async move { client.events(&batch).await.unwrap() }
    }))
    .await;
    let (stored, _, _) = read_all(&story, &job, None).await;
    assert_eq!(stored.iter().map(|(_, seq, _)| *seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(stored[..3].iter().all(|(_, _, text)| text.starts_with("first")));
    // The whole batch of one racer is stored.
    assert_eq!(stored[3].2.strip_suffix(" 4"), stored[4].2.strip_suffix(" 5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn reader_receives_each_event_once_and_in_order() {
    let (story, job, client, task) = claimed_job().await;
    let mut expected = Vec::new();
    let mut first = 1;
    // More batches than fit on a page.
    for count in (1..=3).cycle().take(45) {
        client.events(&events(first, count, "one")).await.unwrap();
        expected.extend((first..first + count).map(|seq| (1, seq, format!("one {seq}"))));
        first += count;
    }
    let (stored, cursor, end) = read_all(&story, &job, None).await;
    assert_eq!((stored, end), (expected.clone(), false));
    assert_eq!(read_all(&story, &job, Some(cursor.clone())).await, (Vec::new(), cursor.clone(), false));

    // A batch that arrives early is held back until the batch before it arrives.
    client.events(&events(first + 2, 2, "one")).await.unwrap();
    assert_eq!(read_all(&story, &job, Some(cursor.clone())).await.0, []);
    client.events(&events(first, 2, "one")).await.unwrap();
    expected.extend((first..first + 4).map(|seq| (1, seq, format!("one {seq}"))));
    assert_eq!(read_all(&story, &job, None).await.0, expected);

    // Once the attempt has ended, a gap is skipped.
    client.events(&events(first + 10, 2, "one")).await.unwrap();
    expected.extend((first + 10..first + 12).map(|seq| (1, seq, format!("one {seq}"))));
    kill_task(&story, &job, &task).await;
    story.advance_and_sweep(GRACE).await;
    story.wait_for_task(&job, 2).await;
    let (_, client) = story.claim(&job, "c2").await.unwrap();
    client.events(&events(1, 4, "two")).await.unwrap();
    expected.extend((1..5).map(|seq| (2, seq, format!("two {seq}"))));
    let (stored, _, end) = read_all(&story, &job, None).await;
    assert_eq!((&stored, end), (&expected, false));
    let (remaining, _, _) = read_all(&story, &job, Some(cursor)).await;
    assert_eq!(remaining, expected[expected.len() - remaining.len()..]);
    assert_eq!(remaining.len(), 10);

    client.finish(&failed_finish("f1")).await.unwrap();
    let (stored, cursor, end) = read_all(&story, &job, None).await;
    assert_eq!((stored, end), (expected, true));
    assert_eq!(read_all(&story, &job, Some(cursor.clone())).await, (Vec::new(), cursor, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_sent_faster_only_while_watched() {
    let (story, job, client, _) = claimed_job().await;
    let target = async || {
        let answer = client
            .events(&EventsRequest { first_seq: 1, events: Vec::new(), inputs: None, spent_usd_micros: None })
            .await
            .unwrap();
        (answer.watched, answer.send_every_ms)
    };
    assert_eq!(target().await, (false, 800));
    story.api.events(&job, None).await.unwrap();
    wait_until("the events are watched", async || {
        let answer = target().await;
        if answer == (true, 200) { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    story.advance_and_sweep(Duration::from_secs(31)).await;
    assert_eq!(target().await, (false, 800));
}
