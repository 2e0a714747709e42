//! Genesys Cloud on your own machine.
