//! The engine on an in-memory store and a scripted chat service, in simulated time.

mod fast_path;
mod late_session;
mod no_more_calls;
mod refusals;
mod regained;
mod slow_commits;
mod support;
mod wake_ups;
