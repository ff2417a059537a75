use super::*;
use crate::fixtures::{runner, time_at};
use OrderState::{Accepted, Done, Failed, Wanted};

const ALL: [OrderState; 4] = [Wanted, Accepted, Done, Failed];

fn order(kind: OrderKind, state: OrderState) -> Order {
    let version = (kind == OrderKind::Update).then(|| "0.3.0".to_owned());
    let id = OrderId::new("o1").unwrap();
    Order { id, kind, version, by: "ana".into(), at: time_at(1), state, reason: None }
}

fn kite(updates: Option<Updates>) -> Runner {
    Runner { updates, ..runner("kite") }
}

#[test]
fn reports_move_an_order_only_forward() {
    for from in ALL {
        for to in ALL {
            let expected = match (from, to) {
                (Wanted, Accepted | Done | Failed) | (Accepted, Done | Failed) => Some(to),
                _ => None,
            };
            let report = OrderReport { id: OrderId::new("o1").unwrap(), state: to, reason: Some("x".repeat(400)) };
            let order = order(OrderKind::Restart, from);
            let next = order.after_report(&report);
            assert_eq!(next.as_ref().map(|next| next.state), expected, "{from:?} {to:?}");
            assert!(next.is_none_or(|next| next.reason.unwrap().chars().count() <= MAX_REASON_CHARS));
            let other = OrderReport { id: OrderId::new("o2").unwrap(), ..report };
            assert_eq!(order.after_report(&other), None);
        }
    }
}

#[test]
fn newer_order_replaces_all_but_an_accepted_one() {
    for state in ALL {
        let runner = Runner { order: Some(order(OrderKind::Update, state)), ..kite(Some(Updates::Allowed)) };
        let newer = Order { id: OrderId::new("o2").unwrap(), ..order(OrderKind::Restart, Wanted) };
        let result = runner.with_order(newer.clone(), "0.1.0", time_at(2));
        match state {
            Accepted => assert_eq!(result.unwrap_err().code(), "order_accepted"),
            _ => assert_eq!(result.unwrap().order, Some(newer), "{state:?}"),
        }
    }
}

#[test]
fn order_is_refused_with_its_own_reason() {
    use OrderKind::{Restart, Update};
    let runner_with = |updates, status| Runner { status, ..kite(updates) };
    let (allowed, online) = (Some(Updates::Allowed), Presence::Online);
    for (updates, status, kind, version, expected) in [
        (allowed, online, Restart, "0.1.0", None),
        (Some(Updates::Denied), online, Restart, "0.1.0", None),
        (None, online, Restart, "0.1.0", Some("orders_unsupported")),
        (allowed, Presence::Offline, Restart, "0.1.0", Some("runner_offline")),
        (allowed, Presence::Deleting, Restart, "0.1.0", Some("runner_deleting")),
        (allowed, online, Update, "0.1.0", None),
        (Some(Updates::Denied), online, Update, "0.1.0", Some("update_not_allowed")),
        (allowed, online, Update, "0.3.0", Some("version_runs")),
        (allowed, online, Update, "0.10.0", None),
        (allowed, online, Update, "built by hand", None),
    ] {
        let runner = runner_with(updates, status);
        let result = runner.with_order(order(kind, Wanted), version, time_at(2));
        let code = result.as_ref().err().map(Refusal::code);
        assert_eq!(code, expected, "{updates:?} {status:?} {kind:?} {version}");
        if let Err(refusal) = result {
            let sentence = refusal.sentence();
            assert!(sentence.contains("kite") && !refusal.help().is_empty(), "{sentence}");
        }
    }
}

#[test]
fn registration_fails_an_order_that_its_process_does_not_expect() {
    let other = InstanceId::new("other").unwrap();
    for state in ALL {
        let runner = Runner { order: Some(order(OrderKind::Restart, state)), ..kite(Some(Updates::Denied)) };
        let after = |instance: &InstanceId, updates| after_registration(&runner, instance, updates).unwrap().state;
        let open_fails = if matches!(state, Wanted | Accepted) { Failed } else { state };
        assert_eq!(after(&runner.instance, None), open_fails);
        assert_eq!(after(&runner.instance, Some(Updates::Denied)), state);
        // A restart that its process had accepted is done, or repeated, by the next one.
        assert_eq!(after(&other, Some(Updates::Denied)), if state == Wanted { Failed } else { state });
    }
    let idle = kite(None);
    assert_eq!(after_registration(&idle, &idle.instance, None), None);
}

#[test]
fn releases_are_compared_by_number() {
    let release = |text: &str| text.parse::<Release>();
    assert!(release("0.9.0").unwrap() < release("0.10.0").unwrap());
    for wrong in ["", "0.3", "0.3.0.1", "v0.3.0", "0.3.0-rc1", "0.03.0", "../..", "+1.0.0", "0..0", "4294967296.0.0"] {
        assert!(release(wrong).is_err(), "{wrong}");
    }
}
