//! Names that say that what they name is a secret, by the habits of those who name things.

/// Words that say so wherever they stand in a name.
const WORDS: &[&str] = &[
    "KEY",
    "KEYS",
    "APIKEY",
    "TOKEN",
    "SECRET",
    "SECRETS",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASS",
    "PWD",
    "PAT",
    "AUTH",
    "CREDENTIAL",
    "CREDENTIALS",
    "CREDS",
    "DSN",
];
/// Names of where a shell is, and of a file whose tokens are learned: the paths are no secrets.
const OF_PATHS: [&str; 3] = ["PWD", "OLDPWD", "PULLYARD_CODEX_AUTH"];
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
    "METHOD",
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
    "SOCK",
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
    if OF_PATHS.contains(&name.as_str()) {
        return false;
    }
    // The second of several is one like the first.
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).map(|word| word.trim_end_matches(char::is_numeric));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let Some(last) = words.last() else { return false };
    ENDINGS.iter().any(|ending| last.ends_with(ending))
        || (words.iter().any(|word| WORDS.contains(word)) && !ABOUT_ONE.contains(last))
}
