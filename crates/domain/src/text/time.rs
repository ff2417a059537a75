//! Instants in milliseconds since 1970, UTC, and days.
//! The wire uses RFC 3339 text. The table uses a number, because texts with varying fractions sort wrongly.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// Reads the number of the table, or the text of facts in the API.
impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Millis(i64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Millis(millis) => Ok(Self::from_millis(millis)),
            Form::Text(text) => Self::parse(&text).map_err(de::Error::custom),
        }
    }
}

/// The end of the year 9999, the last instant in RFC 3339.
const MAX_MILLIS: i64 = 253_402_300_799_999;

impl Timestamp {
    /// Clamps to the years 1970 to 9999.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(0, MAX_MILLIS))
    }

    /// Units: milliseconds since 1970.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// Parses RFC 3339 text, such as `2026-11-20T12:04:01.5Z`. Fractions below a millisecond are cut.
    pub fn parse(text: &str) -> Result<Self, ParseTimestampError> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| ParseTimestampError)?;
        let millis = i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).map_err(|_| ParseTimestampError)?;
        if (0..=MAX_MILLIS).contains(&millis) { Ok(Self(millis)) } else { Err(ParseTimestampError) }
    }

    pub fn plus(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_millis()).unwrap_or(MAX_MILLIS);
        Self::from_millis(self.0.saturating_add(by))
    }

    pub fn minus(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_millis()).unwrap_or(MAX_MILLIS);
        Self::from_millis(self.0.saturating_sub(by))
    }

    /// The time since `earlier`; zero if it is in the future.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The day in UTC, such as `2026-11-20`. Part of the ledger's list key.
    pub fn day(self) -> String {
        self.to_string().chars().take(10).collect()
    }
}

/// Clamps to the years 1970 to 9999.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(0).plus(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    }
}

impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).map_err(|_| fmt::Error)?;
        let (year, month, day) = at.to_calendar_date();
        let (hour, minute, second, milli) = at.to_hms_milli();
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z",
            month = u8::from(month)
        )
    }
}

/// The text is no RFC 3339 instant between 1970 and 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseTimestampError;

impl fmt::Display for ParseTimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a time; write it as 2026-11-20T12:04:01Z")
    }
}

impl std::error::Error for ParseTimestampError {}

/// For `#[serde(with = "WireTime")]`: a timestamp as wire text, also in the schema.
#[derive(schemars::JsonSchema)]
#[schemars(transparent)]
pub struct WireTime(pub Timestamp);

impl WireTime {
    pub fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(at)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        Timestamp::parse(&text).map_err(de::Error::custom)
    }
}

/// Like `WireTime`, for an optional time.
#[derive(schemars::JsonSchema)]
#[schemars(transparent)]
pub struct OptionalWireTime(pub Option<Timestamp>);

impl OptionalWireTime {
    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        at.map(|at| at.to_string()).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| Timestamp::parse(&text).map_err(de::Error::custom)).transpose()
    }
}

const DAY: Duration = Duration::from_secs(24 * 3_600);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(Timestamp);

impl Day {
    pub fn containing(at: Timestamp) -> Self {
        let length = i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX);
        Self(Timestamp::from_millis(at.millis() - at.millis().rem_euclid(length)))
    }

    pub fn start(self) -> Timestamp {
        self.0
    }

    pub fn end(self) -> Timestamp {
        self.0.plus(DAY)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.day())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_round_trips_through_its_text() {
        let at = Timestamp::from_millis(1_795_154_401_007);
        assert_eq!(at.to_string(), "2026-11-20T06:00:01.007Z");
        assert_eq!(Timestamp::parse(&at.to_string()), Ok(at));
        assert_eq!(Timestamp::parse("2026-11-20T07:00:01.0074+01:00"), Ok(at));
        assert_eq!(at.day(), "2026-11-20");
    }

    #[test]
    fn system_time_is_clamped() {
        let epoch = SystemTime::UNIX_EPOCH;
        for (time, millis) in [
            (epoch - Duration::from_secs(1), 0),
            (epoch + Duration::from_millis(1_500), 1_500),
            (epoch + Duration::from_secs(1 << 40), MAX_MILLIS),
        ] {
            assert_eq!(Timestamp::from(time).millis(), millis);
        }
    }

    #[test]
    fn text_that_is_no_instant_is_rejected() {
        for text in ["", "yesterday", "2026-11-20", "2026-13-20T00:00:00Z", "1969-12-31T23:59:59Z"] {
            assert_eq!(Timestamp::parse(text), Err(ParseTimestampError), "{text}");
        }
        for text in ["1970-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"] {
            assert_eq!(Timestamp::parse(text).map(|at| at.to_string()).as_deref(), Ok(text));
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Times {
        #[serde(with = "WireTime")]
        at: Timestamp,
        #[serde(default, with = "OptionalWireTime")]
        until: Option<Timestamp>,
    }

    #[test]
    fn timestamp_serializes_as_text_only() {
        let at = Timestamp::from_millis(1_795_154_401_007);
        let until = Some(Timestamp::from_millis(1_795_154_401_000));
        let read = |text: &str| serde_json::from_str::<Times>(text).ok();
        for (times, text) in [
            (Times { at, until }, r#"{"at":"2026-11-20T06:00:01.007Z","until":"2026-11-20T06:00:01.000Z"}"#),
            (Times { at, until: None }, r#"{"at":"2026-11-20T06:00:01.007Z","until":null}"#),
        ] {
            assert_eq!(serde_json::to_string(&times).unwrap(), text);
            assert_eq!(read(text), Some(times));
        }
        assert_eq!(read(r#"{"at":"2026-11-20T07:00:01.007+01:00"}"#), Some(Times { at, until: None }));
        for bad in [
            r#"{"at":1795154401007}"#,
            r#"{"at":"yesterday"}"#,
            r#"{"at":"2026-11-20T06:00:01.007Z","until":"tomorrow"}"#,
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn timestamp_is_read_from_number_and_text() {
        let at = Timestamp::from_millis(1_795_154_401_007);
        assert_eq!(serde_json::to_string(&at).unwrap(), "1795154401007");
        for text in ["1795154401007", r#""2026-11-20T06:00:01.007Z""#] {
            assert_eq!(serde_json::from_str::<Timestamp>(text).ok(), Some(at), "{text}");
        }
        assert!(serde_json::from_str::<Timestamp>(r#""yesterday""#).is_err());
    }

    #[test]
    fn timestamp_arithmetic_saturates() {
        let end = Timestamp::from_millis(i64::MAX);
        assert_eq!(end.plus(Duration::MAX), end);
        assert_eq!(Timestamp::from_millis(5).minus(Duration::MAX).millis(), 0);
        assert_eq!(Timestamp::from_millis(5).since(Timestamp::from_millis(9)), Duration::ZERO);
    }
}
