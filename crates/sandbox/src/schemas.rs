//! The JSON Schemas of the bodies that come in, compiled once.

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

macro_rules! schemas {
    ($($(#[$doc:meta])* $field:ident = $schema:ident,)*) => {
        /// Every schema of a body that comes in.
        #[derive(Debug)]
        pub(crate) struct Schemas {
            $($(#[$doc])* pub(crate) $field: Validator,)*
        }

        impl Schemas {
            pub(crate) fn compile() -> Result<Self, SchemaError> {
                Ok(Self {
                    $($field: compile(schema::$schema)?,)*
                })
            }
        }
    };
}

schemas! {
    inbound_message = INBOUND_MESSAGE,
    inbound_receipt = INBOUND_RECEIPT,
    inbound_event = INBOUND_EVENT,
    structured_response = STRUCTURED_RESPONSE,
    legacy = LEGACY_INBOUND,
    integration_create = INTEGRATION_REQUEST,
    integration_update = INTEGRATION_UPDATE,
    agent_message = AGENT_MESSAGE,
    agent_typing = AGENT_TYPING,
    agentless = AGENTLESS_REQUEST,
    participant_patch = PARTICIPANT_PATCH,
    bulk = MESSAGES_BULK_REQUEST,
}

fn compile(schema: Schema) -> Result<Validator, SchemaError> {
    let name = schema.name;
    let json: Value =
        serde_json::from_str(schema.json).map_err(|error| SchemaError { name, reason: error.to_string() })?;
    jsonschema::options()
        .should_validate_formats(true)
        .build(&json)
        .map_err(|error| SchemaError { name, reason: error.to_string() })
}

/// Where `body` breaks the schema, if it does: a path into it, never its text.
pub(crate) fn fault_in(schema: &Validator, body: &Value) -> Option<String> {
    let error = schema.iter_errors(body).next()?;
    Some(format!("invalid body at \"{}\" (schema {})", error.instance_path(), error.schema_path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_named_by_its_place() {
        let schemas = Schemas::compile().unwrap();
        let body = serde_json::json!({"channel": {"from": {"id": "x", "idType": "Opaque"}, "time": "yesterday"}});
        assert!(fault_in(&schemas.inbound_message, &body).unwrap().contains("/channel/time"));
    }
}
