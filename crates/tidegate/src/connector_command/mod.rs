//! `tidegate connector`.

pub(crate) mod list;
mod process;
mod render;
pub(crate) mod schema;
mod test;
#[cfg(test)]
mod tests;

use clap::Subcommand;

use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum ConnectorCommand {
    /// List the types of connectors.
    List,
    /// Say how a type is configured, what it can do, and what it was tested with.
    Show(list::ShowOptions),
    /// Print what a message becomes on a chat service.
    ///
    /// FILE is the body of a webhook of Genesys. Nothing is sent.
    Render(render::RenderOptions),
    /// Test a connector that speaks the connector protocol over HTTP, in any language.
    ///
    /// Plays the gateway: makes the calls, takes the events, and prints one line for each case. If
    /// there is a COMMAND, starts the connector with it, also after a `kill -9`.
    Test(Box<test::TestOptions>),
}

pub(crate) async fn run(what: ConnectorCommand) -> Result<(), Failure> {
    match what {
        ConnectorCommand::List => {
            list::list();
            Ok(())
        }
        ConnectorCommand::Show(options) => list::show(&options),
        ConnectorCommand::Render(options) => render::run(&options),
        ConnectorCommand::Test(options) => test::run(*options).await,
    }
}
