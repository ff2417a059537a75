//! Parses the settings of updates from afar.

use super::settings::SettingsParser;
use std::path::PathBuf;

/// Set by the image of the runner, whose program is replaced with the image.
const IMAGE_VARIABLE: &str = "PULLYARD_RUNNER_IMAGE";
/// The release address that `infra/release --address` compiles in.
const COMPILED_ADDRESS: Option<&str> = option_env!("PULLYARD_RELEASES");

#[derive(Clone, Debug, Default)]
pub(crate) struct UpdateSettings {
    pub(crate) is_allowed: bool,
    pub(crate) is_image: bool,
    pub(crate) address: Option<String>,
    /// A file with release keys, in place of the compiled ones.
    pub(crate) keys: Option<PathBuf>,
}

impl SettingsParser<'_> {
    pub(super) fn parse_updates(&mut self) -> UpdateSettings {
        let compiled = COMPILED_ADDRESS.filter(|address| !address.is_empty());
        let is_image = self.has_variable(IMAGE_VARIABLE);
        let is_allowed = self.parse_setting("allow-remote-update", "false", parse_bool).unwrap_or(false);
        UpdateSettings {
            is_allowed: is_allowed && !is_image,
            is_image,
            address: self
                .parse_setting("releases", compiled.unwrap_or_default(), parse_address)
                .or_else(|| compiled.map(str::to_owned)),
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
    let is_url = host.is_some_and(|host| !host.is_empty() && !host.contains(char::is_whitespace));
    if is_url { Ok(address.to_owned()) } else { Err("Use the address of releases, such as https://HOST/pullyard.") }
}
