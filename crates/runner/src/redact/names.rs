//! Names that say that what they name is a secret, by the habits of those who name things.

/// Words that say so wherever they stand in a name.
const WORDS: &[&str] = &[
    "KEY",
    "APIKEY",
    "TOKEN",
    "SECRET",
    "SECRETS",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PAT",
    "CREDENTIAL",
    "CREDENTIALS",
];
/// What names end with that say so, also within a word.
const ENDINGS: &[&str] = &["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIALS", "BOOTSTRAP"];
/// Last words of names that say of a secret where it is, how it is called or what it is for.
const ABOUT_ONE: &[&str] = &[
    "ACCOUNT",
    "ADDR",
    "ALGORITHM",
    "ALIAS",
    "ARN",
    "AUDIENCE",
    "BACKEND",
    "COLUMN",
    "COUNT",
    "DAYS",
    "DIR",
    "ENABLED",
    "ENDPOINT",
    "ENGINE",
    "ENV",
    "ENVIRONMENT",
    "EXPIRY",
    "FILE",
    "FORMAT",
    "HEADER",
    "HOST",
    "ID",
    "ISSUER",
    "LENGTH",
    "LIMIT",
    "MANAGER",
    "MODE",
    "NAME",
    "PATH",
    "PORT",
    "PREFIX",
    "PROJECT",
    "PROVIDER",
    "REGION",
    "SCOPE",
    "SERVICE",
    "SIZE",
    "SPEC",
    "STORE",
    "TTL",
    "TYPE",
    "URI",
    "URL",
    "USER",
    "USERNAME",
    "VERSION",
];

/// Whether an environment variable of this name holds the name of a file of secrets.
pub(crate) fn is_name_of_file_of_secrets(name: &str) -> bool {
    name.to_ascii_uppercase().ends_with("_AUTH")
}

/// Whether an environment variable of this name holds a secret.
pub(crate) fn is_name_of_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    // The second of several is one like the first.
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).map(|word| word.trim_end_matches(char::is_numeric));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let Some(last) = words.last() else { return false };
    ENDINGS.iter().any(|ending| last.ends_with(ending))
        || (words.iter().any(|word| WORDS.contains(word)) && !ABOUT_ONE.contains(last))
}
