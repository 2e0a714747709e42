//! The JSON Schemas of the bodies, compiled once: what a request may contain, and where a body
//! violates its schema.

use std::collections::HashMap;

use genesys::schema::{self, Schema};
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::{Location, LocationSegment};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use crate::invalid::Invalid;

/// The most faults of one body that are reported.
const MAX_TOLD: usize = 10;

/// A schema that did not compile, which can only be a bug in this crate.
#[derive(Debug, thiserror::Error)]
#[error("the schema {name} cannot be used: {reason}")]
pub struct SchemaError {
    name: &'static str,
    reason: String,
}

/// Every schema, by its name.
#[derive(Debug)]
pub(crate) struct Schemas(HashMap<&'static str, Compiled>);

#[derive(Debug)]
struct Compiled {
    json: Value,
    validator: Validator,
}

impl Schemas {
    pub(crate) fn compile() -> Result<Self, SchemaError> {
        let all = schema::ALL.iter().map(|schema| Ok((schema.name, compile(*schema)?)));
        Ok(Self(all.collect::<Result<_, _>>()?))
    }

    /// A request's body as Genesys reads it: null counts as absent, and fields unknown to the
    /// schema are dropped.
    ///
    /// Handlers see only what is left, so that nothing unchecked gets into the world.
    pub(crate) fn known(&self, schema: &str, mut body: Value) -> Value {
        if let Some(Compiled { json, .. }) = self.0.get(schema) {
            reduce(json, json, &mut body);
        }
        body
    }

    /// Where `body` violates the schema of that name, if it does.
    pub(crate) fn faults_in(&self, schema: &str, body: &Value) -> Vec<Invalid> {
        let Some(Compiled { validator, .. }) = self.0.get(schema) else {
            return vec![Invalid::new("body", "schema", format!("has no schema {schema}"))];
        };
        validator.iter_errors(body).take(MAX_TOLD).map(|error| invalid(&error)).collect()
    }
}

fn compile(schema: Schema) -> Result<Compiled, SchemaError> {
    let name = schema.name;
    let json: Value = serde_json::from_str(schema.json)
        .map_err(|error| SchemaError { name, reason: error.to_string() })?;
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&json)
        .map_err(|error| SchemaError { name, reason: error.to_string() })?;
    Ok(Compiled { json, validator })
}

/// Removes from `value` everything that is null or not named by `schema`. An object that the schema
/// leaves open keeps everything except its nulls.
fn reduce(root: &Value, schema: &Value, value: &mut Value) {
    let schema = resolved(root, schema);
    match value {
        Value::Object(fields) => {
            let (named, others) =
                (schema["properties"].as_object(), &schema["additionalProperties"]);
            let open = others.is_object() || named.is_none();
            let of = |key: &str| named.and_then(|named| named.get(key));
            fields.retain(|key, value| !value.is_null() && (open || of(key).is_some()));
            for (key, value) in fields.iter_mut() {
                reduce(root, of(key).unwrap_or(others), value);
            }
        }
        Value::Array(items) => {
            for item in items.iter_mut() {
                reduce(root, &schema["items"], item);
            }
        }
        Value::Number(number) if schema["type"] == "integer" => {
            // 5.0 is an integer by the schema, so it must be one for its readers too.
            let whole =
                number.to_string().strip_suffix(".0").and_then(|whole| whole.parse::<i64>().ok());
            if let Some(whole) = whole {
                *value = whole.into();
            }
        }
        _ => {}
    }
}

/// The schema behind a reference; all of them are of the form `#/$defs/Name`.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
    name.map_or(schema, |name| &root["$defs"][name])
}

fn invalid(error: &ValidationError<'_>) -> Invalid {
    let at = |more: Option<&str>| field(error.instance_path(), more);
    let code = code(error.kind());
    match error.kind() {
        ValidationErrorKind::Required { property } => Invalid::missing(at(property.as_str())),
        ValidationErrorKind::Type { kind: TypeKind::Single(kind) } => {
            Invalid::new(at(None), code, format!("is not of the type {kind}"))
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<&str> =
                options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            Invalid::new(at(None), code, format!("is none of {}", options.join(", ")))
        }
        ValidationErrorKind::Format { format } => {
            Invalid::new(at(None), code, format!("is no {format}"))
        }
        ValidationErrorKind::MinLength { limit: 1 }
        | ValidationErrorKind::MinItems { limit: 1 } => Invalid::new(at(None), code, "is empty"),
        ValidationErrorKind::MinLength { limit } => {
            Invalid::new(at(None), code, format!("has fewer than {limit} characters"))
        }
        ValidationErrorKind::MaxItems { limit: 0 } => {
            Invalid::new(at(None), code, "must not be there")
        }
        ValidationErrorKind::MaxItems { limit } => {
            Invalid::new(at(None), code, format!("has over {limit} elements"))
        }
        ValidationErrorKind::Minimum { limit } => {
            Invalid::new(at(None), code, format!("is less than {limit}"))
        }
        ValidationErrorKind::Maximum { limit } => {
            Invalid::new(at(None), code, format!("is greater than {limit}"))
        }
        _ => Invalid::new(at(None), code, format!("does not fit ({code})")),
    }
}

