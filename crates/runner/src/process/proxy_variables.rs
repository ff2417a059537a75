//! Programs read the proxy's address under several names. Java reads none of them.

use std::ffi::OsString;

pub(crate) fn proxy_variables(port: u16) -> Vec<(OsString, OsString)> {
    let url = format!("http://127.0.0.1:{port}");
    let java =
        ["http", "https"].map(|kind| format!("-D{kind}.proxyHost=127.0.0.1 -D{kind}.proxyPort={port}")).join(" ");
    let mut variables: Vec<(OsString, OsString)> = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"]
        .map(|name| (name.into(), url.clone().into()))
        .to_vec();
    let others = [
        ("NO_PROXY", "127.0.0.1,localhost"),
        ("no_proxy", "127.0.0.1,localhost"),
        ("NODE_USE_ENV_PROXY", "1"),
        ("JAVA_TOOL_OPTIONS", &java),
    ];
    variables.extend(others.map(|(name, value)| (name.into(), value.into())));
    variables
}
