//! Deliberate mistakes, one at a time, which the simulation must find.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use store::memory::Flaw;

use crate::plan::Size;
use crate::run::{self, Verdict};

/// A mistake must be found within this many seeds.
const MOST_SEEDS: u64 = 2_000;

/// A deliberate mistake that a simulation can run with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// A mistake of the store.
    Store(Flaw),
    /// A mistake of the gateway or the conversation.
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

/// Tries each mistake, and prints which seed found it. Fails if one is not found.
pub(crate) fn all(from: u64, threads: usize, size: Size) -> ExitCode {
    let all = list();
    let mut found = 0;
    for mutant in &all {
        let name = name(*mutant);
        match first(*mutant, from, threads, size) {
            // The breach must come from the mistake, so the seed must pass without it.
            Some((seed, breach)) if !run(None, seed, size, false).breaches.is_empty() => {
                println!("{name:<24} seed {seed:<4} BREAKS WITHOUT IT TOO: {breach:.90}");
            }
            Some((seed, breach)) => {
                found += 1;
                println!("{name:<24} seed {seed:<4} {breach:.110}");
            }
            None => println!("{name:<24} NOT FOUND in {MOST_SEEDS} seeds"),
        }
    }
    println!("{found} of {} mistakes were found", all.len());
    if found == all.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The first seed that finds a mistake, and the breach.
fn first(mutant: Mutant, from: u64, threads: usize, size: Size) -> Option<(u64, String)> {
    let next = AtomicU64::new(from);
    let end = AtomicU64::new(from.saturating_add(MOST_SEEDS));
    let found = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end.load(Ordering::Relaxed) {
                        return;
                    }
                    if let Some(breach) = run(Some(mutant), seed, size, false).breaches.first() {
                        // Seeds before this one may still be running, and may find it too.
                        end.fetch_min(seed, Ordering::Relaxed);
                        found.lock().expect("no thread broke").insert(seed, breach.clone());
                    }
                }
            });
        }
    });
    found.into_inner().expect("no thread broke").into_iter().next()
}
