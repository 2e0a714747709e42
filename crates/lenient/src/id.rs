//! Ids, which some programs write as numbers.

use serde_json::Value;

/// The id in `value`: a string as it is, a number as its decimal text. Anything else is `None`.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(id) => Some(id.clone()),
        Value::Number(number) => Some(decimal(&number.to_string())),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The same from a value's JSON text. It keeps each digit of a number that is too large for 64
/// bits.
///
/// `json` must be one valid value, without blanks around it.
pub fn of_json(json: &str) -> Option<String> {
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str(json).ok(),
        b'-' | b'0'..=b'9' => Some(decimal(json)),
        _ => None,
    }
}

/// A whole number's digits, whether it is written as `42`, `42.0` or `4.2e1`. Any other number is
/// returned as written.
fn decimal(number: &str) -> String {
    /// From 2^53 on, an `f64` cannot distinguish neighbouring whole numbers.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
        && let Ok(value) = number.parse::<f64>()
        && value.fract() == 0.0
        && value.abs() < EXACT
    {
        return format!("{value:.0}");
    }
    number.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_is_its_decimal_text() {
        for (json, expected) in [
            ("42", "42"),
            ("0", "0"),
            ("-7", "-7"),
            ("18446744073709551615", "18446744073709551615"),
            ("42.0", "42"),
            ("1e3", "1000"),
            ("1.5", "1.5"),
            (r#""a\u0062""#, "ab"),
            (r#""""#, ""),
        ] {
            assert_eq!(of_json(json).as_deref(), Some(expected), "{json}");
            assert_eq!(
                text(&serde_json::from_str(json).unwrap()).as_deref(),
                Some(expected),
                "{json}"
            );
        }
        let long = "123456789012345678901234567890";
        assert_eq!(of_json(long).as_deref(), Some(long), "no digit is lost");
        assert_eq!(of_json("1e999").as_deref(), Some("1e999"));
    }

    #[test]
    fn anything_else_is_none() {
        for value in
            [json!(null), json!(true), json!([]), json!(["a"]), json!({}), json!({"id": "a"})]
        {
            assert_eq!(text(&value), None, "{value}");
            assert_eq!(of_json(&value.to_string()), None, "{value}");
        }
        assert_eq!(of_json(""), None);
    }
}
