//! The forge's clock, in the form GitHub writes times: RFC 3339, UTC, whole seconds.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

pub(crate) fn now() -> String {
    // Formatting a current UTC time can't fail; an empty time is still better than no forge.
    OffsetDateTime::now_utc().replace_nanosecond(0).ok().and_then(|now| now.format(&Rfc3339).ok()).unwrap_or_default()
}
