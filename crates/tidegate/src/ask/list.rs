//! Lists of conversations and messages.

use clap::{Args, ValueEnum};

use super::client::Api;
use super::{AskOptions, print, view};
use crate::failure::Failure;

/// Which part of a list to show.
#[derive(Debug, Args)]
pub(crate) struct PageOptions {
    /// Only those of this integration.
    #[arg(long, value_name = "NAME")]
    integration: Option<String>,
    /// How many, at most 200.
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: u16,
    /// Continue behind an earlier page, which ends with its cursor.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

/// How a conversation stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ConversationState {
    /// There is a session.
    Open,
    /// An agent's message waits for a session, or for the end of a pause.
    Held,
    /// Genesys does not take something, although it takes items of other customers.
    Failing,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum MessageState {
    /// Agents' messages that failed.
    Failed,
    /// Dead letters: customers' messages that Genesys refused, or that were given up.
    Refused,
}

/// Prints a page of conversations.
pub(super) async fn conversations(
    state: Option<ConversationState>,
    page: PageOptions,
    options: AskOptions,
) -> Result<(), Failure> {
    let query = query(state.as_ref().and_then(word), page);
    let answer = Api::new(&options)?.get_with(&["conversations"], &query).await?;
    print(&options, &answer, |page, answer: view::ConversationsPage| {
        page.conversations(&answer);
    })
}

/// Prints a page of messages.
pub(super) async fn messages(
    state: MessageState,
    page: PageOptions,
    options: AskOptions,
) -> Result<(), Failure> {
    let query = query(word(&state), page);
    let answer = Api::new(&options)?.get_with(&["messages"], &query).await?;
    print(&options, &answer, |page, answer: view::MessagesPage| page.messages(&answer))
}

fn query(state: Option<String>, page: PageOptions) -> [(&'static str, Option<String>); 4] {
    let PageOptions { integration, limit, cursor } = page;
    [
        ("state", state),
        ("integration", integration),
        ("limit", Some(limit.to_string())),
        ("cursor", cursor),
    ]
}

/// The value as the command line and the API write it.
fn word(value: &impl ValueEnum) -> Option<String> {
    Some(value.to_possible_value()?.get_name().to_owned())
}
