//! How many jobs a runner takes.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobLimit {
    OneClaim,
    OneJob,
    Unlimited,
}
