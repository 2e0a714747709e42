//! The clock that tells a node how long it may rely on its leases. It continues while the machine
//! sleeps, if the system can tell (see [`Machine::uptime`]). It must, because another node takes an
//! unchanged lease even if its holder only sleeps.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use crate::Machine;

#[derive(Debug, Default)]
pub(crate) struct LeaseClock(OnceLock<Base>);

/// One moment by two clocks: the runtime's, which stops while the machine sleeps, and the
/// machine's, which does not.
#[derive(Debug)]
struct Base {
    machine: Arc<dyn Machine>,
    at: Instant,
    uptime: SignedDuration,
}

impl LeaseClock {
    /// From now on, the time counts during which this machine sleeps. Later calls have no effect.
    pub(crate) fn go_by(&self, machine: Arc<dyn Machine>) {
        self.0.get_or_init(|| Base { at: Instant::now(), uptime: machine.uptime(), machine });
    }

    /// The runtime's time plus the time for which the machine slept. It never goes back.
    pub(crate) fn now(&self) -> Instant {
        let now = Instant::now();
        let by_machine = self.0.get().map(|Base { machine, at, uptime }| {
            let passed = Duration::try_from(machine.uptime().saturating_sub(*uptime));
            *at + passed.unwrap_or_default()
        });
        by_machine.map_or(now, |by_machine| now.max(by_machine))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Mutex;

    use jiff::Timestamp;

    use super::*;

    /// A machine that a test puts to sleep. Otherwise it runs with the test's runtime.
    #[derive(Debug)]
    pub(crate) struct Laptop {
        started: Instant,
        slept: Mutex<Duration>,
    }

    impl Laptop {
        pub(crate) fn new() -> Arc<Self> {
            Arc::new(Self { started: Instant::now(), slept: Mutex::default() })
        }

        pub(crate) fn sleeps(&self, long: Duration) {
            *self.slept.lock().expect("no test panicked") += long;
        }
    }

    impl Machine for Laptop {
        fn wall(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }

        fn uptime(&self) -> SignedDuration {
            let up = self.started.elapsed() + *self.slept.lock().expect("no test panicked");
            SignedDuration::try_from(up).expect("in range")
        }

        fn boot(&self) -> Option<String> {
            None
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_counts_the_time_in_which_the_machine_sleeps() {
        let (clock, laptop) = (LeaseClock::default(), Laptop::new());
        let begun = clock.now();
        tokio::time::advance(Duration::from_secs(2)).await;
        clock.go_by(Arc::<Laptop>::clone(&laptop));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(clock.now() - begun, Duration::from_secs(5));
        laptop.sleeps(Duration::from_mins(1));
        assert_eq!(clock.now() - begun, Duration::from_secs(65));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(clock.now() - begun, Duration::from_secs(66));
    }
}
