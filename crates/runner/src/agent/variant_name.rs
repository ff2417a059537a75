//! Names the variants of enums as on the wire.

/// The name of an enum's variant on the wire.
pub(super) fn variant_name(variant: impl serde::Serialize) -> String {
    let name = serde_json::to_value(variant).ok();
    name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}
