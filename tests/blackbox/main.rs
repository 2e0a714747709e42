//! What a user would notice, on the built program.

mod support;

mod the_loop;
