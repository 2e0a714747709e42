//! The kinds of connectors that the program knows. A new kind is one line here.

use crate::Kind;
use crate::http::HttpKind;
use crate::websocket::WebSocketKind;

/// All kinds, by the value of `type` in `[integration.connector]`.
pub const KINDS: &[&dyn Kind] = &[&HttpKind, &WebSocketKind];
