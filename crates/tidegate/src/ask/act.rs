//! Actions on dead letters.

use clap::Args;
use serde_json::Value;

use super::client::Api;
use super::page::Page;
use super::{AskOptions, view, width};
use crate::failure::Failure;

/// Which dead letters.
#[derive(Debug, Args)]
pub(crate) struct ActOptions {
    /// The ids of the messages, as `messages list --state refused` shows them.
    #[arg(required = true)]
    ids: Vec<String>,
    /// The integration, if messages of several have the id.
    #[arg(long, value_name = "NAME")]
    integration: Option<String>,
    /// Change nothing: say what became of each message.
    #[arg(long)]
    dry_run: bool,
}

/// Acts on each message, also if one before it fails. Prints what the gateway answered.
pub(super) async fn act(
    action: &str,
    what: ActOptions,
    options: AskOptions,
) -> Result<(), Failure> {
    let api = Api::new(&options)?;
    let integration = [("integration", what.integration)];
    let (mut answers, mut failures) = (Vec::new(), Vec::new());
    for id in &what.ids {
        let answer = if what.dry_run {
            api.get(&["messages", id]).await
        } else {
            api.post(&["dead-letters", id, action], &integration).await
        };
        match answer {
            Ok(answer) => answers.push(answer),
            Err(failure) => failures.push((id, failure)),
        }
    }
    if options.json {
        println!("{:#}", Value::from(answers));
    } else {
        let mut page = Page::new(width());
        for answer in answers {
            if what.dry_run {
                let read = view::read::<view::Messages>(&answer)?;
                read.messages.iter().for_each(|message| page.would_act(action, message));
            } else {
                page.acted(&view::read(&answer)?);
            }
        }
        print!("{page}");
    }
    match failures.pop() {
        None => Ok(()),
        Some((_, last)) => {
            for (id, failure) in failures {
                eprintln!("{id}: {failure}");
            }
            Err(last)
        }
    }
}
