//! What a file is, by its bytes.
//!
//! A sender's word is not proof. A link that has expired often answers with a login page, and a
//! program may be called a picture. The stated type counts only where bytes cannot tell.

use infer::MatcherType;

/// How many bytes decide.
pub(crate) const SAMPLE: usize = 8 << 10;

/// The type of a file about which nothing is known.
const UNKNOWN: &str = "application/octet-stream";

/// Types that consist of text. Their bytes do not tell one from the other.
const TEXTS: [&str; 12] = [
    "application/ics",
    "application/javascript",
    "application/json",
    "application/rtf",
    "application/toml",
    "application/vcard",
    "application/x-ndjson",
    "application/xml",
    "application/yaml",
    "image/svg+xml",
    "message/rfc822",
    "model/gltf+json",
];

/// Types that `infer` lists among programs, although they are never run: certificates and disks.
const NO_PROGRAMS: [&str; 2] = ["application/x-x509-ca-cert", "application/x-qemu-disk"];

/// The type of a file that begins with `sample`, whose sender called it `stated`.
///
/// The error says why the file is refused.
pub(crate) fn of(sample: &[u8], stated: Option<&str>) -> Result<String, String> {
    let stated = stated.map(essence).filter(|stated| !stated.is_empty() && stated != UNKNOWN);
    // Some signatures have two or three letters, and a text may begin with any letters.
    let found = infer::get(sample).filter(|found| is_text_format(found) || !is_text(sample));
    let Some(found) = found else { return unrecognised(sample, stated) };
    let mime = found.mime_type();
    if found.matcher_type() == MatcherType::App && !NO_PROGRAMS.contains(&mime) {
        return Err(format!("the file is a program ({mime})"));
    }
    let Some(stated) = stated else { return Ok(mime.to_owned()) };
    if is_dialect(mime, &stated) {
        return Ok(stated);
    }
    if mime == "text/html" && stated != "text/html" || class(&stated) != class(mime) {
        return Err(format!("the file is {mime}, and not {stated} as its sender says"));
    }
    Ok(mime.to_owned())
}

/// The type of bytes that nothing recognises: text, as far as it is text, or unknown.
fn unrecognised(sample: &[u8], stated: Option<String>) -> Result<String, String> {
    let is_text = is_text(sample);
    match stated {
        Some(stated) if is_text && is_textual(&stated) => Ok(stated),
        // A picture, a sound or a film always has a signature that is known.
        Some(stated) if matches!(class(&stated), "image" | "media") => {
            if rare(&stated) && !is_text {
                Ok(stated)
            } else {
                Err(format!("the bytes of the file are not those of {stated}"))
            }
        }
        _ if is_text => Ok("text/plain".to_owned()),
        _ => Ok(UNKNOWN.to_owned()),
    }
}

/// Whether files of a type that was found may consist of text.
fn is_text_format(found: &infer::Type) -> bool {
    let texts = ["application/pdf", "application/postscript", "application/rtf"];
    found.matcher_type() == MatcherType::Text || texts.contains(&found.mime_type())
}

/// The type in lower case, without parameters.
fn essence(mime: &str) -> String {
    let mime = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if mime == "image/jpg" { "image/jpeg".to_owned() } else { mime }
}

/// Types must agree in their class. Sound and film share their containers.
fn class(mime: &str) -> &'static str {
    match mime.split('/').next().unwrap_or_default() {
        "image" => "image",
        "audio" | "video" => "media",
        _ => "other",
    }
}

/// Whether `stated` is a kind of what was found that bytes do not tell from it: a document in a
/// ZIP archive, sound in a film's container, a drawing in XML.
fn is_dialect(found: &str, stated: &str) -> bool {
    match found {
        "application/zip" => {
            stated.starts_with("application/vnd.") || stated == "application/epub+zip"
        }
        "application/x-ole-storage" => {
            stated.starts_with("application/vnd.ms-") || stated == "application/msword"
        }
        "text/xml" => stated.ends_with("+xml") || stated.ends_with("/xml"),
        _ => class(found) == "media" && class(stated) == "media" && found != stated,
    }
}

fn is_textual(mime: &str) -> bool {
    mime.starts_with("text/") && mime != "text/html"
        || TEXTS.contains(&mime)
        || mime.ends_with("+json")
}

