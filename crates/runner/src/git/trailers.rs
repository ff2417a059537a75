//! Defines the trailer by which an attempt recognises its job's commits.

pub(crate) const JOB_TRAILER: &str = "Pullyard-Job";
