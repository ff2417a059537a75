//! Tags of the secrets and mailboxes that functions create: CloudFormation tags only resources of its templates.

use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// Parses `KEY=VALUE,KEY=VALUE`, where the last value of a repeated key wins. `None` for a part without a key or `=`.
    pub fn parse(text: &str) -> Option<Self> {
        let parts = text.split(',').filter(|part| !part.is_empty());
        let pairs = parts.map(|part| part.split_once('=').filter(|(key, _)| !key.is_empty()));
        pairs.map(|pair| pair.map(|(key, value)| (key.to_owned(), value.to_owned()))).collect::<Option<_>>().map(Self)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_parsed_and_the_last_value_of_a_key_wins() {
        let check = |text, expected: &[(&str, &str)]| {
            let tags = Tags::parse(text).unwrap_or_else(|| panic!("{text:?} is rejected"));
            assert_eq!(tags.iter().collect::<Vec<_>>(), expected, "{text}");
        };
        check("", &[]);
        check(",pullyard:deployment=acme", &[("pullyard:deployment", "acme")]);
        check("project=a,stage=,team=x=y,project=b", &[("project", "b"), ("stage", ""), ("team", "x=y")]);
        assert_eq!(["project", "=a", "a=b,c"].map(Tags::parse), [None, None, None]);
    }
}
