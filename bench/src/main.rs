//! Measures the built `tidegate` beside reference implementations, on the same machine in the same
//! run: `cargo run --release -p bench`. docs/performance.md says what each figure means and how it
//! is measured.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "figures for people: counts and times far below what a float tells apart"
)]

mod disk;
mod events;
mod limit;
mod load;
mod measures;
mod needs;
mod peers;
mod plot;
#[path = "../../tests/ports.rs"]
mod ports;
#[path = "../../tests/postgres_cluster.rs"]
mod postgres_cluster;
mod programs;
mod stock;
mod stubs;
mod table;
mod usage;
mod webhook;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::{Parser, Subcommand};

use measures::{ALL, Bench, Scale};
use programs::Programs;
use table::Row;

/// The same allocator as in the measured program, so that the references are not slower because of
/// it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(
    about = "What Tidegate can do and what it costs, beside reference implementations in the same \
        run"
)]
struct Cli {
    /// Measure only these, such as B1,B3
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A smoke test: measure everything once and briefly, without a verdict
    #[arg(long)]
    quick: bool,
    /// How many rounds to measure; in each, every side is measured once
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How long to measure one side in a round, in seconds
    #[arg(long, default_value = "2", value_parser = seconds)]
    seconds: Duration,
    /// Write the figures here as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Draw the figures into this folder as SVG
    #[arg(long)]
    plots: Option<PathBuf>,
    /// Measure nothing, and use the figures that `--json` has written
    #[arg(long, conflicts_with_all = ["only", "quick", "json", "program"])]
    from_json: Option<PathBuf>,
    /// The program to measure; without this option, the bench builds it
    #[arg(long)]
    program: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// Be one of the reference implementations
    #[command(hide = true)]
    Peer(peers::Place),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        match cli.command {
            Some(What::Peer(place)) => {
                peers::serve(place).await;
                ExitCode::SUCCESS
            }
            None => measure(cli).await,
        }
    })
}

async fn measure(cli: Cli) -> ExitCode {
    if let Some(unknown) = cli.only.iter().find(|id| !ALL.contains(&id.as_str())) {
        eprintln!("bench: there is no measurement {unknown}; there are {}", ALL.join(", "));
        return ExitCode::from(2);
    }
    if cfg!(debug_assertions) && cli.from_json.is_none() && !cli.quick {
        eprintln!(
            "bench: this build is not optimized, and its figures would mean nothing: cargo run \
             --release -p bench"
        );
        return ExitCode::from(2);
    }
    let rows = if let Some(file) = &cli.from_json {
        written(file)
    } else {
        let ids: Vec<&str> = ALL
            .into_iter()
            .filter(|id| cli.only.is_empty() || cli.only.iter().any(|only| only == id))
            .collect();
        let missing = needs::missing(&ids, cli.quick);
        if !missing.is_empty() {
            eprintln!("bench: {}", missing.join("\nbench: "));
            eprintln!(
                "bench: nothing was measured; --only names what is to be measured without it"
            );
            return ExitCode::from(2);
        }
        measured(&cli, &ids).await
    };
    if let Some(dir) = &cli.plots {
        plot::write(dir, &rows).expect("the plots are written");
    }
    ExitCode::SUCCESS
}

/// Prints the figures of a previous run again.
fn written(file: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(file).expect("the JSON file can be read");
    let rows: Vec<Row> = serde_json::from_str(&text).expect("figures that `--json` has written");
    println!("{}", table::HEAD);
    for row in &rows {
        println!("{}", table::line(row));
    }
    rows
}

async fn measured(cli: &Cli, ids: &[&str]) -> Vec<Row> {
    let tidegate = cli.program.clone().unwrap_or_else(built);
    let scale = if cli.quick {
        Scale { rounds: 1, slice: Duration::from_millis(400), quick: true }
    } else {
        Scale { rounds: cli.rounds.max(1), slice: cli.seconds, quick: false }
    };
    let bench = Bench { programs: Programs { tidegate }, scale };
    println!("{}", table::HEAD);
    let mut rows: Vec<Row> = Vec::new();
    for id in ids {
        for mut row in bench.measure(id).await {
            if cli.quick {
                row.reached = None;
            }
            println!("{}", table::line(&row));
            rows.push(row);
        }
        // Writes the file after each measurement, because a later one may fail after hours.
        if let Some(file) = &cli.json {
            let text = serde_json::to_string_pretty(&rows).expect("JSON");
            std::fs::write(file, text + "\n").expect("the JSON file is written");
        }
    }
    rows
}

/// Parses the length of a slice, which must be long enough for some work.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "this is not a number of seconds".to_owned())?;
    if (0.1..=600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("it is from 0.1 to 600 seconds".to_owned())
    }
}

/// Builds the program beside this one and returns its path.
fn built() -> PathBuf {
    let this = std::env::current_exe().expect("this program");
    let target = this.parent().and_then(Path::parent).expect("a folder of the build's");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--locked", "--package", "tidegate", "--target-dir"]);
    build.arg(target).current_dir(root);
    // `cargo run` sets these variables for the bench. They must not reach the build of the program,
    // because a build script that reads them would cause a full rebuild.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            build.env_remove(&name);
        }
    }
    assert!(build.status().is_ok_and(|status| status.success()), "tidegate could not be built");
    target.join("release/tidegate")
}
