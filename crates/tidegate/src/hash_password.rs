//! `tidegate hash-password`: the hash of a password, for `console.users` in the configuration.

use std::io::{BufRead, IsTerminal, Read, stdin};

use argon2::Argon2;
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::failure::Failure;

/// The shortest password. The console may be reachable from other machines.
const SHORTEST: usize = 8;
/// The longest line that is read, in bytes.
const LONGEST: u64 = 1 << 10;

/// Reads a password from standard input, and prints its hash.
pub(crate) fn run() -> Result<(), Failure> {
    let password = read().map_err(|error| Failure::failed("cannot read the password", error))?;
    if password.chars().count() < SHORTEST {
        return Err(Failure::configuration(format!(
            "tidegate: the password is too short: it needs at least {SHORTEST} characters"
        )));
    }
    let hash: PasswordHash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|error| Failure::failed("cannot hash the password", error))?;
    println!("{hash}");
    Ok(())
}

/// One line. A terminal does not show what is typed.
fn read() -> std::io::Result<String> {
    let input = stdin();
    let mut line = String::new();
    if input.is_terminal() {
        eprint!("Password: ");
        let usual = tcgetattr(&input)?;
        let mut hidden = usual.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&input, OptionalActions::Flush, &hidden)?;
        let read = read_line(&mut line);
        tcsetattr(&input, OptionalActions::Flush, &usual)?;
        eprintln!();
        read?;
    } else {
        read_line(&mut line)?;
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn read_line(line: &mut String) -> std::io::Result<usize> {
    let read = stdin().lock().take(LONGEST).read_line(line)?;
    if !line.ends_with('\n') && u64::try_from(read).is_ok_and(|read| read == LONGEST) {
        let why = format!("it is longer than {LONGEST} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, why));
    }
    Ok(read)
}
