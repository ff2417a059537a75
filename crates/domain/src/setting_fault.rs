//! A fault in a project's settings.

use std::borrow::Cow;

/// A refused setting: its JSON pointer and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingFault {
    pub pointer: &'static str,
    pub fault: Cow<'static, str>,
}
