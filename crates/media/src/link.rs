//! Links of the gateway's own: signed, and valid for a limited time.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use url::Url;

use crate::key::Key;

/// The first segment of a link's path.
const PATH: &str = "media";

/// How many bytes the secret has.
pub(crate) const SECRET: usize = 32;

/// Why a link opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLink {
    /// It is not one of ours, or part of it is missing.
    #[error("there is no such file: the link is not complete, or it was changed")]
    Unsigned,
    /// Its time is over.
    #[error("the link has expired")]
    Expired,
}

/// Signs links, and checks them.
#[derive(Clone)]
pub(crate) struct Signer {
    secret: [u8; SECRET],
}

impl Signer {
    pub(crate) fn new(secret: [u8; SECRET]) -> Self {
        Self { secret }
    }

    /// A link to a file, which works for `life`. The name at its end is for programs that take a
    /// file's name from its URL; nothing depends on it.
    pub(crate) fn link(
        &self,
        base: &Url,
        key: &Key,
        name: &str,
        now: Timestamp,
        life: Duration,
    ) -> Url {
        let expires = now.as_second().saturating_add_unsigned(life.as_secs());
        let mut url = base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(PATH).extend(key.as_str().split('/')).push(name);
        }
        let signature = URL_SAFE_NO_PAD.encode(self.mac(key, expires).finalize().into_bytes());
        url.query_pairs_mut()
            .append_pair("expires", &expires.to_string())
            .append_pair("signature", &signature);
        url
    }

    /// Checks a link's parts, in constant time. A link that is not ours is never called expired.
    pub(crate) fn check(
        &self,
        key: &Key,
        expires: i64,
        signature: &str,
        now: Timestamp,
    ) -> Result<(), BadLink> {
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| BadLink::Unsigned)?;
        self.mac(key, expires).verify_slice(&signature).map_err(|_| BadLink::Unsigned)?;
        if now.as_second() < expires { Ok(()) } else { Err(BadLink::Expired) }
    }

    fn mac(&self, key: &Key, expires: i64) -> Hmac<Sha256> {
        // HMAC takes keys of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("a key of any length");
        mac.update(b"tidegate media link 1\n");
        mac.update(key.as_str().as_bytes());
        mac.update(b"\n");
        mac.update(&expires.to_be_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_hours(1);

    fn opened(signer: &Signer, link: &Url, now: Timestamp) -> Result<(), BadLink> {
        let path = link.path().strip_prefix("/gate/media/").unwrap();
        let key = Key::parse(path.rsplit_once('/').unwrap().0).unwrap();
        let value = |name: &str| {
            let found = link.query_pairs().find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        signer.check(&key, value("expires").parse().unwrap(), &value("signature"), now)
    }

    #[test]
    fn a_link_opens_its_file_until_it_expires() {
        let signer = Signer::new([7; SECRET]);
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let key = Key::parse("2026-11-20/acme/c01/out-9f0c-0").unwrap();
        let base: Url = "https://gateway.example.com/gate/".parse().unwrap();
        let link = signer.link(&base, &key, "a picture?.png", now, LIFE);
        let start = "https://gateway.example.com/gate/media/2026-11-20/acme/c01/out-9f0c-0/\
            a%20picture%3F.png?expires=1795172400&signature=";
        assert!(link.as_str().starts_with(start), "{link}");
        assert_eq!(opened(&signer, &link, now), Ok(()));
        let almost = now + LIFE - Duration::from_secs(1);
        assert_eq!(opened(&signer, &link, almost), Ok(()));
        assert_eq!(opened(&signer, &link, now + LIFE), Err(BadLink::Expired));
        for (from, to) in [
            ("out-9f0c-0", "out-9f0c-1"),
            ("2026-11-20", "2026-11-21"),
            ("expires=1795172400", "expires=1795172401"),
            ("signature=", "signature=A"),
        ] {
            let changed: Url = link.as_str().replacen(from, to, 1).parse().unwrap();
            assert_eq!(opened(&signer, &changed, now), Err(BadLink::Unsigned), "{to}");
        }
        let other = Signer::new([8; SECRET]);
        assert_eq!(opened(&other, &link, now + 2 * LIFE), Err(BadLink::Unsigned));
    }
}
