//! The macro for vocabularies: each enum variant has one code, one sentence, one advice, and typed facts.
//! Decisions, waits and failures are written with it, so that guard, ledger, API, docs and CLI use the same texts.

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

            pub fn rows() -> Vec<$crate::code::Row> {
                vec![$($crate::code::Row {
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

#[cfg(test)]
mod tests;
