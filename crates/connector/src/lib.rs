//! The trait of a chat service, and each connector.
