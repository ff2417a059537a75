//! Which pull requests a list is asked for, and in which order.

use std::cmp::Reverse;

use super::{answers, filter::Filter, refusal::Refusal};
use crate::{
    pulls::Pull,
    record::{PullRecord, PullState},
};

/// What `q` may speak of.
const FIELDS: [&str; 8] = [
    "id",
    "state",
    "title",
    "created_on",
    "updated_on",
    "source.branch.name",
    "destination.branch.name",
    "author.nickname",
];

/// Bitbucket's four states; nothing is superseded here.
pub(super) fn state(pull: &PullRecord) -> &'static str {
    match pull.state {
        PullState::Open => "OPEN",
        PullState::Closed if pull.merged.is_some() => "MERGED",
        PullState::Closed => "DECLINED",
    }
}

pub(super) struct Wanted {
    /// None means any.
    states: Option<Vec<String>>,
    filter: Option<Filter>,
    sort: Option<String>,
}

impl Wanted {
    pub(super) fn parse(asked: &[(String, String)]) -> Result<Self, Refusal> {
        let last = |name: &str| asked.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let filter = last("q").map(|text| Filter::parse(text, &FIELDS)).transpose()?;
        // Several are asked for by several parameters.
        let states: Vec<String> =
            asked.iter().filter(|(name, _)| name == "state").map(|(_, value)| value.to_ascii_uppercase()).collect();
        for state in &states {
            if !["OPEN", "MERGED", "DECLINED", "SUPERSEDED"].contains(&state.as_str()) {
                return Err(Refusal::bad_request(&format!("Invalid state: {state}")));
            }
        }
        let states = match &filter {
            // What is said of the state in `q` decides, unless the parameter says something as well.
            Some(filter) if states.is_empty() && filter.mentions("state") => None,
            _ if states.is_empty() => Some(vec!["OPEN".to_owned()]),
            _ => Some(states),
        };
        let sort = last("sort").map(str::to_owned);
        let known = |sort: &str| ["id", "created_on", "updated_on"].contains(&sort.trim_start_matches('-'));
        if let Some(sort) = sort.as_deref().filter(|sort| !known(sort)) {
            return Err(Refusal::bad_request(&format!("Invalid sort: {sort}")));
        }
        Ok(Self { states, filter, sort })
    }

    /// Of all pull requests, newest first, those that are wanted, as they are wanted.
    pub(super) fn pick(&self, mut all: Vec<Pull>) -> Vec<Pull> {
        all.retain(|pull| self.fits(&pull.record));
        let Some(sort) = &self.sort else { return all };
        let (field, falls) = match sort.strip_prefix('-') {
            Some(field) => (field, true),
            None => (sort.as_str(), false),
        };
        // Times are all of one form, so their texts are in their order; what is alike stays newest first.
        let key = |pull: &Pull| match field {
            "created_on" => (pull.record.created_at.clone(), 0),
            "updated_on" => (pull.record.updated_at.clone(), 0),
            _ => (String::new(), pull.record.number),
        };
        if falls {
            all.sort_by_key(|pull| Reverse(key(pull)));
        } else {
            all.sort_by_key(key);
        }
        all
    }

    fn fits(&self, pull: &PullRecord) -> bool {
        let state = state(pull);
        let value_of = |field: &str| match field {
            "id" => pull.number.to_string(),
            "state" => state.to_owned(),
            "title" => pull.title.clone(),
            "created_on" => answers::time(&pull.created_at),
            "updated_on" => answers::time(&pull.updated_at),
            "source.branch.name" => pull.head.clone(),
            "destination.branch.name" => pull.base.clone(),
            _ => pull.author.clone(),
        };
        self.states.as_ref().is_none_or(|states| states.iter().any(|wanted| wanted == state))
            && self.filter.as_ref().is_none_or(|filter| filter.fits(&value_of))
    }
}
