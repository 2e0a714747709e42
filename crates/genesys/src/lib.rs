//! Open Messaging as Genesys Cloud speaks it.
