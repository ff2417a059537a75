//! The marker of a posted finding, by which a later review recognizes the finding.

use super::review_output::{Finding, Severity, Side};
use crate::text::id::JobId;
use sha2::{Digest, Sha256};
use std::fmt;

const FINGERPRINT_BYTES: usize = 8;

/// Identifies a finding by its file, side, category and the text of its line, so that it survives moved lines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// `line_text` may be indented, because a change of the indentation does not matter.
    pub fn new(finding: &Finding, line_text: &str) -> Self {
        let side = match finding.side {
            Side::Left => "left",
            Side::Right => "right",
        };
        let parts = [&finding.path, side, finding.category.as_str(), line_text.trim()];
        let digest = Sha256::digest(parts.join("\0"));
        Self(data_encoding::HEXLOWER.encode(&digest[..FINGERPRINT_BYTES]))
    }

    fn parse(text: &str) -> Option<Self> {
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (text.len() == 2 * FINGERPRINT_BYTES && is_hex).then(|| Self(text.to_owned()))
    }
}

/// `JOB/FINGERPRINT/SEVERITY`. Trust it only in a comment of our own account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingMarker {
    /// The job that reported the finding.
    pub job: JobId,
    pub fingerprint: Fingerprint,
    pub severity: Severity,
}

impl FindingMarker {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (job, rest) = name.split_once('/')?;
        let (fingerprint, severity) = rest.split_once('/')?;
        Some(Self {
            job: JobId::new(job).ok()?,
            fingerprint: Fingerprint::parse(fingerprint)?,
            severity: Severity::ALL.into_iter().find(|known| known.as_str() == severity)?,
        })
    }
}

impl fmt::Display for FindingMarker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.job, self.fingerprint.0, self.severity.as_str())
    }
}
