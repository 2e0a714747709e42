//! Deliberate mistakes, one at a time: a simulation that does not find them is worth nothing.

use std::process::ExitCode;

use store::memory::Flaw;

use crate::plan::Size;
use crate::run::{self, Verdict};

/// How many seeds a mistake may hide in.
const MOST_SEEDS: u64 = 1_000;

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Of the store.
    Store(Flaw),
    /// Of the gateway or the conversation.
    #[cfg(feature = "mutants")]
    Code(conversation::mutant::Mutant),
}

fn list() -> Vec<Mutant> {
    #[cfg_attr(
        not(feature = "mutants"),
        expect(unused_mut, reason = "the others are in the code itself")
    )]
    let mut all: Vec<Mutant> = Flaw::ALL.into_iter().map(Mutant::Store).collect();
    #[cfg(feature = "mutants")]
    all.extend(conversation::mutant::Mutant::ALL.into_iter().map(Mutant::Code));
    all
}

fn name(mutant: Mutant) -> String {
    match mutant {
        Mutant::Store(flaw) => format!("{flaw:?}"),
        #[cfg(feature = "mutants")]
        Mutant::Code(mutant) => format!("{mutant:?}"),
    }
}

/// The mistake of this name.
pub(crate) fn named(wanted: &str) -> Result<Mutant, String> {
    let all = list();
    let names = all.iter().map(|mutant| name(*mutant)).collect::<Vec<_>>().join(", ");
    all.into_iter().find(|mutant| name(*mutant) == wanted).ok_or(format!(
        "there is no mutant `{wanted}`; there are {names} (more with `--features mutants`)"
    ))
}

/// Runs a seed with a mistake, or without.
pub(crate) fn run(mutant: Option<Mutant>, seed: u64, size: Size, print: bool) -> Verdict {
    let flaw = match mutant {
        Some(Mutant::Store(flaw)) => Some(flaw),
        _ => None,
    };
    #[cfg(feature = "mutants")]
    conversation::mutant::set(match mutant {
        Some(Mutant::Code(mutant)) => Some(mutant),
        _ => None,
    });
    run::seed(seed, size, flaw, print)
}

/// Makes each, and prints which seed found it.
pub(crate) fn all(from: u64, size: Size) -> ExitCode {
    let mut missed = 0;
    for mutant in list() {
        let mut steps = 0;
        let found = (from..from + MOST_SEEDS).find_map(|seed| {
            let verdict = run(Some(mutant), seed, size, false);
            steps += verdict.steps;
            verdict.breaches.first().map(|breach| (seed, breach.clone()))
        });
        let name = name(mutant);
        if let Some((seed, breach)) = found {
            println!("{name:<24} seed {seed:<4} after {steps:>9} steps: {breach:.110}");
        } else {
            missed += 1;
            println!("{name:<24} NOT FOUND in {MOST_SEEDS} seeds, {steps} steps");
        }
    }
    let all = list().len();
    println!("{} of {} mistakes were found", all - missed, all);
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
