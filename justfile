# What developers run; https://just.systems. `just` without a name lists this.

_default:
    @{{ just_executable() }} --list --unsorted

# Format, figures, lint, and the tests that start no server: under three minutes once built
check:
    cargo fmt --all --check
    cargo fmt --manifest-path fuzz/Cargo.toml --check
    tools/metrics --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo nextest run --workspace --locked --profile unit

# Everything that has to pass; installs what it needs
test *args:
    ./test {{ args }}

# What takes hours: many seeds, a hundred nodes, planted mistakes, fuzzing
soak seeds="100000" seconds="600":
    cargo run --release --locked -p sim -- --seeds {{ seeds }}
    cargo run --release --locked -p sim -- --nodes 100 --seeds 500
    cargo run --profile sim --locked -p sim --features mutants -- --mutants
    fuzz/run {{ seconds }}
