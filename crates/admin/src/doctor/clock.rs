//! This machine's clock beside AWS's.

use super::Finding;
use crate::Aws;
use std::time::Duration;

/// Signatures bear five minutes; a clock that is half a minute off is on its way there.
const SKEW: Duration = Duration::from_secs(30);

pub(super) fn look(aws: &Aws) -> Option<Finding> {
    let apart = aws.clocks()?.apart();
    Some(if apart > SKEW {
        Finding::wrong(
            "clock",
            format!("The clocks of AWS and of this machine are {} s apart.", apart.as_secs()),
            "Set this machine's by a time service: AWS refuses what is signed 5 minutes off, and so does Pullyard.",
        )
    } else {
        Finding::good("clock", "AWS and this machine agree on the time.")
    })
}
