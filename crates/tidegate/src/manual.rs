//! `tidegate completions` and `tidegate man`: the command line as a shell and as `man` read it.

use std::io::{ErrorKind, Write as _};

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::failure::Failure;

/// Prints the script for `shell`.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tidegate", &mut script);
    print(&script)
}

/// Prints the page about a command, such as `["messages", "retry"]`, in the format of `man`.
pub(crate) fn page(command: &[String]) -> Result<(), Failure> {
    let mut program = Cli::command().disable_help_subcommand(true);
    // Gives each command its full name and the global options.
    program.build();
    let mut about = &program;
    for name in command {
        about = about.find_subcommand(name).ok_or_else(|| {
            let all: Vec<_> = about.get_subcommands().map(clap::Command::get_name).collect();
            let remedy = match &*all {
                [] => "it has no commands".to_owned(),
                all => format!("there are {}", all.join(", ")),
            };
            let of = about.get_bin_name().unwrap_or("tidegate");
            Failure::configuration(format!("tidegate: {of} has no command {name:?}: {remedy}"))
        })?;
    }
    // As `man` names such pages: tidegate-messages-retry.
    let title = about.get_display_name().unwrap_or("tidegate").to_owned();
    let mut page = Vec::new();
    Man::new(about.clone())
        .title(title)
        .source(format!("tidegate {}", env!("CARGO_PKG_VERSION")))
        .render(&mut page)
        .map_err(|error| Failure::failed("cannot make the page", error))?;
    print(&page)
}

/// Prints `text`. A reader that has gone, such as `head`, has what it wants.
fn print(text: &[u8]) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::failed("cannot write to standard output", error))
        }
        _ => Ok(()),
    }
}
