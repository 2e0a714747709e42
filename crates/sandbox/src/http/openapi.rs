//! `GET /sandbox/openapi.json`: the paths of Genesys's API that the sandbox serves, with their
//! bodies, as OpenAPI 3.1.
//!
//! The bodies are the JSON Schemas by which the sandbox itself checks what comes in.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::operations::{OPERATIONS, Operation};
use crate::app::App;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/sandbox/openapi.json", get(async || Json(document())))
}

fn document() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = operation.to_json();
    }
    paths.insert("/oauth/token".to_owned(), json!({"post": token()}));
    let client_credentials = json!({"tokenUrl": "/oauth/token", "scopes": {}});
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Genesys Cloud, as far as the sandbox serves it",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "genesys": {"type": "oauth2", "flows": {"clientCredentials": client_credentials}},
            },
        },
        "security": [{"genesys": []}],
    })
}

impl Operation {
    fn to_json(&self) -> Value {
        let in_path =
            self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let schema = json!({"type": "string", "minLength": 1});
        let in_path = in_path
            .map(|name| json!({"name": name, "in": "path", "required": true, "schema": schema}));
        let in_query = self
            .query
            .iter()
            .map(|(name, kind)| json!({"name": name, "in": "query", "schema": {"type": kind}}));
        let mut answers = Map::new();
        for status in self.answers {
            let mut answer = json!({"description": "Done."});
            if let Some(schema) = self.answer {
                answer["content"] = content(schema);
            }
            answers.insert(status.to_string(), answer);
        }
        answers.insert(
            "default".to_owned(),
            json!({"description": "An error.", "content": content("error-body")}),
        );
        let description = match self.needs {
            [] => String::new(),
            needs => format!("Needs one of: {}.", needs.join(", ")),
        };
        let mut answer = json!({
            "operationId": self.id,
            "description": description,
            "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
            "responses": answers,
        });
        if let Some(schema) = self.body {
            answer["requestBody"] = json!({"required": true, "content": content(schema)});
        }
        answer
    }
}

fn token() -> Value {
    let grant = json!({
        "type": "object",
        "properties": {
            "grant_type": {"const": "client_credentials"},
            "client_id": {"type": "string"},
            "client_secret": {"type": "string"},
        },
        "required": ["grant_type"],
    });
    json!({
        "operationId": "postOauthToken",
        "security": [],
        "requestBody": {
            "required": true,
            "content": {"application/x-www-form-urlencoded": {"schema": grant}},
        },
        "responses": {
            "200": {"description": "A token.", "content": content("oauth-token-response")},
            "default": {"description": "No token.", "content": content("oauth-error")},
        },
    })
}

fn content(schema: &str) -> Value {
    json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}})
}

/// Every schema, with its inner definitions moved to where OpenAPI expects them.
fn schemas() -> Map<String, Value> {
    let mut all = Map::new();
    for schema in genesys::schema::ALL {
        // Cannot fail: each is tested to be JSON.
        let mut json: Value = serde_json::from_str(schema.json).unwrap_or_default();
        let definitions = json.as_object_mut().and_then(|json| {
            for keyword in ["$schema", "$id"] {
                json.remove(keyword);
            }
            json.remove("$defs")
        });
        point_to_components(&mut json, schema.name);
        all.insert(schema.name.to_owned(), json);
        if let Some(Value::Object(definitions)) = definitions {
            for (name, mut definition) in definitions {
                point_to_components(&mut definition, schema.name);
                all.insert(format!("{}.{name}", schema.name), definition);
            }
        }
    }
    all
}

fn point_to_components(schema: &mut Value, of: &str) {
    match schema {
        Value::Object(fields) => {
            for (keyword, value) in fields {
                let definition = value
                    .as_str()
                    .filter(|_| keyword == "$ref")
                    .and_then(|to| to.strip_prefix("#/$defs/"));
                match definition {
                    Some(name) => *value = format!("#/components/schemas/{of}.{name}").into(),
                    None => point_to_components(value, of),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| point_to_components(item, of)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                for (keyword, value) in fields {
                    match value.as_str() {
                        Some(to) if keyword == "$ref" => found.push(to),
                        _ => references(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 100);
        for to in found {
            let pointer = to.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{to}");
        }
        let served = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|path| path.as_object().unwrap());
        assert_eq!(served.count(), OPERATIONS.len() + 1);
    }
}
