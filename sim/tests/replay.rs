//! A seed always gives the same history, line by line, so that a breach can be replayed.

use std::process::Command;

#[test]
fn a_seed_run_twice_is_the_same_history() {
    let history = |seed: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_sim"))
            .args(["--seed", seed, "--messages", "60"])
            .output();
        let output = output.expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stdout).expect("text")
    };
    for seed in ["16", "320", "343", "525"] {
        let (first, second) = (history(seed), history(seed));
        assert!(first.lines().count() > 300, "seed {seed} tells what happens");
        assert!(first == second, "seed {seed} was another history the second time");
    }
}
