//! Two macros that define the types of this crate: `record` for JSON objects, `words` for lists
//! of words. Reading and writing such a type loses nothing.
//!
//! A field that is unknown, null or of an unexpected type is kept in `other` and written back
//! unchanged. So Genesys may add fields at any time. serde's derived implementation would refuse
//! such an object, and one with a repeated key.

use serde::de::{DeserializeOwned, Error};
use serde_json::{Map, Value};

/// Takes a field out of the object. If it has another type, it stays in the object.
#[expect(
    clippy::unnecessary_wraps,
    reason = "has the same form as `strict`, so that a macro can name either"
)]
pub(crate) fn tolerant<T: DeserializeOwned, E: Error>(
    object: &mut Map<String, Value>,
    key: &'static str,
) -> Result<Option<T>, E> {
    let value = object.get(key).and_then(|value| T::deserialize(value).ok());
    if value.is_some() {
        object.remove(key);
    }
    Ok(value)
}

/// Takes a field out of the object, and refuses it if it has another type. Null counts as absent.
pub(crate) fn strict<T: DeserializeOwned, E: Error>(
    object: &mut Map<String, Value>,
    key: &'static str,
) -> Result<Option<T>, E> {
    match tolerant(object, key)? {
        None if object.get(key).is_some_and(|value| !value.is_null()) => Err(wrong(key)),
        value => Ok(value),
    }
}

/// Replaces a number by its text, for a field that is an id.
pub(crate) fn text_of_number(value: &mut Value) {
    if value.is_number()
        && let Some(text) = lenient::id::text(value)
    {
        *value = text.into();
    }
}

/// Takes a required field out of the object.
pub(crate) fn needed<T: DeserializeOwned, E: Error>(
    object: &mut Map<String, Value>,
    key: &'static str,
) -> Result<T, E> {
    match tolerant(object, key)? {
        Some(value) => Ok(value),
        None if object.contains_key(key) => Err(wrong(key)),
        None => Err(E::missing_field(key)),
    }
}

/// The error for a field of a wrong form. serde's own error would quote the value, which may be a
/// customer's text.
fn wrong<E: Error>(key: &str) -> E {
    E::custom(format_args!("field `{key}` is not of the expected form"))
}

/// Whether `other` holds the same value under the field's second spelling. Then the field is not
/// written a second time.
pub(crate) fn spelled_otherwise<T: serde::Serialize>(
    other: &Map<String, Value>,
    alias: &str,
    value: &T,
) -> bool {
    other
        .get(alias)
        .is_some_and(|there| serde_json::to_value(value).is_ok_and(|value| value == *there))
}

