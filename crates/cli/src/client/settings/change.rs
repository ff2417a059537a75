//! Applies `KEY=VALUE` to settings.

use super::{flatten, list_entries, unknown_setting};
use crate::client::fault::CliError;
use pullyard_domain::text::nearest::find_nearest;
use pullyard_protocol::setting::{SETTINGS, Setting};
use serde_json::Value;

pub(super) fn apply_change(mut settings: Value, change: &str) -> Result<Value, CliError> {
    let Some((name, input)) = change.split_once('=') else {
        return Err(CliError::usage(format!("missing value of {change}")).with_help(format!("write {change}=VALUE")));
    };
    let known = Setting::find(name);
    // The settings of a newer server are named by their path. A known path with another name is a mistake.
    let path = known.map_or(name, |setting| setting.path);
    let is_misnamed = known.is_none() && SETTINGS.iter().any(|setting| setting.path == name);
    let slot = settings.pointer_mut(&format!("/{}", path.replace('.', "/"))).filter(|_| !is_misnamed);
    let Some(slot) = slot else {
        let entries = list_entries(&settings);
        return Err(unknown_setting(name, entries.iter().map(|entry| entry.name.as_str())));
    };
    if slot.is_object() {
        let example = flatten(slot, name).into_iter().next().map(|(key, _)| key).unwrap_or_default();
        return Err(CliError::usage(format!("{name} is a group of settings"))
            .with_help(format!("set one of them, such as {example}; `pullyard settings get {name}` lists them")));
    }
    *slot = match known {
        Some(setting) => setting.parse(input).ok_or_else(|| mismatch(setting, input))?,
        None if input.is_empty() => Value::Null,
        // The server checks settings that this version does not know.
        None => serde_json::from_str(input).unwrap_or_else(|_| input.into()),
    };
    Ok(settings)
}

fn mismatch(setting: &Setting, input: &str) -> CliError {
    let name = setting.name();
    let fault = CliError::usage(format!("{name} must be {}, not \"{input}\"", setting.kind.values()));
    fault.with_help(match find_nearest(input, setting.kind.codes()) {
        Some(nearest) => format!("did you mean {name}={nearest}?"),
        None => format!("`pullyard settings describe {name}` describes it"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::project::Settings;

    fn apply(change: &str) -> Result<Value, CliError> {
        apply_change(serde_json::to_value(Settings::default()).unwrap(), change)
    }

    #[test]
    fn wrong_key_or_value_is_refused_with_the_nearest_one() {
        for (change, error, help) in [
            (
                "compute=runner",
                "compute must be fargate, runners or runners_then_fargate, not \"runner\"",
                "did you mean compute=runners?",
            ),
            ("auto_create=ture", "auto_create must be true or false, not \"ture\"", "did you mean auto_create=true?"),
            (
                "limits.wall_secs=-1",
                "limits.wall_secs must be a time, such as 90s, 45min, 1h or 7d, not \"-1\"",
                "`pullyard settings describe limits.wall_secs`",
            ),
            ("limits.wal_secs=1h", "there is no setting limits.wal_secs", "did you mean limits.wall_secs?"),
            ("limits.cost_usd_micros=5", "there is no setting limits.cost_usd_micros", "did you mean limits.cost_usd?"),
            ("limits=5", "limits is a group of settings", "such as limits.cost_usd"),
            ("auto_create", "missing value of auto_create", "write auto_create=VALUE"),
        ] {
            let fault = apply(change).unwrap_err();
            assert_eq!(fault.message(), error);
            assert!(fault.help.as_ref().unwrap().contains(help), "{change}: {:?}", fault.help);
        }
    }

    #[test]
    fn value_is_stored_in_the_unit_of_the_api() {
        let at = |change: &str, pointer: &str| apply(change).unwrap().pointer(pointer).cloned().unwrap();
        assert_eq!(at("limits.cost_usd=2.50", "/limits/cost_usd_micros"), 2_500_000);
        assert_eq!(at("limits.wall_secs=45min", "/limits/wall_secs"), 2_700);
        assert_eq!(at("limits.wall_secs=null", "/limits/wall_secs"), 3_600);
        assert_eq!(at("statuses.closed=[\"Done\"]", "/statuses/closed"), serde_json::json!(["Done"]));
        assert_eq!(at("agent=", "/agent"), Value::Null);
        for pointer in ["/limits/ticket_usd_micros", "/limits/ticket_jobs"] {
            let name = pointer[1..].replace('/', ".").replace("usd_micros", "usd");
            assert_eq!(at(&format!("{name}=null"), pointer), Value::Null, "{name}");
            assert_eq!(at(&format!("{name}="), pointer), Value::Null, "{name}");
        }
    }
}
