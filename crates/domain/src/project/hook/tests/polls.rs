//! Tests how far a poll has compared a repository with its forge.

use super::at;
use crate::project::forge::ForgeKind::{Bitbucket, GitHub};
use crate::project::hook::Ingress;
use crate::project::hook::poll_progress::{PollProgress, WebhookHealth, poll_interval};

#[test]
fn github_is_compared_fully_each_hour_bitbucket_each_time() {
    let look = PollProgress::starting_at(at(0));
    assert!(!look.is_full_due(GitHub, at(3_599)) && look.is_full_due(GitHub, at(3_600)));
    assert!(look.is_full_due(Bitbucket, at(0)));
    assert!(PollProgress::default().is_full_due(GitHub, at(0)), "not compared yet");
    assert!(PollProgress { began: Some(at(1)), ..look }.is_full_due(GitHub, at(2)), "a comparison is running");
}

#[test]
fn seen_until_advances_when_nothing_is_left_to_compare() {
    let look = PollProgress { listed: Some(at(9)), ..PollProgress::starting_at(at(5)) };
    assert_eq!(look.complete_until(), Some(at(9)));
    for progress in [
        PollProgress { began: Some(at(8)), ..look.clone() },
        PollProgress { problem: Some("no".into()), ..look.clone() },
        PollProgress { changed: vec![7], ..look.clone() },
    ] {
        assert_eq!(progress.complete_until(), Some(at(5)), "{progress:?}");
    }
}

#[test]
fn poll_interval_depends_on_ingress_and_forge() {
    for (ingress, kind, secs) in [
        (Ingress::Webhook, GitHub, 300),
        (Ingress::Poll, GitHub, 60),
        (Ingress::Both, GitHub, 60),
        (Ingress::Webhook, Bitbucket, 300),
        (Ingress::Poll, Bitbucket, 300),
        (Ingress::Both, Bitbucket, 300),
    ] {
        assert_eq!(poll_interval(ingress, kind).as_secs(), secs, "{ingress:?} {kind:?}");
    }
}

#[test]
fn webhook_misses_a_move_that_no_delivery_announced() {
    let installed = WebhookHealth { installed: Some(at(1_000)), ..WebhookHealth::default() };
    for (delivered, moved_at, now, is_missed) in [
        (None, 1_200, 1_400, true),
        (None, 900, 1_400, false),
        (None, 1_200, 1_300, false),
        (Some(1_190), 1_200, 1_400, false),
        (Some(1_190), 2_000, 2_300, true),
        (Some(2_300), 2_000, 2_400, false),
    ] {
        let health = WebhookHealth { delivered: delivered.map(at), ..installed.clone() };
        let changed = health.record_move(at(moved_at), at(now));
        assert_eq!(changed.is_some(), is_missed, "{delivered:?} {moved_at}");
        if let Some(missed) = changed {
            assert_eq!(missed.record_move(at(moved_at), at(now)), None);
            assert_eq!(missed.record_delivery(at(now)).unwrap().missed, None);
        }
    }
    let by_hand = WebhookHealth::default();
    assert_eq!(by_hand.record_move(at(5_000), at(9_000)), None);
    let delivered = by_hand.record_delivery(at(5_000)).unwrap();
    assert_eq!(delivered.record_delivery(at(5_059)), None);
    assert!(delivered.record_delivery(at(5_060)).is_some());
}