/// Whether a type of picture, sound or film is one that `infer` does not know. Then only its
/// sender's word is there.
fn rare(mime: &str) -> bool {
    !infer::is_mime_supported(mime)
        && !matches!(mime, "audio/mp3" | "audio/mp4" | "audio/wav" | "audio/aac" | "video/avi")
}

/// Whether it is text: UTF-8 (the sample may end within a character) without control characters.
fn is_text(sample: &[u8]) -> bool {
    let text = match std::str::from_utf8(sample) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&sample[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}' | '\u{1b}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0";
    const PDF: &[u8] = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3";
    const ELF: &[u8] = &{
        let mut program = [0; 64];
        [program[0], program[1], program[2], program[3]] = [0x7f, b'E', b'L', b'F'];
        program
    };
    const ZIP: &[u8] = b"PK\x03\x04\x14\0\0\0\x08\0abcdefghijklmnopqrstuvwxyz";
    const MP4: &[u8] = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41";
    const PAGE: &[u8] = b"<!DOCTYPE html><html><body>Log in</body></html>";

    #[test]
    fn bytes_decide_what_a_file_is() {
        for (sample, stated, found) in [
            (PNG, Some("image/png"), "image/png"),
            (PNG, None, "image/png"),
            (PNG, Some("application/octet-stream"), "image/png"),
            (PNG, Some("image/jpeg"), "image/png"),
            (JPEG, Some("image/JPG; q=1"), "image/jpeg"),
            (PDF, Some("application/pdf"), "application/pdf"),
            (PDF, Some("application/msword"), "application/pdf"),
            (MP4, Some("audio/mp4"), "audio/mp4"),
            (
                ZIP,
                Some("application/vnd.oasis.opendocument.text"),
                "application/vnd.oasis.opendocument.text",
            ),
            (ZIP, Some("application/zip"), "application/zip"),
            (PAGE, Some("text/html"), "text/html"),
            (PAGE, None, "text/html"),
            (b"a,b\n1,2\n", Some("text/csv"), "text/csv"),
            (b"{\"a\": 1}", Some("application/json"), "application/json"),
            ("Grüße".as_bytes(), None, "text/plain"),
            (&"Grüße".as_bytes()[..3], Some("text/plain"), "text/plain"),
            (b"\0\x01\x02\x03", Some("text/plain"), "application/octet-stream"),
            (b"\0\x01\x02\x03", Some("image/x-unheard-of"), "image/x-unheard-of"),
            (b"words", Some("application/pdf"), "text/plain"),
            // Texts that begin like a program, a picture or an archive.
            (b"MZ and other initials", Some("text/plain"), "text/plain"),
            (b"BCC: all of you", None, "text/plain"),
            (b"BM is short for bookmark", Some("text/plain"), "text/plain"),
            (b"GIF or JPEG?", Some("text/markdown"), "text/markdown"),
            (b"-----BEGIN CERTIFICATE-----\n", Some("application/x-pem-file"), "text/plain"),
            (
                b"\x30\x82\x03\x10\0\0",
                Some("application/x-x509-ca-cert"),
                "application/x-x509-ca-cert",
            ),
            (b"%PDF-1.7\nonly ASCII", Some("application/pdf"), "application/pdf"),
            (b"<svg xmlns=''/>", Some("image/svg+xml"), "image/svg+xml"),
            (b"<?xml version='1.0'?><svg/>", Some("image/svg+xml"), "image/svg+xml"),
            (b"", None, "text/plain"),
        ] {
            assert_eq!(of(sample, stated).as_deref(), Ok(found), "{stated:?}");
        }
    }

    #[test]
    fn a_lie_about_the_type_is_refused() {
        for (sample, stated, why) in [
            (ELF, Some("image/png"), "program"),
            (ELF, None, "program"),
            (PAGE, Some("image/png"), "text/html"),
            (PAGE, Some("application/pdf"), "text/html"),
            (PDF, Some("image/png"), "application/pdf"),
            (PNG, Some("video/mp4"), "image/png"),
            (b"words", Some("image/png"), "not those"),
            (b"\0\x01\x02\x03", Some("image/png"), "not those"),
            (b"GIF or JPEG?", Some("image/gif"), "not those"),
            (b"words", Some("image/x-unheard-of"), "not those"),
            (b"MZ\0\x01\x02", Some("text/plain"), "program"),
        ] {
            let refused = of(sample, stated).unwrap_err();
            assert!(refused.contains(why), "{stated:?}: {refused}");
        }
    }
}
