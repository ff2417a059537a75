//! Verifies that the sweeper runs; without it no lost work is repaired.

use super::Finding;
use crate::first_token::open_store;
use crate::{Aws, Error, Stack};
use pullyard_domain::text::Span;
use pullyard_domain::text::time::Timestamp;
use std::time::{Duration, SystemTime};

/// The sweeper starts every minute and runs for less.
const MAX_SILENCE: Duration = Duration::from_secs(5 * 60);

pub(super) async fn check(aws: &Aws, stack: &Stack) -> Result<Vec<Finding>, Error> {
    let state = open_store(aws, stack).load_sweeper_state().await?;
    let silence = state.map(|state| Timestamp::from(SystemTime::now()).since(state.at));
    let help = format!(
        "Check its errors with `aws logs tail /pullyard/{}/sweeper --since 1h`, and check that its schedule is \
         enabled. It catches up by itself.",
        stack.name
    );
    Ok(vec![match silence {
        None => Finding::wrong("sweeper", "The sweeper never ran.", help),
        Some(silence) if silence > MAX_SILENCE => Finding::wrong(
            "sweeper",
            format!("The sweeper is late: its last run was {} ago.", Span::from(silence)),
            help,
        ),
        Some(_) => Finding::good("sweeper", "The sweeper ran within the last 5 minutes."),
    }])
}
