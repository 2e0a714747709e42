//! Simulations: several nodes of the production gateway, a store, a network, a chat service and a
//! Genesys in one process and in simulated time. One seed determines every choice.
//! docs/simulation.md says what is simulated and what is checked.

mod accidents;
mod chat;
mod check;
mod cloud;
mod excuses;
mod genesys;
mod in_time;
mod ledger;
mod mutants;
mod node;
mod operators;
mod owners;
mod plan;
mod process;
mod rooms;
mod run;
mod spells;
mod traffic;
mod world;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;

use plan::Size;
use run::Verdict;

#[derive(Parser)]
#[command(about, long_about = None)]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Run one seed, and print everything that happens.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// How many messages each simulation has.
    #[arg(long, default_value_t = 100)]
    messages: usize,
    /// Run this many nodes in each simulation, instead of two to five, with more customers; also
    /// print the requests of a node to the store.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    nodes: Option<u16>,
    /// How many seeds run at once.
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, usize::from))]
    threads: usize,
    /// Make deliberate mistakes, one after the other, and check that each is found.
    #[arg(long)]
    mutants: bool,
    /// Make this mistake in every seed.
    #[arg(long)]
    mutant: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let size = Size { messages: arguments.messages, nodes: arguments.nodes.map(usize::from) };
    if arguments.mutants {
        return mutants::all(arguments.from, arguments.threads, size);
    }
    let mutant = match arguments.mutant.as_deref().map(mutants::named).transpose() {
        Ok(mutant) => mutant,
        Err(error) => {
            eprintln!("sim: {error}");
            return ExitCode::from(2);
        }
    };
    if let Some(seed) = arguments.seed {
        // RUST_LOG may request the nodes' logs, which then appear between the lines of the
        // simulation.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).without_time().with_ansi(false).init();
        let verdict = mutants::run(mutant, seed, size, true);
        println!(
            "{} steps in {:.1?} of simulated time, hash {:016x}",
            verdict.steps, verdict.lasted, verdict.hash
        );
        return end(&[verdict], size);
    }
    let next = AtomicU64::new(arguments.from);
    let verdicts = Mutex::new(Vec::new());
    let until = arguments.from.saturating_add(arguments.seeds);
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= until {
                        return;
                    }
                    let verdict = mutants::run(mutant, seed, size, false);
                    if !verdict.breaches.is_empty() {
                        eprintln!("seed {seed}: {}", verdict.breaches[0]);
                    }
                    verdicts.lock().expect("no thread broke").push(verdict);
                }
            });
        }
    });
    let verdicts = verdicts.into_inner().expect("no thread broke");
    end(&verdicts, size)
}

fn end(verdicts: &[Verdict], size: Size) -> ExitCode {
    let sum = |of: fn(&Verdict) -> u64| verdicts.iter().map(of).sum::<u64>();
    println!(
        "{} seeds, {} agents' messages, {} forwards, {} final receipts repeated, {} answers to \
         offers, {} steps, {:.1} hours of simulated time",
        verdicts.len(),
        sum(|verdict| verdict.messages as u64),
        sum(|verdict| verdict.forwards),
        sum(|verdict| verdict.repeated_receipts),
        sum(|verdict| verdict.answers as u64),
        sum(|verdict| verdict.steps),
        verdicts.iter().map(|verdict| verdict.lasted.as_secs_f64()).sum::<f64>() / 3600.0,
    );
    let mut lateness: Vec<_> =
        verdicts.iter().flat_map(|verdict| verdict.lateness.iter().copied()).collect();
    println!("{}", in_time::summary(&mut lateness));
    if size.nodes.is_some() {
        tell_nodes(verdicts);
    }
    let broken: Vec<_> = verdicts.iter().filter(|verdict| !verdict.breaches.is_empty()).collect();
    for verdict in broken.iter().take(10) {
        println!("seed {}: {} breaches", verdict.seed, verdict.breaches.len());
        for breach in verdict.breaches.iter().take(5) {
            println!("  {breach}");
        }
    }
    if broken.is_empty() {
        println!("no invariant was broken");
        return ExitCode::SUCCESS;
    }
    println!(
        "{} seeds broke an invariant; see one with --seed N and the same --messages",
        broken.len()
    );
    ExitCode::FAILURE
}

/// Prints the requests of a node to the store, and how evenly the conversations were distributed.
fn tell_nodes(verdicts: &[Verdict]) {
    let nodes = |verdict: &Verdict| u32::try_from(verdict.shards.len()).unwrap_or(u32::MAX);
    let node_seconds: f64 =
        verdicts.iter().map(|it| it.lasted.as_secs_f64() * f64::from(nodes(it))).sum();
    let mut all = std::collections::BTreeMap::new();
    for (what, times) in verdicts.iter().flat_map(|verdict| &verdict.requests) {
        *all.entry(*what).or_insert(0) += *times;
    }
    for (what, times) in all {
        println!("{what:<8} {:>8.3} a second and node", f64::from(times) / node_seconds);
    }
    let shards = || verdicts.iter().flat_map(|verdict| verdict.shards.iter().copied());
    let (least, most) = (shards().min().unwrap_or_default(), shards().max().unwrap_or_default());
    let none = shards().filter(|shards| *shards == 0).count();
    println!(
        "at the end a node had {least} to {most} of 256 parts of the conversations; {none} of {} \
         had none",
        shards().count()
    );
}
