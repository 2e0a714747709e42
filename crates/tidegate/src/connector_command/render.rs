//! `tidegate connector render`: what a message becomes on a chat service.

use std::fmt::Write as _;
use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use connector::registry::KINDS;
use connector::{Capabilities, ContentKinds, Fallback, MediaRange, Rendered};
use genesys::WebhookMessage;
use serde_json::Value;

use super::list;
use crate::failure::Failure;

/// The name of a chat service that takes texts alone.
const TEXT: &str = "text";
/// The largest file that is read, in bytes: far above what Genesys sends.
const MAX_FILE: u64 = 16 << 20;

#[derive(Debug, Args)]
pub(crate) struct RenderOptions {
    /// The body of a webhook, as JSON. `-` reads it from the standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The type of connector, or `text` for a service that takes texts alone.
    #[arg(long = "for", value_name = "TYPE", default_value = TEXT)]
    kind: String,
    /// A content type that the service shows itself; `*` for all. May be repeated.
    #[arg(long, value_name = "TYPE")]
    content: Vec<String>,
    /// A range of media types that the service takes, such as `image/*`. May be repeated.
    #[arg(long, value_name = "RANGE")]
    media: Vec<MediaRange>,
    /// The longest text that the service takes, in characters.
    #[arg(long, value_name = "N")]
    max_text: Option<usize>,
    /// Let content fail that the service does not show (`degrade = false`).
    #[arg(long)]
    no_degrade: bool,
}

/// Prints what the message becomes. Fails with the reason if it cannot be delivered.
pub(super) fn run(options: &RenderOptions) -> Result<(), Failure> {
    let name = options.file.display();
    let body = read(options).map_err(|why| Failure::failed(format!("cannot read {name}"), why))?;
    let message = WebhookMessage::read(&body)
        .map_err(|why| Failure::failed(format!("{name} is not a webhook's body"), why))?;
    let fallback = if options.no_degrade { Fallback::Fail } else { Fallback::Text };
    let content: Result<Vec<Value>, _> =
        message.contents().iter().map(serde_json::to_value).collect();
    let content = content
        .map_err(|why| Failure::failed(format!("cannot read the content of {name}"), why))?;
    let rendered = service(options)?
        .render(message.text.as_deref(), &content, fallback)
        .map_err(|reason| Failure::found(format!("the message fails: {reason}")))?;
    print!("{}", shown(&rendered));
    Ok(())
}

fn read(options: &RenderOptions) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if options.file.as_os_str() == "-" {
        std::io::stdin().lock().take(MAX_FILE).read_to_end(&mut body)?;
    } else {
        std::fs::File::open(&options.file)?.take(MAX_FILE).read_to_end(&mut body)?;
    }
    Ok(body)
}

/// The capabilities of the type, with what the options say.
fn service(options: &RenderOptions) -> Result<Capabilities, Failure> {
    let mut service = match options.kind.as_str() {
        TEXT => Capabilities::text_only(),
        kind => list::found(KINDS, kind)?.description().capabilities,
    };
    if options.content.iter().any(|kind| kind == "*") {
        service.content = ContentKinds::Any;
    } else if !options.content.is_empty() {
        service.content = ContentKinds::Only(options.content.iter().cloned().collect());
    }
    if !options.media.is_empty() {
        service.media.clone_from(&options.media);
    }
    service.max_text = options.max_text.or(service.max_text);
    Ok(service)
}

/// The text, then what stays content, then what an answer means to Genesys.
fn shown(message: &Rendered) -> String {
    let mut shown = message.text.clone().unwrap_or_default();
    if !shown.is_empty() {
        shown.push('\n');
    }
    // Writing to a string cannot fail.
    for element in &message.content {
        let _ = writeln!(shown, "content: {element}");
    }
    for (option, place) in message.offer.options.iter().zip(1..) {
        let by = if option.numbered { format!("{place} or ") } else { String::new() };
        let _ = writeln!(
            shown,
            "answer: {by}{:?} is {:?} {:?}",
            option.label, option.kind, option.payload
        );
    }
    shown
}
