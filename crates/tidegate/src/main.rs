//! The program.

#[cfg_attr(not(test), expect(dead_code, unused_imports, reason = "the program that uses it follows"))]
mod config;

use std::process::ExitCode;

fn main() -> ExitCode {
    let path = std::env::args_os().nth(1).unwrap_or_else(|| "tidegate.toml".into());
    match config::Config::load(path.as_ref(), std::env::vars()) {
        Ok(_) => println!("ok"),
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
