//! One enum variant = one code = one sentence = one thing to do, with its facts typed.
//!
//! The three vocabularies (decisions, waits, failures) are written with the macro here, so that the
//! guard, the ledger, the API, the docs and the command line cannot drift apart.

/// A row of a vocabulary, as the generated docs and the tests see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The stable code.
    pub code: &'static str,
    /// The verdict, class or kind in brackets.
    pub class: String,
    /// The sentence, its facts in braces.
    pub sentence: &'static str,
    /// What to do, its facts in braces.
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
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
            /// The stable code.
            pub fn code(&self) -> &'static str {
                match self { $(Self::$Variant { .. } => $code,)* }
            }

            /// What kind of row it is.
            pub fn class(&self) -> $Class {
                match self { $(Self::$Variant { .. } => $Class::$class,)* }
            }

            /// What is so, in one sentence.
            pub fn sentence(&self) -> String {
                match self {
                    $(Self::$Variant { $($field),* } => $crate::text::fitted(|_most| {
                        $(let $field = $crate::text::Fact::say_within($field, _most); let _ = &$field;)*
                        format!($sentence)
                    }),)*
                }
            }

            /// What to do about it, in one sentence.
            pub fn help(&self) -> String {
                match self {
                    $(Self::$Variant { $($field),* } => $crate::text::fitted(|_most| {
                        $(let $field = $crate::text::Fact::say_within($field, _most); let _ = &$field;)*
                        format!($help)
                    }),)*
                }
            }

            /// The same with every text from outside cut, so that what is stored stays small.
            pub fn clipped(self) -> Self {
                match self {
                    $(Self::$Variant { $($field),* } => Self::$Variant { $($field: $crate::text::Fact::cut($field)),* },)*
                }
            }

            /// Every row with sample facts, in the published order.
            pub fn samples() -> Vec<Self> {
                vec![$(Self::$Variant { $($field: <$Type as $crate::text::Fact>::sample()),* },)*]
            }

            /// Every row as the docs show it.
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
