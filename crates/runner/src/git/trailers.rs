//! Defines the trailer by which an attempt recognises its job's commits.

/// Contains the job and the attempt that created a commit.
pub(crate) const JOB_TRAILER: &str = "Pullyard-Job";
