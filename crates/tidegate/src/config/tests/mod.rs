//! Tests of the configuration: its defaults, its reports, its documentation.

mod documents;
mod rules;
mod secrets;
mod variables;
mod whole;

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use connector::Settings;
use connector::http::HttpConfig;

use super::{Config, ConfigErrors};

const CONNECTOR_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The keys of an integration that are required, without its tables.
const INTEGRATION: &str = r#"
[[integration]]
name = "acme"
region = "mypurecloud.com"
integration_id = "b3f0"
clients = [{ id = "5d2f", secret = "hunter2-client" }]
webhook_secret = "hunter2-webhook-secret"
"#;

const CONNECTOR: &str = r#"
[integration.connector]
type = "http"
url = "http://127.0.0.1:9000"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"#;

/// The minimal file, followed by `more`.
fn with(more: &str) -> String {
    format!("{INTEGRATION}{CONNECTOR}{more}")
}

/// The settings of a connector of the kind `http`.
fn http(settings: &Arc<dyn Settings>) -> &HttpConfig {
    let settings: &dyn Any = settings.as_ref();
    settings.downcast_ref().expect("the kind http")
}

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let env = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse("tidegate.toml", Path::new("/etc/tidegate"), text, env)
}

/// The report on a wrong file.
fn report(text: &str, variables: &[(&str, &str)]) -> String {
    load(text, variables).expect_err("the file is wrong").to_string()
}

/// The text of the only problem, without its place.
/// The hash of a password.
const HASH: &str = "$argon2id$v=19$m=4096,t=2,p=1$1GZH1eJNWh7taYqYDLskmA$\
                    LaC9Y15zKPN+Kwe6FMj6f3gVk1IbjpeDWbi1bY8aO+w";

fn complaint(text: &str) -> String {
    let report = report(text, &[]);
    assert!(!report.contains('\n'), "one thing is wrong: {report}");
    let (_, rest) = report.split_once(": ").unwrap();
    rest.to_owned()
}
