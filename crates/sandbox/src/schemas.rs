//! The JSON Schemas of the bodies, compiled once: what a request may contain, and where a body
//! violates its schema.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;

use boon::{
    Compiler, ErrorKind, Format, InstanceLocation, InstanceToken, SchemaIndex, ValidationError,
};
use genesys::schema::{self, Schema};
use serde_json::Value;

use crate::invalid::Invalid;

/// The most faults of one body that are reported.
const MAX_TOLD: usize = 10;

/// A schema that did not compile, which can only be a bug in this crate.
#[derive(Debug, thiserror::Error)]
#[error("the schema {name} cannot be used")]
pub struct SchemaError {
    name: &'static str,
    /// What the JSON parser or the schema compiler says.
    source: Box<dyn Error + Send + Sync>,
}

impl SchemaError {
    fn new(name: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { name, source: source.into() }
    }
}

/// Every schema, by its name.
pub(crate) struct Schemas {
    by_name: HashMap<&'static str, Compiled>,
    validators: boon::Schemas,
}

struct Compiled {
    json: Value,
    validator: SchemaIndex,
}

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

impl Schemas {
    pub(crate) fn compile() -> Result<Self, SchemaError> {
        Self::of(schema::ALL)
    }

    fn of(all: &[Schema]) -> Result<Self, SchemaError> {
        let (mut by_name, mut validators) = (HashMap::new(), boon::Schemas::new());
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        compiler.register_format(Format { name: "date-time", func: date_time });
        for schema in all {
            let name = schema.name;
            let json: Value =
                serde_json::from_str(schema.json).map_err(|error| SchemaError::new(name, error))?;
            // Schemas refer to nothing outside of themselves, so their own URLs do not matter.
            let url = format!("schema:{name}");
            // The compiler's error cannot be sent to another thread, so only its text is kept.
            compiler
                .add_resource(&url, json.clone())
                .map_err(|error| SchemaError::new(name, error.to_string()))?;
            let validator = compiler
                .compile(&url, &mut validators)
                .map_err(|error| SchemaError::new(name, error.to_string()))?;
            by_name.insert(name, Compiled { json, validator });
        }
        Ok(Self { by_name, validators })
    }

    /// A request's body as Genesys reads it: null counts as absent, and fields unknown to the
    /// schema are dropped.
    ///
    /// Handlers see only what is left, so that nothing unchecked gets into the world.
    pub(crate) fn known(&self, schema: &str, mut body: Value) -> Value {
        if let Some(Compiled { json, .. }) = self.by_name.get(schema) {
            reduce(json, json, &mut body);
        }
        body
    }

    /// Where `body` violates the schema of that name, if it does.
    pub(crate) fn faults_in(&self, schema: &str, body: &Value) -> Vec<Invalid> {
        let Some(Compiled { validator, .. }) = self.by_name.get(schema) else {
            return vec![Invalid::new("body", "schema", format!("has no schema {schema}"))];
        };
        let mut faults = Vec::new();
        if let Err(error) = self.validators.validate(body, *validator) {
            collect(&error, &mut faults);
        }
        faults.truncate(MAX_TOLD);
        faults
    }
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

/// A time of RFC 3339. The validator's own check takes a plus sign in place of a digit.
fn date_time(value: &Value) -> Result<(), Box<dyn Error>> {
    let Value::String(text) = value else { return Ok(()) };
    let (whole, rest) = text.split_at_checked(19).ok_or("too short")?;
    let has_form = whole.bytes().zip(*b"0000-00-00T00:00:00").all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        form => byte.eq_ignore_ascii_case(&form),
    });
    let fraction = rest
        .strip_prefix('.')
        .map_or(0, |digits| 1 + digits.bytes().take_while(u8::is_ascii_digit).count());
    let offset = &rest[fraction..];
    let has_offset = offset.eq_ignore_ascii_case("z")
        || (offset.len() == 6
            && offset.bytes().zip(*b"+00:00").all(|(byte, form)| match form {
                b'+' => matches!(byte, b'+' | b'-'),
                b'0' => byte.is_ascii_digit(),
                form => byte == form,
            }));
    if !has_form || fraction == 1 || !has_offset {
        return Err("not of the form 2026-11-20T09:10:59.123Z".into());
    }
    text.parse::<jiff::Timestamp>()?;
    Ok(())
}

