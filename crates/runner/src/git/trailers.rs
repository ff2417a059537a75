//! Trailers of our commits that several files read.

/// Names the job and attempt that made a commit: an attempt recognises its job's earlier push by it.
pub(crate) const JOB_TRAILER: &str = "Pullyard-Job";
