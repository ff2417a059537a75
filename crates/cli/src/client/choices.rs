//! Values of flags with a fixed list: clap completes them, and answers a mistake with the nearest one.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use pullyard_domain::agent::{self, ChoiceLevel};

pub(crate) fn choices<T: Copy + Send + Sync + 'static, const N: usize>(
    all: [(&'static str, T); N],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.map(|(code, _)| code)).try_map(move |typed| {
        let choice = all.iter().find(|(code, _)| code.eq_ignore_ascii_case(&typed));
        choice.map(|(_, value)| *value).ok_or("there is no such value")
    })
}

pub(crate) fn agent_choices(level: ChoiceLevel) -> PossibleValuesParser {
    PossibleValuesParser::new(agent::choices(level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choice_is_read_in_any_case() {
        let command = || {
            let arg = clap::Arg::new("status").ignore_case(true).value_parser(choices([("ready", 1), ("in_use", 2)]));
            clap::Command::new("test").arg(arg)
        };
        for (typed, value) in [("ready", 1), ("Ready", 1), ("In_Use", 2)] {
            let matches = command().try_get_matches_from(["test", typed]).unwrap();
            assert_eq!(matches.get_one::<i32>("status"), Some(&value), "{typed}");
        }
        let mistake = command().try_get_matches_from(["test", "raedy"]).unwrap_err().to_string();
        assert!(mistake.contains("a similar value exists: 'ready'"), "{mistake}");
    }
}
