//! Filter and order of a pull request list. Only the queries of our client are supported; others are refused.

use std::cmp::Reverse;

use super::refusal::Refusal;
use pullyard_local_forge::record::{Pull, PullRecord, PullState};

pub(super) fn state(pull: &PullRecord) -> &'static str {
    match pull.state {
        PullState::Open => "OPEN",
        PullState::Closed if pull.merged.is_some() => "MERGED",
        PullState::Closed => "DECLINED",
    }
}

#[derive(Debug)]
pub(super) struct PullRequestFilter {
    /// `None` matches every branch.
    branch: Option<String>,
    states: Vec<String>,
    by_change: bool,
}

impl PullRequestFilter {
    pub(super) fn parse(parameters: &[(String, String)]) -> Result<Self, Refusal> {
        let (mut branch, mut states, mut by_change) = (None, Vec::new(), false);
        for (name, value) in parameters {
            match name.as_str() {
                "q" => {
                    let invalid = || Refusal::bad_request(&format!("Invalid filter: {value}"));
                    let (of, in_state) = branch_and_state(value).ok_or_else(invalid)?;
                    branch = Some(of);
                    push_state(&mut states, &in_state)?;
                }
                "state" => push_state(&mut states, value)?,
                "sort" if value == "-updated_on" => by_change = true,
                "sort" => return Err(Refusal::bad_request(&format!("Invalid sort: {value}"))),
                // `Paging` parses the page; Bitbucket ignores unknown parameters.
                _ => {}
            }
        }
        if states.is_empty() {
            states.push("OPEN".to_owned());
        }
        Ok(Self { branch, states, by_change })
    }

    pub(super) fn apply(&self, mut all: Vec<Pull>) -> Vec<Pull> {
        all.retain(|pull| self.matches(&pull.record));
        if self.by_change {
            // Times of one format sort as text; the sort is stable for equal times.
            all.sort_by_key(|pull| Reverse(pull.record.updated_at.clone()));
        }
        all
    }

    fn matches(&self, pull: &PullRecord) -> bool {
        self.states.iter().any(|wanted| wanted == state(pull))
            && self.branch.as_ref().is_none_or(|branch| *branch == pull.head)
    }
}

fn push_state(known: &mut Vec<String>, state: &str) -> Result<(), Refusal> {
    known.push(state.to_owned());
    match ["OPEN", "MERGED", "DECLINED", "SUPERSEDED"].contains(&state) {
        true => Ok(()),
        false => Err(Refusal::bad_request(&format!("Invalid state: {state}"))),
    }
}

fn branch_and_state(query: &str) -> Option<(String, String)> {
    let (branch, rest) = parse_quoted(query.strip_prefix("source.branch.name=\"")?)?;
    let (state, rest) = parse_quoted(rest.strip_prefix(" AND state=\"")?)?;
    rest.is_empty().then_some((branch, state))
}

fn parse_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next()?),
            other => value.push(other),
        }
    }
}
