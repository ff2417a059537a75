//! Compares this machine's clock with AWS's.

use super::Finding;
use crate::Aws;
use std::time::Duration;

/// AWS accepts five minutes; warn early.
const MAX_SKEW: Duration = Duration::from_secs(30);

pub fn check(aws: &Aws) -> Option<Finding> {
    let apart = aws.clock_sample()?.skew();
    Some(if apart > MAX_SKEW {
        Finding::wrong(
            "clock",
            format!("The clocks of AWS and of this machine are {} s apart.", apart.as_secs()),
            "Synchronise this machine's clock with a time service: AWS and Pullyard reject signatures that are 5 \
             minutes off.",
        )
    } else {
        Finding::good("clock", "AWS and this machine agree on the time.")
    })
}
