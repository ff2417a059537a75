//! Recognizes a rate limit, and computes when it ends.

use std::time::{Duration, SystemTime};

use reqwest::{
    StatusCode,
    header::{AsHeaderName, DATE, HeaderMap, RETRY_AFTER},
};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

/// Pause for a rate limit without a duration, as GitHub's documentation recommends.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(60);

/// GitHub answers 403 or 429, and names a secondary limit only in the message.
pub(crate) fn is_rate_limit(status: StatusCode, headers: &HeaderMap, message: &str) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || headers.contains_key(RETRY_AFTER)
        || header_number(headers, "x-ratelimit-remaining") == Some(0)
        || ["rate limit", "abuse detection"].iter().any(|text| message.to_lowercase().contains(text))
}

/// GitHub's limit of new content is a refusal (422), without a duration.
pub(crate) fn is_content_limit(reason: &str) -> bool {
    reason.contains("was submitted too quickly")
}

pub(crate) fn retry_after(headers: &HeaderMap) -> Duration {
    if let Some(secs) = header_number(headers, RETRY_AFTER) {
        return Duration::from_secs(secs);
    }
    // By the forge's clock if it sent the time, because the local clock may differ.
    let now = header_date(headers, DATE).unwrap_or_else(|| SystemTime::now().into());
    let until = |end: OffsetDateTime| Duration::try_from(end - now).unwrap_or_default();
    if let Some(end) = header_date(headers, RETRY_AFTER) {
        return until(end);
    }
    let reset = header_number(headers, "x-ratelimit-reset")
        .filter(|_| header_number(headers, "x-ratelimit-remaining") == Some(0));
    let reset = reset.and_then(|secs| OffsetDateTime::from_unix_timestamp(i64::try_from(secs).ok()?).ok());
    reset.map_or(DEFAULT_RETRY_AFTER, until)
}

fn header_number(headers: &HeaderMap, name: impl AsHeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// An HTTP date, such as `Fri, 20 Nov 2026 12:04:01 GMT`.
fn header_date(headers: &HeaderMap, name: impl AsHeaderName) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(headers.get(name)?.to_str().ok()?.trim(), &Rfc2822).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(pair).collect()
    }

    #[test]
    fn retry_after_is_read_as_seconds_date_or_reset() {
        let now = ("date", "Fri, 20 Nov 2026 12:00:00 GMT");
        let none_left = ("x-ratelimit-remaining", "0");
        for (fields, secs) in [
            (&[("retry-after", "90")][..], 90),
            (&[now, ("retry-after", "Fri, 20 Nov 2026 12:02:00 GMT")], 120),
            (&[now, ("retry-after", "Sat, 21 Nov 2026 12:00:00 GMT")], 86_400),
            // The limit has ended.
            (&[now, ("retry-after", "Fri, 20 Nov 2026 11:00:00 GMT")], 0),
            (&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], 0),
            (&[now, ("retry-after", "soon")], 60),
            (&[now, ("retry-after", "-5")], 60),
            (&[now, none_left, ("x-ratelimit-reset", "1795176030")], 30),
            (&[now, none_left, ("retry-after", "7"), ("x-ratelimit-reset", "1795176030")], 7),
            (&[now, none_left, ("x-ratelimit-reset", "18446744073709551615")], 60),
            (&[now, ("x-ratelimit-remaining", "5"), ("x-ratelimit-reset", "1795176030")], 60),
            (&[], 60),
        ] {
            assert_eq!(retry_after(&headers(fields)), Duration::from_secs(secs), "{fields:?}");
        }
        // Without the forge's time, the local time counts: the year 2100 is far.
        let far = retry_after(&headers(&[("retry-after", "Fri, 01 Jan 2100 00:00:00 GMT")]));
        assert!(far > Duration::from_secs(3600));
    }

    #[test]
    fn secondary_limit_is_recognized_by_its_message() {
        let check = |message: &str| is_rate_limit(StatusCode::FORBIDDEN, &HeaderMap::new(), message);
        assert!(check("You have exceeded a secondary rate limit."));
        assert!(check("You have triggered an abuse detection mechanism."));
        assert!(!check("Resource not accessible by integration"));
    }
}
