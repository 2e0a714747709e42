//! Secrets: written literally, or found in an environment variable or a file.
//!
//! The sections read secrets with these functions. No problem contains the value of a secret, or
//! anything that may be one by mistake.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Params};
use genesys::Secret;

use super::env::without_line_break;
use super::tree::Value;
use super::walk::{Field, Table};

/// The longest secret, in bytes.
const LONGEST: u64 = 64 * 1024;

const WAYS: &str = "write it as a text, or as { env = \"NAME\" } or { file = \"PATH\" }";

impl Field<'_> {
    /// A secret; `check` validates it.
    pub(super) fn secret<T>(&self, check: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = match self.read(|node| match &node.value {
            Value::Text(text) => Ok(Some(text.clone())),
            Value::Table(_) => Ok(None),
            other => Err(format!("must be a secret, not {}: {WAYS}", other.kind())),
        })? {
            Some(text) => text,
            None => self.table(|table| self.referred(table))?,
        };
        let checked = if value.trim().is_empty() {
            Err("the secret is empty".to_owned())
        } else {
            check(&value)
        };
        checked.map_err(|text| self.problem(text)).ok()
    }

    /// One secret, or a list of two while they are rotated.
    pub(super) fn secrets<T>(&self, check: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        let is_list = self.read(|node| Ok(matches!(node.value, Value::List(_))))?;
        if !is_list {
            return Some(vec![self.secret(check)?]);
        }
        let elements = self.elements()?;
        if !(1..=2).contains(&elements.len()) {
            self.problem(format!(
                "the list has {} secrets: write one, or two while you change from one to the other",
                elements.len()
            ));
            return None;
        }
        elements
            .iter()
            .map(|element| element.secret(&check))
            .collect::<Vec<_>>()
            .into_iter()
            .collect()
    }

    fn referred(&self, table: &Table<'_>) -> Option<String> {
        let (env, file) = (table.field("env"), table.field("file"));
        match (env.is_given(), file.is_given()) {
            (true, false) => env.parsed(|name| {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
                if !name.chars().all(plain)
                    || name.len() > 128
                    || name.starts_with(|c: char| c.is_ascii_digit())
                {
                    // The text may be the secret itself, so it is not repeated.
                    return Err(
                        "is not the name of a variable: write the name here, not the secret"
                            .to_owned(),
                    );
                }
                let value = self
                    .walk()
                    .variables
                    .get(name)
                    .map(|value| without_line_break(value).to_owned());
                value.ok_or_else(|| {
                    format!("the environment variable {name} is not set: set it, or name another")
                })
            }),
            (false, true) => file.parsed(|path| {
                let path = self.walk().directory.join(path);
                let read = read_text(&path, LONGEST);
                let value = read.map_err(|cause| {
                    format!(
                        "the file {} cannot be read ({cause}): make it readable, or name another",
                        path.display()
                    )
                })?;
                Ok(without_line_break(&value).to_owned())
            }),
            (true, true) => {
                table.problem("has both env and file: keep one of the two");
                None
            }
            (false, false) => {
                table.problem(format!("has neither env nor file: {WAYS}"));
                None
            }
        }
    }
}

/// The webhook secret of an Open Messaging integration. Genesys requires at least 16 characters.
pub(super) fn of_webhook(secret: &str) -> Result<Secret, String> {
    match secret.chars().count() {
        length @ ..16 => Err(format!(
            "the secret has {length} characters, and Genesys requires at least 16: `openssl rand \
             -hex 32` makes one"
        )),
        _ => Ok(Secret::new(secret)),
    }
}

/// The hash of a password. A damaged one would let its user never sign in.
pub(super) fn of_password(hash: &str) -> Result<Secret, String> {
    if is_password_hash(hash) {
        Ok(Secret::new(hash))
    } else {
        Err("is not the whole hash of a password, which begins with `$argon2id$`: `tidegate \
             hash-password` makes one"
            .to_owned())
    }
}

fn is_password_hash(text: &str) -> bool {
    PasswordHash::new(text).is_ok_and(|hash| {
        Algorithm::try_from(hash.algorithm.as_str()).is_ok()
            && Params::try_from(&hash).is_ok()
            && hash.salt.is_some()
            && hash.hash.is_some()
    })
}

/// A token of the API. It travels in a header, so it has no blanks and no letters beyond ASCII.
pub(super) fn of_token(token: &str) -> Result<Secret, String> {
    if token.len() >= 24 && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Secret::new(token))
    } else {
        Err("a token has at least 24 characters of ASCII without blanks: `openssl rand -hex 32` \
             makes one"
            .to_owned())
    }
}

/// Reads a text file of at most `limit` bytes.
pub(super) fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {limit} bytes"),
        ));
    }
    String::from_utf8(bytes).map_err(|cause| {
        let before = &cause.as_bytes()[..cause.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8"))
    })
}
