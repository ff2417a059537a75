//! Parses the settings of updates from afar.

use super::settings::{SettingsParser, UpdateSettings};
use pullyard_version::RELEASES;
use std::path::PathBuf;

/// Set by the image of the runner, whose program is replaced with the image.
const IMAGE_VARIABLE: &str = "PULLYARD_RUNNER_IMAGE";

impl SettingsParser<'_> {
    pub(super) fn parse_updates(&mut self) -> UpdateSettings {
        let is_allowed = self.parse_setting("allow-remote-update", "false", parse_bool).unwrap_or(false);
        if is_allowed && self.has_variable(IMAGE_VARIABLE) {
            self.add_error("A container is updated with its image or program: remove --allow-remote-update.".into());
        }
        let address = self.parse_setting("releases", RELEASES, parse_address);
        UpdateSettings {
            is_allowed,
            address: address.or_else(|| Some(RELEASES.to_owned()).filter(|address| !address.is_empty())),
            keys: self.find("release-keys", "compiled").map(|setting| PathBuf::from(setting.value)),
        }
    }
}

fn parse_bool(text: &str) -> Result<bool, &'static str> {
    text.parse().map_err(|_| "Use true or false.")
}

fn parse_address(text: &str) -> Result<String, &'static str> {
    let address = text.trim_end_matches('/');
    let host = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    // `config` and reasons show the address.
    let is_url = host.is_some_and(|host| !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '@'));
    if is_url {
        Ok(address.to_owned())
    } else {
        Err("Use an address without credentials, such as https://HOST/pullyard.")
    }
}

#[cfg(test)]
mod tests {
    use crate::daemon::setting_names::SettingSources;
    use crate::daemon::settings::Settings;
    use std::collections::BTreeMap;

    #[test]
    fn updates_of_an_image_and_credentials_are_refused() {
        let environment = |name: &str| match name {
            "PULLYARD_RUNNER_IMAGE" | "PULLYARD_ALLOW_REMOTE_UPDATE" => Some("true".to_owned()),
            "PULLYARD_RELEASES" => Some("https://ana:secret@mirror/path".to_owned()),
            _ => None,
        };
        let sources = SettingSources {
            flags: BTreeMap::new(),
            file: Default::default(),
            environment: &environment,
            saved_api_url: None,
        };
        let parsed = Settings::parse(&sources);
        for expected in ["remove --allow-remote-update", "Use an address without credentials"] {
            assert!(parsed.errors.iter().any(|error| error.message.contains(expected)), "{expected}");
        }
    }
}