/// Adds the faults that `error` stands for. An error of a schema or a reference only groups those
/// below it. Which of the alternatives of an `anyOf` was meant is not known, so it is one fault.
fn collect(error: &ValidationError<'_, '_>, faults: &mut Vec<Invalid>) {
    if faults.len() >= MAX_TOLD {
        return;
    }
    let at = |more: Option<&str>| field(&error.instance_location, more);
    let mut fault =
        |code: &'static str, reason: String| faults.push(Invalid::new(at(None), code, reason));
    match &error.kind {
        ErrorKind::Required { want } => {
            faults.extend(want.iter().map(|name| Invalid::missing(at(Some(name)))));
        }
        ErrorKind::Type { want, .. } => {
            let kinds: Vec<_> = want.iter().map(|kind| kind.to_string()).collect();
            fault("type", format!("is not of the type {}", kinds.join(" or ")));
        }
        ErrorKind::Enum { want } => {
            let options: Vec<&str> = want.iter().filter_map(Value::as_str).collect();
            fault("enum", format!("is none of {}", options.join(", ")));
        }
        ErrorKind::Format { want, .. } => fault("format", format!("is no {want}")),
        ErrorKind::MinLength { want: 1, .. } => fault("minLength", "is empty".to_owned()),
        ErrorKind::MinItems { want: 1, .. } => fault("minItems", "is empty".to_owned()),
        ErrorKind::MinLength { want, .. } => {
            fault("minLength", format!("has fewer than {want} characters"));
        }
        ErrorKind::MaxItems { want: 0, .. } => fault("maxItems", "must not be there".to_owned()),
        ErrorKind::MaxItems { want, .. } => {
            fault("maxItems", format!("has over {want} elements"));
        }
        ErrorKind::Minimum { want, .. } => fault("minimum", format!("is less than {want}")),
        ErrorKind::Maximum { want, .. } => fault("maximum", format!("is greater than {want}")),
        ErrorKind::AnyOf => fault("anyOf", "does not fit (anyOf)".to_owned()),
        _ if error.causes.is_empty() => fault("invalid", "does not fit (invalid)".to_owned()),
        _ => error.causes.iter().for_each(|cause| collect(cause, faults)),
    }
}

/// A path as people write it: `content[0].attachment.mime`.
fn field(path: &InstanceLocation<'_>, more: Option<&str>) -> String {
    let mut field = String::new();
    for token in &path.tokens {
        match token {
            InstanceToken::Prop(name) if field.is_empty() => field.push_str(name),
            InstanceToken::Prop(name) => field.extend([".", name]),
            InstanceToken::Item(index) => field.extend(["[", &index.to_string(), "]"]),
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
    fn a_broken_schema_says_why_in_its_source() {
        for json in ["{", r#"{"type": "nonsense"}"#] {
            let error = Schemas::of(&[Schema { name: "broken", json }]).unwrap_err();
            assert_eq!(error.to_string(), "the schema broken cannot be used");
            assert!(!error.source().unwrap().to_string().is_empty(), "{json}");
        }
    }

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
    fn a_time_has_digits_where_they_belong() {
        let is_time = |text: &str| date_time(&text.into()).is_ok();
        for text in [
            "2026-11-20T09:10:59Z",
            "2026-11-20t09:10:59.123456z",
            "2026-11-20T09:10:59+05:30",
            "2024-02-29T23:59:59-11:00",
        ] {
            assert!(is_time(text), "{text}");
        }
        for text in [
            "2026-+1-20T09:10:59Z",
            "+026-11-20T09:10:59Z",
            "2026-11-20T+9:+1:+5Z",
            "2026-11-20T09:10:59++1:00",
            "2026-11-20 09:10:59Z",
            "2026-11-20T09:10:59",
            "2026-11-20T09:10:59.Z",
            "2026-02-29T09:10:59Z",
            "2026-11-20T24:10:59Z",
            "yesterday",
            "",
            "2026-11-20T09:10:5é",
        ] {
            assert!(!is_time(text), "{text}");
        }
    }

    #[test]
    fn null_is_absent_and_the_unknown_is_not_there() {
        let schemas = Schemas::compile().unwrap();
        let body = json!({
            "channel": {
                "from": {"id": "x", "nickname": null, "mood": "good"},
                "metadata": {"customAttributes": {"a": null, "b": "c"}},
            },
            "content": [
                {"contentType": "Attachment", "attachment": {"url": "u", "contentSizeBytes": "10"}},
                null,
            ],
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
