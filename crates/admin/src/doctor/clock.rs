//! Compares this machine's clock with AWS's.

use super::Finding;
use crate::Aws;
use std::time::Duration;

/// AWS accepts five minutes; warn early.
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
