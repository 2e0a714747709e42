//! A second cluster that follows a first.

use std::path::PathBuf;

use crate::postgres_cluster::{Cluster, succeeds};

impl Cluster {
    /// A cluster that follows this one, with these variables in its server's environment.
    pub(crate) fn standby(&self, variables: Vec<(&'static str, PathBuf)>) -> Self {
        let mut standby = Self::empty();
        standby.variables = variables;
        let from = ["-h", "127.0.0.1", "-U", "tidegate", "-p", &self.port().to_string()];
        let mut copy = standby.command("pg_basebackup");
        succeeds(
            copy.args(from)
                .args(["-R", "-X", "stream", "--checkpoint=fast", "-D"])
                .arg(standby.data()),
        );
        standby.run();
        standby
    }
}
