//! Help, version, and unknown commands.

use std::process::Command;

use super::ended;
use crate::support::tidegate;

fn run(arguments: &[&str]) -> (i32, String, String) {
    let mut command = tidegate();
    command.args(arguments);
    ended(command)
}

#[test]
fn help_and_version_are_given_on_stdout() {
    let (code, help, errors) = run(&["--help"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(
        help.starts_with(
            "A durable gateway between Genesys Cloud Open Messaging and your chat service"
        ),
        "{help}"
    );
    for command in ["demo", "serve", "sandbox", "check", "connector", "audit"] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
        let (code, help, errors) = run(&[command, "--help"]);
        assert_eq!((code, errors.as_str()), (0, ""), "{command}");
        assert!(help.contains(&format!("Usage: tidegate {command}")), "{help}");
    }
    let (code, version, errors) = run(&["--version"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!(version.trim_end(), format!("tidegate {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_is_no_command_ends_with_2_and_names_the_nearest() {
    let (code, out, errors) = run(&["sreve"]);
    assert_eq!((code, out.as_str()), (2, ""));
    insta::assert_snapshot!(errors, @"
    error: unrecognized subcommand 'sreve'

      tip: a similar subcommand exists: 'serve'

    Usage: tidegate [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    for wrong in [
        &[][..],
        &["serve", "--confg", "x"],
        &["serve", "--log-format", "yaml"],
        &["sandbox", "--listen", "here"],
    ] {
        let (code, out, errors) = run(wrong);
        assert_eq!((code, out.as_str()), (2, ""), "{wrong:?}");
        assert!(errors.contains("Usage: ") || errors.contains("--help"), "{errors}");
    }
}

/// Each script names every command, and bash finds no mistake in its own.
#[test]
fn shells_can_complete_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, script, errors) = run(&["completions", shell]);
        assert_eq!((code, errors.as_str()), (0, ""), "{shell}");
        for word in ["demo", "serve", "hash-password", "discard", "--dry-run"] {
            let word = if shell == "fish" { word.trim_start_matches('-') } else { word };
            assert!(script.contains(word), "{shell} does not complete {word}");
        }
    }
    let (_, script, _) = run(&["completions", "bash"]);
    let asked = format!(
        "{script}\nCOMP_WORDS=(tidegate messages re) COMP_CWORD=2; _tidegate tidegate re messages; \
         echo \"${{COMPREPLY[@]}}\""
    );
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", &asked]);
    assert_eq!(ended(bash), (0, "retry\n".to_owned(), String::new()));
}

#[test]
fn a_page_of_the_manual_names_what_it_is_about() {
    let (code, page, errors) = run(&["man"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(page.contains(".TH tidegate 1 "), "{page}");
    assert!(page.contains(r"tidegate\-hash\-password(1)"), "{page}");

    let (code, page, errors) = run(&["man", "messages", "retry"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(page.contains(".TH tidegate-messages-retry 1 "), "{page}");
    assert!(page.contains(r"\-\-dry\-run"), "{page}");

    let (code, out, errors) = run(&["man", "messages", "rety"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(errors.contains(r#"tidegate messages has no command "rety""#), "{errors}");
    assert!(errors.contains("there are list, retry, discard, show"), "{errors}");
}
