//! The CPU time and the disk writes of a process, as the system reports them, and its calls of
//! `fdatasync`, if `perf` can count them.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// What a process has used until now.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// The CPU time of all its threads, including those that have ended. `/proc/PID/stat` has it
    /// only in hundredths of a second.
    pub(crate) cpu: Duration,
    /// Bytes that it caused to be written to disk.
    pub(crate) written: u64,
}

impl Usage {
    pub(crate) fn of(process: u32) -> Self {
        let id = Pid::from_raw(process.cast_signed());
        let clock = ClockId::pid_cpu_clock_id(id).expect("the process runs");
        let cpu = clock_gettime(clock).expect("the process runs").into();
        let io = std::fs::read_to_string(format!("/proc/{process}/io")).expect("the process runs");
        let written = io
            .lines()
            .find_map(|line| line.strip_prefix("write_bytes: "))
            .and_then(|it| it.parse().ok());
        Self { cpu, written: written.expect("the system counts what a process writes") }
    }

    /// What the process has used since `then`.
    pub(crate) fn since(self, then: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(then.cpu),
            written: self.written.saturating_sub(then.written),
        }
    }
}

/// Counts the calls of `fdatasync` of one process, from [`Self::count`] to [`Self::end`].
pub(crate) struct Syncs {
    perf: Child,
    _dir: tempfile::TempDir,
    report: std::path::PathBuf,
}

impl Syncs {
    /// Starts to count. `None` if there is no `perf`, or if the system does not let it count.
    pub(crate) async fn count(process: u32) -> Option<Self> {
        let dir = crate::programs::folder();
        let report = dir.path().join("syncs");
        let mut command = Command::new("perf");
        command.args([
            "stat",
            "-x,",
            "-e",
            "syscalls:sys_enter_fdatasync",
            "-p",
            &process.to_string(),
            "-o",
        ]);
        // `perf` counts as long as the command at the end of its arguments runs. That command
        // starts after counting has begun.
        command.arg(&report).args(["--", "sh", "-c", "echo counting; cat"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut perf = command.spawn().ok()?;
        let mut said = String::new();
        BufReader::new(perf.stdout.take()?).read_line(&mut said).await.ok()?;
        said.starts_with("counting").then_some(Self { perf, _dir: dir, report })
    }

    /// Stops counting. Returns how many calls there were.
    pub(crate) async fn end(mut self) -> Option<u64> {
        drop(self.perf.stdin.take());
        self.perf.wait().await.ok()?;
        counted(&self.report)
    }
}

fn counted(report: &Path) -> Option<u64> {
    let report = std::fs::read_to_string(report).ok()?;
    report
        .lines()
        .find(|line| line.contains("sys_enter_fdatasync"))?
        .split(',')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_on_a_processor_is_seen() {
        let before = Usage::of(std::process::id());
        let mut sum = 0_u64;
        while Usage::of(std::process::id()).cpu < before.cpu + Duration::from_millis(3) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(sum > 1, "3 ms are more than two looks");
    }

    #[test]
    fn what_perf_could_not_count_is_no_number() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("report");
        let of = |text: &str| {
            std::fs::write(&file, text).unwrap();
            counted(&file)
        };
        assert_eq!(
            of("# started\n\n29,,syscalls:sys_enter_fdatasync,5053243,100.00,,\n"),
            Some(29)
        );
        assert_eq!(of("<not counted>,,syscalls:sys_enter_fdatasync,0,100.00,,\n"), None);
        assert_eq!(of(""), None);
    }
}
