//! Collects the permissions of features, and compares them with the granted ones.

use super::Permissions;
use crate::features::{FeatureRow, Level};
use std::collections::BTreeMap;

pub fn missing_permissions(granted: &Permissions, required: &Permissions) -> Vec<String> {
    let level = |code: &str| if code == "read" { Level::Read } else { Level::Write };
    let missing = required.iter().filter(|(name, code)| !is_granted(granted, (name, level(code))));
    missing.map(|(name, code)| format!("{name}: {code}")).collect()
}

pub(super) fn collect<'a>(rows: impl Iterator<Item = &'a FeatureRow>) -> Permissions {
    let mut all = BTreeMap::new();
    for (name, level) in rows.flat_map(|row| row.permissions) {
        let highest = all.entry((*name).to_owned()).or_insert(*level);
        *highest = (*highest).max(*level);
    }
    all.into_iter().map(|(name, level)| (name, level.code().to_owned())).collect()
}

pub(super) fn is_granted(granted: &Permissions, (name, level): (&str, Level)) -> bool {
    match granted.get(name).map(String::as_str) {
        Some("write" | "admin") => true,
        Some("read") => level == Level::Read,
        _ => false,
    }
}
