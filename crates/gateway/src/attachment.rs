//! A customer's file in the form that Genesys requires: `mediaType`, `url` and `mime` must be
//! present, and `mediaType` is one of five words.

use genesys::message::{Attachment, MediaType};
use mime_guess::MimeGuess;
use serde_json::{Map, Value};
use url::Url;

use crate::fields::{filled, first};

/// The largest file that Genesys accepts, in bytes (supported content page: 25 MB).
pub(crate) const MAX_FILE: u64 = 25 << 20;

/// Completes an attachment. Drops optional fields that Genesys would refuse, and adds a note for
/// each. The error says what cannot be determined. `at` is the attachment's place in the event.
pub(crate) fn complete(
    at: &str,
    given: &Map<String, Value>,
    notes: &mut Vec<String>,
) -> Result<Attachment, String> {
    let url = url(at, given)?;
    let mut ornament = |names: &[&str]| {
        let text = filled(given, names);
        if text.is_none() && first(given, names).is_some_and(|value| value != "") {
            notes.push(format!("`{at}.{}` is not text and was left out", names[0]));
        }
        text
    };
    let (id, text, sha256) = (ornament(&["id"]), ornament(&["text"]), ornament(&["sha256"]));
    let filename = ornament(&["filename", "fileName", "file_name"]);
    let word = filled(given, &["mediaType", "media_type"]);
    let word = word.as_deref().map(str::trim).unwrap_or_default();
    let known =
        MediaType::KNOWN.iter().find(|kind| kind.as_str().eq_ignore_ascii_case(word)).cloned();
    let mime = mime(given)
        .or_else(|| guess(filename.as_deref()?))
        .or_else(|| guess(url.path()))
        .or_else(|| (known == Some(MediaType::Link)).then(|| "text/html".to_owned()))
        .ok_or_else(|| {
            format!(
                "`{at}.mime` is not a MIME type, and neither `filename` nor `url` tells which it is"
            )
        })?;
    let media_type = known.unwrap_or_else(|| class_of(&mime));
    let size =
        first(given, &["contentSizeBytes", "content_size_bytes"]).and_then(lenient::id::text);
    let size = size.and_then(|size| size.trim().parse::<u64>().ok());
    if let Some(size) = size.filter(|size| *size > MAX_FILE) {
        return Err(format!("`{at}` has {size} bytes, and Genesys accepts at most {MAX_FILE}"));
    }
    let mut other = Map::new();
    if let Some(thumbnail) = given.get("thumbnail").and_then(Value::as_object).and_then(thumbnail) {
        other.insert("thumbnail".to_owned(), thumbnail);
    }
    Ok(Attachment {
        id,
        media_type: Some(media_type),
        url: Some(url.into()),
        mime: Some(mime),
        text,
        sha256,
        filename,
        content_size_bytes: size,
        other,
    })
}

/// The file's URL. Genesys fetches the file itself.
fn url(at: &str, given: &Map<String, Value>) -> Result<Url, String> {
    let url =
        first(given, &["url"]).and_then(Value::as_str).and_then(|url| Url::parse(url.trim()).ok());
    let fits = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    url.filter(fits).ok_or_else(|| {
        format!(
            "`{at}.url` must be an absolute http or https URL, so that Genesys can fetch the file"
        )
    })
}

/// The given MIME type, if it is valid.
fn mime(given: &Map<String, Value>) -> Option<String> {
    let mime = filled(given, &["mime", "mimeType", "mime_type", "contentType", "content_type"])?;
    let essence = mime.split(';').next().unwrap_or_default().trim();
    let token = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "!#$&^_.+-".contains(c))
    };
    let (class, kind) = essence.split_once('/')?;
    (token(class) && token(kind)).then(|| mime.trim().to_owned())
}

fn guess(name: &str) -> Option<String> {
    MimeGuess::from_path(name).first().map(|mime| mime.essence_str().to_owned())
}

pub(crate) fn class_of(mime: &str) -> MediaType {
    match mime.split('/').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "image" => MediaType::Image,
        "video" => MediaType::Video,
        "audio" => MediaType::Audio,
        _ => MediaType::File,
    }
}

