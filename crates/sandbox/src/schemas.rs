//! The JSON Schemas of the bodies, compiled once.

use std::collections::HashMap;

use genesys::schema::{self, Schema};
use jsonschema::Validator;
use serde_json::Value;

/// A schema that did not compile; it can only be a fault in this crate.
#[derive(Debug, thiserror::Error)]
#[error("the schema {name} cannot be used: {reason}")]
pub struct SchemaError {
    name: &'static str,
    reason: String,
}

/// Every schema, by its name.
#[derive(Debug)]
pub(crate) struct Schemas(HashMap<&'static str, Validator>);

impl Schemas {
    pub(crate) fn compile() -> Result<Self, SchemaError> {
        let all = schema::ALL.iter().map(|schema| Ok((schema.name, compile(*schema)?)));
        Ok(Self(all.collect::<Result<_, _>>()?))
    }

    /// Where `body` breaks the schema of that name, if it does: a path into it, never its text.
    pub(crate) fn fault_in(&self, schema: &str, body: &Value) -> Option<String> {
        let Some(validator) = self.0.get(schema) else {
            return Some(format!("there is no schema {schema}"));
        };
        let error = validator.iter_errors(body).next()?;
        Some(format!(
            "invalid body at \"{}\" (schema {})",
            error.instance_path(),
            error.schema_path()
        ))
    }
}

fn compile(schema: Schema) -> Result<Validator, SchemaError> {
    let name = schema.name;
    let json: Value = serde_json::from_str(schema.json)
        .map_err(|error| SchemaError { name, reason: error.to_string() })?;
    jsonschema::options()
        .should_validate_formats(true)
        .build(&json)
        .map_err(|error| SchemaError { name, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_named_by_its_place() {
        let schemas = Schemas::compile().unwrap();
        let body = serde_json::json!({"channel": {"from": {"id": "x", "idType": "Opaque"}, "time": "yesterday"}});
        assert!(schemas.fault_in("inbound-open-message", &body).unwrap().contains("/channel/time"));
        assert!(schemas.fault_in("no-such", &body).is_some());
    }
}
