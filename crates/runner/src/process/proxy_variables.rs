//! Lists the variables that direct programs to a proxy. Java reads an option instead.

use std::ffi::OsString;

pub(crate) fn proxy_variables(port: u16) -> Vec<(OsString, OsString)> {
    let url = format!("http://127.0.0.1:{port}");
    let java =
        ["http", "https"].map(|kind| format!("-D{kind}.proxyHost=127.0.0.1 -D{kind}.proxyPort={port}")).join(" ");
    let variables = [
        ("HTTP_PROXY", url.as_str()),
        ("HTTPS_PROXY", &url),
        ("http_proxy", &url),
        ("https_proxy", &url),
        ("NO_PROXY", "127.0.0.1,localhost"),
        ("no_proxy", "127.0.0.1,localhost"),
        ("NODE_USE_ENV_PROXY", "1"),
        ("JAVA_TOOL_OPTIONS", &java),
    ];
    variables.map(|(name, value)| (name.into(), value.into())).to_vec()
}
