//! What a user would notice, on the built program.

mod support;

mod crash;
mod ingress;
mod the_loop;
