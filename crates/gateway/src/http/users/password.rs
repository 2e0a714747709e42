//! Checks passwords against the hashes of the configuration.

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use genesys::Secret;

/// A hash of no user. A check against it takes as long as one for a user, so that the time does not
/// tell which names exist.
const NO_ONES: &str = "$argon2id$v=19$m=19456,t=2,p=1$K/xjdD+I/bhlp0YnYEOuXQ$\
                       Xin3J2MtAxvVChAsSNsqDOeqV6kH3nyYvn5I4Wuku90";

/// Whether this is the password of the hash. Takes tens of milliseconds and 19 MiB by design.
pub(super) fn is_right(password: &[u8], hash: Option<&Secret>) -> bool {
    let text = hash.map_or(NO_ONES, Secret::expose);
    let parsed = PasswordHash::new(text).ok();
    let Some(parsed) = parsed else { return false };
    let equal = Argon2::default().verify_password(password, &parsed).is_ok();
    equal && hash.is_some()
}

/// Whether the configuration's text is the hash of a password.
pub(super) fn is_readable(hash: &Secret) -> bool {
    PasswordHash::new(hash.expose()).is_ok()
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordHasher;

    use super::*;

    /// Made by Python's `argon2-cffi`: `PasswordHasher(2, 4096, 1).hash("open sesame")`.
    const HASH: &str = "$argon2id$v=19$m=4096,t=2,p=1$1GZH1eJNWh7taYqYDLskmA$\
                        LaC9Y15zKPN+Kwe6FMj6f3gVk1IbjpeDWbi1bY8aO+w";

    #[test]
    fn only_the_right_password_is_right() {
        let hash = Secret::new(HASH);
        assert!(is_right(b"open sesame", Some(&hash)));
        assert!(!is_right(b"open sesam", Some(&hash)));
        assert!(!is_right(b"", Some(&hash)));
        assert!(!is_right(b"open sesame", None), "no user has this name");
        assert!(!is_right(b"open sesame", Some(&Secret::new("$argon2id$v=19$"))));
    }

    #[test]
    fn a_check_without_a_user_takes_as_long() {
        let parameters = |hash: &str| {
            let hash = PasswordHash::new(hash).expect("a hash");
            (hash.algorithm.to_string(), hash.version, hash.params.to_string())
        };
        let made: PasswordHash =
            Argon2::default().hash_password_with_salt(b"x", b"some salt").expect("a hash");
        assert_eq!(parameters(NO_ONES), parameters(&made.to_string()), "as hash-password makes it");
    }
}