/// The fields of a thumbnail that Genesys can read, if there is one to fetch.
fn thumbnail(given: &Map<String, Value>) -> Option<Value> {
    let mut kept = Map::new();
    for name in ["url", "mime", "sha256"] {
        if let Some(text) = filled(given, &[name]) {
            kept.insert(name.to_owned(), text.into());
        }
    }
    if let Some(size) = given.get("contentSizeBytes").and_then(Value::as_u64) {
        kept.insert("contentSizeBytes".to_owned(), size.into());
    }
    kept.contains_key("url").then_some(Value::Object(kept))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made(given: &Value) -> Result<(Attachment, Vec<String>), String> {
        let mut notes = Vec::new();
        complete("content[0].attachment", given.as_object().unwrap(), &mut notes)
            .map(|made| (made, notes))
    }

    #[test]
    fn what_genesys_requires_is_completed() {
        for (given, media_type, mime) in [
            (
                json!({"mediaType": "image", "mime": "image/png", "url": "https://f.example/a"}),
                "Image",
                "image/png",
            ),
            (
                json!({"mediaType": "IMAGE", "mime": " Image/PNG; q=1 ", "url": "https://f.example/a"}),
                "Image",
                "Image/PNG; q=1",
            ),
            (json!({"mime": "audio/ogg", "url": "https://f.example/a"}), "Audio", "audio/ogg"),
            (
                json!({"mediaType": "photo", "mime": "image/png", "url": "https://f.example/a"}),
                "Image",
                "image/png",
            ),
            (
                json!({"mediaType": null, "mime": "application/pdf", "url": "https://f.example/a"}),
                "File",
                "application/pdf",
            ),
            (
                json!({"mediaType": "Image", "url": "https://f.example/a.JPG?x=1#y"}),
                "Image",
                "image/jpeg",
            ),
            (
                json!({"url": "https://f.example/download", "filename": "clip.mp4"}),
                "Video",
                "video/mp4",
            ),
            (json!({"mime": "png", "url": "https://f.example/a.png"}), "Image", "image/png"),
            (json!({"mime": "image/*", "url": "https://f.example/a.png"}), "Image", "image/png"),
            (
                json!({"mediaType": "file", "mime_type": "a/b", "url": " https://f.example/a \n"}),
                "File",
                "a/b",
            ),
            (json!({"mediaType": "link", "url": "https://f.example/"}), "Link", "text/html"),
        ] {
            let (made, _) = made(&given).unwrap_or_else(|why| panic!("{given}: {why}"));
            assert_eq!(made.media_type.unwrap().as_str(), media_type, "{given}");
            assert_eq!(made.mime.as_deref(), Some(mime), "{given}");
        }
    }

    #[test]
    fn what_cannot_be_known_is_asked_for() {
        let file = |url: Value| json!({"mediaType": "Image", "mime": "image/png", "url": url});
        for (given, field) in [
            (file(json!(null)), "url"),
            (file(json!("")), "url"),
            (file(json!("/a.png")), "url"),
            (file(json!("files.example/a.png")), "url"),
            (file(json!("data:image/png;base64,AAAA")), "url"),
            (file(json!("file:///etc/passwd")), "url"),
            (file(json!(["https://f.example/a.png"])), "url"),
            (json!({"mediaType": "Image", "url": "https://f.example/a"}), "mime"),
            (json!({"mediaType": "Image", "mime": 7, "url": "https://f.example/"}), "mime"),
            (
                json!({"mime": "a/b", "url": "https://f.example/a", "contentSizeBytes": (25 << 20) + 1}),
                "bytes",
            ),
            (
                json!({"mime": "a/b", "url": "https://f.example/a", "contentSizeBytes": "99999999999"}),
                "bytes",
            ),
        ] {
            let why = made(&given).unwrap_err();
            assert!(why.contains(field) && why.contains("content[0]"), "{given}: {why}");
        }
    }

    #[test]
    fn ornaments_of_another_type_are_left_out() {
        let given = json!({"mime": "a/b", "url": "https://f.example/a", "id": 7, "text": {"a": 1}, "sha256": null,
            "filename": ["x"], "contentSizeBytes": "10", "thumbnail": {"url": "https://f.example/t", "mime": 3.5,
            "contentSizeBytes": "many"}, "more": {"a": 1}});
        let (made, notes) = made(&given).unwrap();
        let expected = json!({"mediaType": "File", "mime": "a/b", "url": "https://f.example/a", "id": "7",
            "contentSizeBytes": 10, "thumbnail": {"url": "https://f.example/t", "mime": "3.5"}});
        assert_eq!(serde_json::to_value(&made).unwrap(), expected);
        assert_eq!(notes.len(), 2, "{notes:?}");
    }
}
