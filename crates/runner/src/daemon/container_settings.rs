//! Parses the settings of containers, which only the isolations `podman` and `docker` use.

use super::setting_names::how_to_set;
use super::settings::SettingsParser;
use crate::Isolation;
use crate::options::parse_size;
use pullyard_sandbox::Containers;
use std::time::Duration;

const GIB: u64 = 1 << 30;

impl SettingsParser<'_> {
    /// `None` if the isolation needs no container. `Settings::containers_of` sets label and folder.
    pub(super) fn parse_containers(&mut self, isolation: Option<Isolation>) -> Option<Containers> {
        let image = self.find("container-image", "").map(|setting| setting.value).unwrap_or_default();
        let containers = Containers {
            memory_bytes: self.parse_setting("container-memory", "8g", parse_size).unwrap_or(8 * GIB),
            cpu_percent: self.parse_setting("container-cpus", "all", parse_cpus),
            network: self.parse_setting("container-network", "none", parse_network).unwrap_or("none".into()),
            time_limit: self.parse_number("container-limit-secs", "none", 1..=1_000_000).map(Duration::from_secs),
            pool: self.parse_number("container-pool", "0", 0..=8).unwrap_or(0),
            host: self.find("container-host", "").map(|setting| setting.value),
            image,
            label: String::new(),
            folder: std::path::PathBuf::new(),
        };
        let isolation = isolation.filter(|isolation| isolation.is_container())?;
        if containers.image.is_empty() || containers.image.starts_with('-') {
            let setting = how_to_set("container-image");
            self.add_error(format!("Isolation {} needs an image. Set {setting}.", isolation.as_str()));
        }
        Some(containers)
    }

    pub(super) fn parse_setting<T>(
        &mut self,
        name: &'static str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        let setting = self.find(name, default)?;
        parse(&setting.value)
            .map_err(|help| self.add_error(format!("{} is {}. {help}", setting.source, setting.value)))
            .ok()
    }
}

fn parse_cpus(text: &str) -> Result<u32, &'static str> {
    let cpus = text.parse::<f64>().ok().filter(|cpus| (0.1..=1024.0).contains(cpus));
    cpus.map(|cpus| (cpus * 100.0).round() as u32).ok_or("Use a number of CPUs from 0.1 to 1024, such as 1.5.")
}

fn parse_network(text: &str) -> Result<String, &'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match text {
        "host" => Err("A container with the machine's own network is no sandbox. Use none or bridge."),
        name if name.chars().all(is_plain) && !name.starts_with(['-', '.']) => Ok(name.to_owned()),
        _ => Err("Use none, bridge or the name of a network."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_and_networks_are_read_as_the_engines_write_them() {
        assert_eq!((parse_cpus("2"), parse_cpus("1.5"), parse_cpus("0.25")), (Ok(200), Ok(150), Ok(25)));
        assert!(["0", "nan", "-1", "x"].iter().all(|text| parse_cpus(text).is_err()));
        assert!(parse_network("none").is_ok() && parse_network("my_net").is_ok());
        assert!(["host", "container:x", "--privileged"].iter().all(|text| parse_network(text).is_err()));
    }
}
