//! How many jobs a runner takes.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobLimit {
    /// The result of one claim, even if it is no job.
    OneClaim,
    OneJob,
    Unlimited,
}
