//! Queries to a server through `psql`.

use crate::postgres_cluster::Cluster;

impl Cluster {
    /// The server's answer to this SQL, through `psql`.
    pub(crate) fn ask(&self, sql: &str) -> String {
        let mut psql = self.command("psql");
        let port = self.port().to_string();
        psql.args([
            "-h",
            "127.0.0.1",
            "-U",
            "tidegate",
            "-p",
            &port,
            "-d",
            "postgres",
            "-Atc",
            sql,
        ]);
        let done = psql.output().expect("psql runs");
        assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }
}
