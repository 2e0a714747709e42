//! Ingress, runtime and egress.
