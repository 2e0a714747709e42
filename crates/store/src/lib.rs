//! Inbox, journal and projections: what survives.
