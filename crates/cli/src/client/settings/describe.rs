//! `pullyard settings describe`: the table of all settings.

use super::{is_under, unknown_setting};
use crate::client::prelude::*;
use pullyard_protocol::setting::{Kind, SETTINGS, Setting};
use serde_json::{Value, json};

pub(super) fn describe(screen: &Screen, key: Option<&str>) -> Result<(), CliError> {
    let settings = SETTINGS.iter().filter(|setting| key.is_none_or(|key| is_under(&setting.name(), key)));
    let settings = settings.collect::<Vec<_>>();
    if let (Some(key), true) = (key, settings.is_empty()) {
        let names = SETTINGS.iter().map(Setting::name).collect::<Vec<_>>();
        return Err(unknown_setting(key, names.iter().map(String::as_str)));
    }
    if screen.is_json() {
        return screen.json(&settings.iter().map(|setting| to_json(setting)).collect::<Vec<_>>());
    }
    if let ([setting], Some(_)) = (settings.as_slice(), key) {
        return print_one(screen, setting);
    }
    let mut table = Table::new([Fixed("KEY"), Flexible("VALUES"), Fixed("UNIT"), Flexible("DEFAULT")]);
    for setting in settings {
        let values = Cell::text(setting.kind.values());
        let unit = Cell::text(piped_unit(setting.kind));
        table.row_with([Cell::text(setting.name()), values, unit, default_cell(setting)], setting.meaning);
    }
    table.show(screen, "There are no settings.")
}

fn print_one(screen: &Screen, setting: &Setting) -> Result<(), CliError> {
    let unit = Some(piped_unit(setting.kind)).filter(|unit| !unit.is_empty());
    print_facts(
        screen,
        &[
            ("Key", Cell::text(setting.name())),
            ("Label", Cell::text(setting.label)),
            ("Section", Cell::text(setting.section.title())),
            ("Meaning", Cell::text(setting.meaning)),
            ("Values", Cell::text(setting.kind.values())),
            ("Unit", Cell::optional(unit)),
            ("Default", default_cell(setting)),
        ],
    )
}

pub(super) fn piped_unit(kind: Kind) -> &'static str {
    if kind == Kind::Seconds { "s" } else { kind.unit() }
}

fn default_cell(setting: &Setting) -> Cell {
    match setting.default_value() {
        Value::Null => Cell::none(),
        list @ Value::Array(_) => Cell::text(list),
        value => Cell::text(setting.format(value)),
    }
}

fn to_json(setting: &Setting) -> Value {
    let default = setting.default_value();
    let in_dollars = || Value::from(setting.format(default));
    json!({
        "key": setting.name(),
        "section": setting.section.title(),
        "label": setting.label,
        "meaning": setting.meaning,
        "values": setting.kind.values(),
        "unit": piped_unit(setting.kind),
        "default": if setting.kind == Kind::Usd && !default.is_null() { in_dollars() } else { default.clone() },
    })
}
