//! How many jobs a runner takes.

/// How much is taken before the runner ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// What one claim brings, be it nothing.
    Once,
    /// One job.
    One,
    /// Whatever comes.
    All,
}