/// Defines a type for a JSON object: a member for each known field, and `other` for all others.
///
/// If a known field has an unexpected type, a `tolerant` type keeps it in `other`, and a `strict`
/// type refuses the object. Both refuse an object without a field that `needs` lists. `by` names a
/// function that may repair the field's value first. `or` names a second spelling of the field.
macro_rules! record {
    (
        $(#[$doc:meta])*
        $mode:ident $name:ident {
            $( needs { $(
                $(#[$needs_doc:meta])*
                $needs:ident : $needs_type:ty = $needs_key:literal $(by $mend:path)?,
            )* } )?
            may { $(
                $(#[$may_doc:meta])*
                $may:ident : $may_type:ty = $may_key:literal $(or $alias:literal)?,
            )* }
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($( $(#[$needs_doc])* pub $needs: $needs_type, )*)?
            $( $(#[$may_doc])* pub $may: Option<$may_type>, )*
            /// All other fields of the object, unchanged. This includes fields of an unexpected
            /// type.
            pub other: serde_json::Map<String, serde_json::Value>,
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut object = serde_json::Map::deserialize(deserializer)?;
                $($($( object.get_mut($needs_key).into_iter().for_each($mend); )?)*)?
                Ok(Self {
                    $($( $needs: crate::record::needed(&mut object, $needs_key)?, )*)?
                    $(
                        $may: match crate::record::$mode(&mut object, $may_key)? {
                            $(
                                None => object
                                    .get($alias)
                                    .and_then(|value| serde::Deserialize::deserialize(value).ok()),
                            )?
                            value => value,
                        },
                    )*
                    other: object,
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(None)?;
                let mut written: Vec<&str> = Vec::new();
                $($(
                    map.serialize_entry($needs_key, &self.$needs)?;
                    written.push($needs_key);
                )*)?
                $(
                    if let Some(value) = &self.$may
                        $( && !crate::record::spelled_otherwise(&self.other, $alias, value) )?
                    {
                        map.serialize_entry($may_key, value)?;
                        written.push($may_key);
                    }
                )*
                for (key, value) in &self.other {
                    if !written.contains(&key.as_str()) {
                        map.serialize_entry(key, value)?;
                    }
                }
                map.end()
            }
        }
    };
}
pub(crate) use record;

/// Defines an enum for a list of Genesys's words. Genesys may add words, so an unknown word is kept
/// as it is spelled.
macro_rules! words {
    (
        $(#[$doc:meta])*
        $name:ident { $( $(#[$word_doc:meta])* $word:ident = $text:literal, )* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $( $(#[$word_doc])* $word, )*
            /// A word that this crate does not know, as it is spelled.
            Other(String),
        }

        impl $name {
            /// Every word that this crate knows.
            pub const KNOWN: &'static [Self] = &[$(Self::$word),*];

            /// The word as Genesys spells it.
            pub fn as_str(&self) -> &str {
                match self {
                    $( Self::$word => $text, )*
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $( $text => Self::$word, )*
                    word => Self::Other(word.to_owned()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(|word| Self::from(word.as_str()))
            }
        }
    };
}
pub(crate) use words;

#[cfg(test)]
#[expect(unreachable_pub, reason = "the macro makes public types")]
mod tests {
    use serde_json::json;

    record! {
        /// An object as a tolerant reader sees it.
        tolerant Loose {
            needs {
                /// Needed.
                id: String = "id",
            }
            may {
                /// Optional, spelled in two ways.
                name: String = "name" or "Name",
                /// Optional.
                count: u64 = "count",
            }
        }
    }

    record! {
        /// The same as a strict reader sees it.
        strict Tight {
            may {
                /// Optional.
                count: u64 = "count",
            }
        }
    }

    #[test]
    fn what_is_odd_is_kept_and_written_back() {
        for object in [
            json!({"id": "1", "name": "n", "count": 3, "new": [1, {"a": null}]}),
            json!({"id": "1", "name": null, "count": "three"}),
            json!({"id": "1", "Name": "n"}),
            json!({"id": "1", "Name": 5}),
            json!({"id": "1", "Name": "a", "name": "b"}),
        ] {
            let read: Loose = serde_json::from_value(object.clone()).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), object);
        }
    }

    #[test]
    fn the_second_spelling_is_read_and_can_be_overwritten() {
        let mut read: Loose = serde_json::from_value(json!({"id": "1", "Name": "n"})).unwrap();
        assert_eq!(read.name.as_deref(), Some("n"));
        read.name = Some("m".to_owned());
        assert_eq!(serde_json::to_value(&read).unwrap()["name"], "m");
    }

    #[test]
    fn a_field_that_was_set_wins_over_what_came() {
        let mut read: Loose = serde_json::from_value(json!({"id": "1", "count": "three"})).unwrap();
        read.count = Some(3);
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"id":"1","count":3}"#);
    }

    #[test]
    fn what_is_needed_must_be_there() {
        let error = serde_json::from_value::<Loose>(json!({"id": {"secret": "words"}}))
            .unwrap_err()
            .to_string();
        assert!(error.contains("`id`") && !error.contains("words"), "{error}");
        assert!(serde_json::from_value::<Loose>(json!({})).is_err());
    }

    #[test]
    fn a_strict_record_refuses_what_a_tolerant_one_keeps() {
        assert!(serde_json::from_value::<Tight>(json!({"count": "three"})).is_err());
        let null = json!({"count": null, "new": 1});
        let read: Tight = serde_json::from_value(null.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), null);
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        let read: Loose = serde_json::from_str(r#"{"id":"1","id":"2"}"#).unwrap();
        assert_eq!(read.id, "2");
    }
}
