//! The result of testing a model key, as a note of a page.

use pullyard_domain::model_key_test::ModelKeyTest;

pub(super) struct KeyTestView {
    pub(super) tone: &'static str,
    pub(super) sentence: &'static str,
    pub(super) help: &'static str,
}

impl From<ModelKeyTest> for KeyTestView {
    fn from(test: ModelKeyTest) -> Self {
        let tone = match test {
            ModelKeyTest::Accepted => "ok",
            ModelKeyTest::Refused => "bad",
            ModelKeyTest::Untestable => "",
            _ => "warn",
        };
        Self { tone, sentence: test.sentence(), help: test.help() }
    }
}
