//! Canned responses, which an agent sends by id, with parameters filled in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::AgentContent;

/// A canned response. `{{name}}` in its texts is replaced by the parameter of that name.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Response {
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    footer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// Cards, quick replies and the like; without them the response is a notification.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    content: Vec<Value>,
}

/// A parameter and its value.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Parameter {
    #[serde(default)]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) value: String,
}

/// Every canned response, by its id.
pub(crate) type Responses = BTreeMap<String, Response>;

impl Response {
    /// The response as a message.
    pub(crate) fn fill_in(&self, id: &str, parameters: &[Parameter]) -> AgentContent {
        let filled = |text: &str| {
            parameters.iter().fold(text.to_owned(), |text, each| {
                text.replace(&format!("{{{{{}}}}}", each.id), &each.value)
            })
        };
        let text = filled(&self.text);
        if !self.content.is_empty() {
            return AgentContent::unchecked(text, self.content.clone());
        }
        let named: Vec<Value> =
            parameters.iter().map(|each| json!({"name": each.id, "text": each.value})).collect();
        let mut template = json!({"id": id, "body": {"text": text, "parameters": named}});
        if let Some(language) = &self.language {
            template["language"] = json!(language);
        }
        if let Some(header) = &self.header {
            template["header"] = json!({"type": "Text", "text": filled(header)});
        }
        if let Some(footer) = &self.footer {
            template["footer"] = json!({"text": filled(footer)});
        }
        AgentContent::unchecked(
            text,
            vec![json!({"contentType": "Notification", "template": template})],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_filled_in_everywhere() {
        let response: Response = serde_json::from_value(json!({
            "text": "Hello {{name}}, your visit is on {{day}}.",
            "header": "For {{name}}",
            "footer": "{{unknown}}",
        }))
        .unwrap();
        let parameter =
            |id: &str, value: &str| Parameter { id: id.to_owned(), value: value.to_owned() };
        let said =
            response.fill_in("visit", &[parameter("name", "Noor"), parameter("day", "Monday")]);
        let (text, content) = said.into_parts();
        assert_eq!(text.as_deref(), Some("Hello Noor, your visit is on Monday."));
        let template = &content[0]["template"];
        assert_eq!(
            (&template["header"]["text"], &template["footer"]["text"]),
            (&json!("For Noor"), &json!("{{unknown}}"))
        );
        assert_eq!(template["body"]["parameters"][1], json!({"name": "day", "text": "Monday"}));
    }
}
