//! How many jobs a runner takes.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// The result of one claim, even if it is no job.
    Once,
    One,
    /// Unlimited jobs.
    All,
}
