//! Reads a plan file, and shows the place of each fault.

use super::placed_fault::PlacedFault;
use super::yaml::{Places, parse_yaml};
use crate::client::prelude::*;
use pullyard_domain::project::plan::{MAX_FAULTS, MAX_FILE_BYTES, MAX_SHOWN_FAULTS, Plan, PlanFault};
use pullyard_domain::text::format_count;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A plan without faults that need no server.
#[derive(Debug)]
pub(in crate::client) struct PlanFile {
    pub(in crate::client) json: Map<String, Value>,
    places: Places,
    pub(super) steps: usize,
}

/// The name of the file in messages, and the content, of which a too large one is cut.
pub(in crate::client) fn read(path: &Path) -> Result<(String, Vec<u8>), CliError> {
    let is_stdin = path == Path::new("-");
    let file = if is_stdin { "stdin".to_owned() } else { path.display().to_string() };
    let bytes = if is_stdin { read_most(io::stdin().lock()) } else { File::open(path).and_then(read_most) };
    let unreadable = |error: io::Error| CliError::failed(format!("can't read {file}: {error}"));
    let bytes = bytes.map_err(|error| unreadable(error).with_help("`pullyard runs init > FILE` writes a plan"))?;
    Ok((file, bytes))
}

/// Reads one byte more than a plan may have.
fn read_most(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX) + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl PlanFile {
    /// Errors: all faults, in the order of the file.
    pub(in crate::client) fn parse(bytes: &[u8]) -> Result<Self, Vec<PlacedFault>> {
        let whole = |fault: &str| vec![PlacedFault::new((1, 1), String::new(), fault.into())];
        if bytes.len() > MAX_FILE_BYTES {
            return Err(whole("a plan has at most 64 KiB"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| whole("this is not UTF-8 text; save the file as UTF-8"))?;
        // Editors for Windows begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (json, places) = parse_yaml(text).map_err(|breach| vec![breach])?;
        match Plan::parse(json.clone()) {
            Ok(plan) => {
                let json = json.as_object().cloned().unwrap_or_default();
                Ok(Self { json, places, steps: plan.steps.len() })
            }
            Err(faults) => {
                let mut faults: Vec<_> = faults.into_iter().map(|fault| place(&places, fault)).collect();
                faults.sort();
                Err(faults)
            }
        }
    }

    /// `fault` may be of a request, which has the plan at `/plan`.
    pub(in crate::client) fn place(&self, fault: &PlanFault) -> PlacedFault {
        let pointer = fault.pointer.strip_prefix("/plan").unwrap_or(&fault.pointer);
        place(&self.places, PlanFault::new(pointer, fault.fault.clone()))
    }
}

fn place(places: &Places, PlanFault { pointer, fault }: PlanFault) -> PlacedFault {
    PlacedFault::new(places.find(&pointer), pointer, fault)
}

/// `the plan has 32 faults; the first 20 are listed`
pub(in crate::client) fn count_faults(count: usize) -> String {
    let more =
        if count > MAX_SHOWN_FAULTS { format!("; the first {MAX_SHOWN_FAULTS} are listed") } else { String::new() };
    let least = if count == MAX_FAULTS { "at least " } else { "" };
    format!("the plan has {least}{}{more}", format_count(count, "fault"))
}

pub(in crate::client) const FAULT_HELP: &str = "docs/plans.md describes each key";
