//! The files that the pages need: style, script and icon, built into the program.

/// A file of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its media type.
    pub kind: &'static str,
    /// Its content.
    pub text: &'static str,
}

const FILES: [(&str, Asset); 3] = [
    (
        "console.css",
        Asset { kind: "text/css; charset=utf-8", text: include_str!("web/console.css") },
    ),
    (
        "console.js",
        Asset { kind: "text/javascript; charset=utf-8", text: include_str!("web/console.js") },
    ),
    ("icon.svg", Asset { kind: "image/svg+xml", text: include_str!("web/icon.svg") }),
];

/// The file of this name, below `/console/`.
pub fn asset(name: &str) -> Option<Asset> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, asset)| *asset)
}
