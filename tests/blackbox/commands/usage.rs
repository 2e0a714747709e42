//! Help, version, and unknown commands.

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