/// The schema keyword that is violated.
fn code(kind: &ValidationErrorKind) -> &'static str {
    match kind {
        ValidationErrorKind::Required { .. } => "required",
        ValidationErrorKind::Type { .. } => "type",
        ValidationErrorKind::Enum { .. } => "enum",
        ValidationErrorKind::Format { .. } => "format",
        ValidationErrorKind::MinLength { .. } => "minLength",
        ValidationErrorKind::MaxLength { .. } => "maxLength",
        ValidationErrorKind::MinItems { .. } => "minItems",
        ValidationErrorKind::MaxItems { .. } => "maxItems",
        ValidationErrorKind::Minimum { .. } => "minimum",
        ValidationErrorKind::Maximum { .. } => "maximum",
        ValidationErrorKind::AnyOf { .. } => "anyOf",
        _ => "invalid",
    }
}

/// A path as people write it: `content[0].attachment.mime`.
fn field(path: &Location, more: Option<&str>) -> String {
    let mut field = String::new();
    for segment in path.segments() {
        match segment {
            LocationSegment::Property(name) if field.is_empty() => field.push_str(&name),
            LocationSegment::Property(name) => field.extend([".", &name]),
            LocationSegment::Index(index) => field.extend(["[", &index.to_string(), "]"]),
        }
    }
    match more {
        Some(name) if field.is_empty() => name.to_owned(),
        Some(name) => format!("{field}.{name}"),
        None if field.is_empty() => "body".to_owned(),
        None => field,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fault_is_named_by_its_field_and_never_by_its_value() {
        let schemas = Schemas::compile().unwrap();
        let told = |body: Value| {
            let faults = schemas
                .faults_in("inbound-open-message", &schemas.known("inbound-open-message", body));
            faults.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let from = json!({"id": "x", "idType": "Opaque"});
        let time = "2026-11-20T09:10:59Z";
        assert_eq!(
            told(json!({"channel": {"from": from, "time": "yesterday"}})),
            ["channel.time is no date-time"]
        );
        assert_eq!(told(json!({})), ["channel is missing"]);
        assert_eq!(told(json!("secret words")), ["body is not of the type object"]);
        assert_eq!(
            told(json!({"channel": {"from": {"id": 7, "idType": "Pager"}, "time": time}})),
            [
                "channel.from.id is not of the type string",
                "channel.from.idType is none of Email, Phone, Opaque, email, phone, opaque"
            ]
        );
        let picture = json!([{"attachment": {"mediaType": "Image", "url": null}}]);
        assert_eq!(
            told(json!({"channel": {"from": from, "time": time}, "content": picture})),
            ["content[0].attachment.url is missing", "content[0].attachment.mime is missing"]
        );
        assert_eq!(schemas.faults_in("no-such", &json!({})).len(), 1);
    }

    #[test]
    fn null_is_absent_and_the_unknown_is_not_there() {
        let schemas = Schemas::compile().unwrap();
        let body = json!({
            "channel": {"from": {"id": "x", "nickname": null, "mood": "good"}, "metadata": {"customAttributes": {"a": null, "b": "c"}}},
            "content": [{"contentType": "Attachment", "attachment": {"url": "u", "contentSizeBytes": "10"}}, null],
            "metadata": {"any": "thing"},
            "news": {"a": null},
        });
        let known = json!({
            "channel": {"from": {"id": "x"}, "metadata": {"customAttributes": {"b": "c"}}},
            "content": [{"attachment": {"url": "u"}}, null],
            "metadata": {"any": "thing"},
        });
        assert_eq!(schemas.known("inbound-open-message", body), known);
        let open = json!({"wrapup": {"code": {"a": null, "b": 1}}});
        assert_eq!(schemas.known("participant-patch", open), json!({"wrapup": {"code": {"b": 1}}}));
        for (number, read) in
            [(json!(5.0), json!(5)), (json!(5.5), json!(5.5)), (json!(1e300), json!(1e300))]
        {
            let body = json!({"contentLengthBytes": number});
            assert_eq!(
                schemas.known("media-upload-request", body),
                json!({"contentLengthBytes": read})
            );
        }
    }
}
