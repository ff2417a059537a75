//! A fault in a project's settings.

use std::borrow::Cow;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingFault {
    pub pointer: &'static str,
    pub fault: Cow<'static, str>,
}

pub(crate) fn fault<T>(pointer: &'static str, fault: impl Into<Cow<'static, str>>) -> Result<T, SettingFault> {
    Err(SettingFault { pointer, fault: fault.into() })
}
