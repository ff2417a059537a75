//! The macros for enums with texts.
//! `vocabulary`: each variant has one code, one sentence, one advice, and typed facts. Decisions, waits, failures and
//! denials use it, so that guard, ledger, API, docs and CLI have the same texts.
//! `coded_enum`: each variant has one code on the wire, and may have one label for users.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub code: &'static str,
    /// The verdict, class or kind in brackets.
    pub class: String,
    pub sentence: &'static str,
    /// The advice with its facts in braces.
    pub help: &'static str,
}

macro_rules! vocabulary {
    (
        $(#[$meta:meta])*
        pub enum $Name:ident: $Class:ident {
            $($Variant:ident { $($(#[$fact:meta])* $field:ident: $Type:ty),* } [$class:ident] $code:literal, $sentence:literal, $help:literal;)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(tag = "code", deny_unknown_fields)]
        pub enum $Name {
            $(
                #[doc = $sentence]
                #[serde(rename = $code)]
                $Variant {
                    $(
                        $(#[$fact])*
                        #[doc = concat!("The fact `", stringify!($field), "` of the sentence.")]
                        $field: $Type,
                    )*
                },
            )*
        }

        impl $Name {
            pub fn code(&self) -> &'static str {
                match self { $(Self::$Variant { .. } => $code,)* }
            }

            pub fn class(&self) -> $Class {
                match self { $(Self::$Variant { .. } => $Class::$class,)* }
            }

            pub fn sentence(&self) -> String {
                match self {
                    $(Self::$Variant { $($field),* } => {
                        $(let $field = $crate::text::Fact::render($field); let _ = &$field;)*
                        format!($sentence)
                    })*
                }
            }

            pub fn help(&self) -> String {
                match self {
                    $(Self::$Variant { $($field),* } => {
                        $(let $field = $crate::text::Fact::render($field); let _ = &$field;)*
                        format!($help)
                    })*
                }
            }

            /// Cuts all texts of external origin, so that the table item stays small.
            pub fn clipped(self) -> Self {
                match self {
                    $(Self::$Variant { $($field),* } => Self::$Variant { $($field: $crate::text::Fact::truncate($field)),* },)*
                }
            }

            pub fn samples() -> Vec<Self> {
                vec![$(Self::$Variant { $($field: <$Type as $crate::text::Fact>::sample()),* },)*]
            }

            pub fn rows() -> Vec<$crate::text::code::Row> {
                vec![$($crate::text::code::Row {
                    code: $code,
                    class: stringify!($class).to_lowercase(),
                    sentence: $sentence,
                    help: $help,
                },)*]
            }
        }
    };
}
pub(crate) use vocabulary;

/// Generates `ALL` in declaration order, `as_str`, the serde name, and `label` if given.
macro_rules! coded_enum {
    ($(#[$meta:meta])* pub enum $Name:ident { $($(#[$doc:meta])* $Variant:ident = $code:tt;)* }) => {
        $(#[$meta])*
        pub enum $Name {
            $($(#[$doc])* #[serde(rename = $code)] $Variant,)*
        }

        impl $Name {
            pub const ALL: [Self; [$($code),*].len()] = [$(Self::$Variant),*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$Variant => $code,)* }
            }
        }
    };
    ($(#[$meta:meta])* pub enum $Name:ident { $($(#[$doc:meta])* $Variant:ident = $code:tt, $label:tt;)* }) => {
        $crate::text::code::coded_enum! { $(#[$meta])* pub enum $Name { $($(#[$doc])* $Variant = $code;)* } }

        impl $Name {
            pub fn label(self) -> &'static str {
                match self { $(Self::$Variant => $label,)* }
            }
        }
    };
}
pub(crate) use coded_enum;

#[cfg(test)]
mod tests;
