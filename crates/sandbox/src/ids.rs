//! The ids that Genesys makes: 32 hex digits for messages, UUIDs for everything else.

use fastrand::Rng;

/// A message's id: 32 lower-case hex digits.
pub(crate) fn message_id(rng: &mut Rng) -> String {
    format!("{:032x}", rng.u128(..))
}

/// An access token: 64 random characters.
pub(crate) fn token(rng: &mut Rng) -> String {
    format!("{:032x}{:032x}", rng.u128(..), rng.u128(..))
}

/// A UUID of version 4.
pub(crate) fn uuid(rng: &mut Rng) -> String {
    let hex = format!("{:032x}", rng.u128(..));
    let variant = ['8', '9', 'a', 'b'][rng.usize(..4)];
    format!(
        "{}-{}-4{}-{variant}{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_shapes() {
        let mut rng = Rng::with_seed(1);
        assert_eq!(message_id(&mut rng).len(), 32);
        let id = uuid(&mut rng);
        assert_eq!(id.len(), 36);
        assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    }
}
