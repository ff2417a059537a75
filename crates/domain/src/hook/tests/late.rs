//! Lists whose rows come when their tries are over: which deliveries are asked for again, and how often.

use super::{at, rows, tried};
use crate::hook::recovery::{KEPT, LISTED_WITHIN, MOST_ASKED, Recovery, Tried};
use crate::time::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a round reads of a list.
fn read(known: &Recovery, list: &[Tried], now: Timestamp) -> Vec<Tried> {
    list.iter().take_while(|row| !known.knows(row, now)).cloned().collect()
}

#[test]
fn a_slow_delivery_that_is_listed_behind_a_quicker_later_one_is_asked_for_once() {
    let (known, ask) = Recovery::default().take_stock(&rows(&[(50, "quick", true)]), at(60));
    assert!(ask.is_empty());
    let list = rows(&[(45, "slow", false), (50, "quick", true)]);
    let (known, ask) = known.take_stock(&read(&known, &list, at(360)), at(360));
    assert_eq!(ask, [45]);
    let (known, ask) = known.take_stock(&read(&known, &list, at(660)), at(660));
    assert_eq!((ask.len(), known.given_up), (0, 0), "it rests, though its row is read again");
}

#[test]
fn a_list_that_stands_still_has_nothing_asked_for_more_often_or_given_up_twice() {
    let (mut known, mut list, mut asked) = (Recovery::default(), rows(&[(1, "a", false)]), Vec::new());
    // For longer than the last of its tries is kept.
    for minute in (0..6 * 24 * 60).step_by(5) {
        let now = at(10 + minute * 60);
        let ask;
        (known, ask) = known.take_stock(&read(&known, &list, now), now);
        for _ in ask {
            asked.push(minute * 60);
            // It fails each time.
            let id = u64::try_from(asked.len()).unwrap() + 1;
            list.insert(0, Tried { at: now, ..tried(id, "a", false) });
        }
        // The newest try is kept for longer than the delivery is followed by its first.
        let is_kept = now.since(list[0].at) <= KEPT;
        assert_eq!((known.missing.len(), known.given_up), if is_kept { (1, 0) } else { (0, 1) }, "minute {minute}");
    }
    assert_eq!(asked, [0, 3_600, 90_000]);
}

/// One delivery as its forge makes it. Units: seconds.
#[derive(Clone, Debug)]
struct Sent {
    began: u16,
    /// How long until it is listed.
    took: u8,
    /// How its tries end, first come first; further ones as the last.
    arrives: Vec<bool>,
}

fn sent() -> impl Strategy<Value = Sent> {
    let took = 0..=u8::try_from(LISTED_WITHIN.as_secs()).unwrap();
    let arrives = proptest::collection::vec(any::<bool>(), 1..4);
    (0..2_000u16, took, arrives).prop_map(|(began, took, arrives)| Sent { began, took, arrives })
}

/// What a forge has, listed or not yet.
struct Forge {
    sent: Vec<Sent>,
    /// Each with when it is listed.
    tries: Vec<(Tried, Timestamp)>,
    /// Newest first means by when it was listed, not by when it began.
    by_listing: bool,
}

impl Forge {
    fn begins(&mut self, guid: usize, began: Timestamp) {
        let of = &self.sent[guid];
        let guid = guid.to_string();
        let made = self.tries.iter().filter(|(tried, _)| tried.guid == guid).count();
        let arrived = of.arrives[made.min(of.arrives.len() - 1)];
        let id = u64::try_from(self.tries.len()).unwrap();
        let event = "issue_comment".into();
        let listed = began.plus(Duration::from_secs(of.took.into()));
        self.tries.push((Tried { id, guid, at: began, arrived, event }, listed));
    }

    fn list(&self, now: Timestamp) -> Vec<Tried> {
        let mut listed: Vec<_> = self.tries.iter().filter(|(_, listed)| *listed <= now).collect();
        listed.sort_by_key(|(tried, listed)| (if self.by_listing { *listed } else { tried.at }, tried.id));
        listed.into_iter().rev().map(|(tried, _)| tried.clone()).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the order in which deliveries end and are listed, each that failed is asked for until it arrives, and
    /// none more often than the bound.
    #[test]
    fn every_delivery_that_failed_is_asked_for_however_late_it_is_listed_and_none_too_often(
        mut sent in proptest::collection::vec(sent(), 1..30),
        by_listing in any::<bool>(),
        pauses in proptest::collection::vec(prop_oneof![8 => 1..400i64, 1 => 3_000..5_000i64], 1..30),
    ) {
        sent.sort_by_key(|sent| sent.began);
        let began: Vec<_> = sent.iter().map(|sent| at(sent.began.into())).collect();
        let mut forge = Forge { sent, tries: Vec::new(), by_listing };
        for (guid, began) in began.into_iter().enumerate() {
            forge.begins(guid, began);
        }
        let (mut known, mut secs) = (Recovery::default(), 0);
        let mut asked = BTreeMap::<String, usize>::new();
        // Two rounds more when all of the first tries are listed, and then all that there may be of others.
        let last = [2_100, 300, 3_700, 86_500, 300];
        for pause in pauses.into_iter().chain(last) {
            secs += pause;
            let now = at(secs);
            let ask;
            (known, ask) = known.take_stock(&read(&known, &forge.list(now), now), now);
            for id in ask {
                let guid = forge.tries[usize::try_from(id).unwrap()].0.guid.clone();
                let is_there = forge.list(now).iter().any(|tried| tried.guid == guid && tried.arrived);
                prop_assert!(!is_there, "{} has arrived", guid);
                *asked.entry(guid.clone()).or_default() += 1;
                forge.begins(guid.parse().unwrap(), now);
            }
        }
        // As often as it takes, or as may be.
        let needed = |sent: &Sent| {
            let most = usize::from(MOST_ASKED);
            sent.arrives.iter().position(|arrived| *arrived).map_or(most, |failed| failed.min(most))
        };
        let expected: BTreeMap<_, _> = (0..forge.sent.len())
            .map(|guid| (guid.to_string(), needed(&forge.sent[guid])))
            .filter(|(_, times)| *times > 0)
            .collect();
        prop_assert_eq!(asked, expected);
        prop_assert_eq!(known.given_up, 0);
    }
}
