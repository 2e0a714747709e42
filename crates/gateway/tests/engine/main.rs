//! The engine on an in-memory store and a scripted chat service, in simulated time.

mod backlog;
mod crowded;
mod damage;
mod events;
mod fast_path;
mod late_session;
mod log_lines;
mod no_more_calls;
mod panics;
mod refusals;
mod regained;
mod slow_commits;
mod support;
mod wake_ups;
