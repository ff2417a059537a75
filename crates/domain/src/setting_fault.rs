//! What is wrong with a setting.

use std::borrow::Cow;

/// What is wrong with a setting: its JSON pointer and the fault in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingFault {
    /// Where.
    pub pointer: &'static str,
    /// What.
    pub fault: Cow<'static, str>,
}
