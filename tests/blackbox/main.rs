//! What a user would notice, on the built program.

mod support;

mod crash;
mod the_loop;
