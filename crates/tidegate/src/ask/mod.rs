//! The commands that ask a running gateway through its API: `messages`, `conversations`, `status`.

mod act;
mod client;
mod list;
mod page;
mod view;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::config::DEFAULT_FILE;
use crate::failure::Failure;
use client::Api;
use list::{ConversationState, MessageState, PageOptions};
use page::Page;

/// Which gateway to ask, and how to show the answer.
#[derive(Debug, Args)]
pub(crate) struct AskOptions {
    /// The gateway's address. The default is admin.listen or server.listen of the configuration.
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// A token of the API. The default is the variable `TIDEGATE_TOKEN`.
    #[arg(long, global = true, value_name = "TOKEN")]
    token: Option<String>,
    /// The configuration. Only the gateway's address is read from it.
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// Print the API's answer as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MessagesCommand {
    /// List messages that did not arrive, the newest first.
    List {
        /// Which messages.
        #[arg(long, value_enum, default_value_t = MessageState::Failed)]
        state: MessageState,
        #[command(flatten)]
        page: PageOptions,
    },
    /// Have dead letters posted to Genesys again, behind the customer's messages that wait.
    Retry(act::ActOptions),
    /// Discard dead letters: they cannot be retried any more.
    Discard(act::ActOptions),
    /// Say what became of a message, step by step.
    Show {
        /// Genesys's id of an agent's message, or the chat service's id of any message.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConversationsCommand {
    /// List conversations, the newest first.
    List {
        /// Only those that stand so.
        #[arg(long, value_enum)]
        state: Option<ConversationState>,
        #[command(flatten)]
        page: PageOptions,
    },
    /// Say how a conversation stands, and what became of its messages.
    Show {
        /// Any id: the gateway's or Genesys's of the conversation, the customer's, or a message's.
        id: String,
    },
}

/// Prints what became of a message.
pub(crate) async fn messages(what: MessagesCommand, options: AskOptions) -> Result<(), Failure> {
    let id = match what {
        MessagesCommand::List { state, page } => return list::messages(state, page, options).await,
        MessagesCommand::Retry(what) => return act::act("retry", what, options).await,
        MessagesCommand::Discard(what) => return act::act("discard", what, options).await,
        MessagesCommand::Show { id } => id,
    };
    let answer = Api::new(&options)?.get(&["messages", &id]).await?;
    print(&options, &answer, |page, answer: view::Messages| {
        answer.messages.iter().for_each(|message| page.message(message));
    })
}

/// Prints how a conversation stands.
pub(crate) async fn conversations(
    what: ConversationsCommand,
    options: AskOptions,
) -> Result<(), Failure> {
    let id = match what {
        ConversationsCommand::List { state, page } => {
            return list::conversations(state, page, options).await;
        }
        ConversationsCommand::Show { id } => id,
    };
    let answer = Api::new(&options)?.get(&["conversations", &id]).await?;
    print(&options, &answer, |page, answer: view::Conversations| {
        answer.conversations.iter().for_each(|conversation| page.conversation(conversation));
    })
}

/// Prints whether the gateway is ready, and what each integration has.
pub(crate) async fn status(options: AskOptions) -> Result<(), Failure> {
    let answer = Api::new(&options)?.get(&["status"]).await?;
    print(&options, &answer, |page, answer: view::Status| page.status(&answer))
}

/// Prints an answer, as JSON or as a page.
fn print<T: serde::de::DeserializeOwned>(
    options: &AskOptions,
    answer: &Value,
    fill: impl FnOnce(&mut Page, T),
) -> Result<(), Failure> {
    if options.json {
        println!("{answer:#}");
        return Ok(());
    }
    let read = view::read(answer)?;
    let mut page = Page::new(width());
    fill(&mut page, read);
    print!("{page}");
    Ok(())
}

/// How many columns the terminal has; 80 if the output is not a terminal.
fn width() -> usize {
    const DEFAULT: usize = 80;
    rustix::termios::tcgetwinsize(std::io::stdout())
        .map_or(DEFAULT, |size| usize::from(size.ws_col).clamp(60, 160))
}
