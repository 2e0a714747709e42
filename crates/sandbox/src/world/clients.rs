//! OAuth clients: their secrets, and what the role of each may do.

use std::collections::BTreeMap;

/// An OAuth client of the client credentials grant.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) secret: String,
    /// The permissions of its role; without a list it may do everything.
    pub(crate) permissions: Option<Vec<String>>,
}

/// Every OAuth client.
#[derive(Debug, Default)]
pub(crate) struct Clients(BTreeMap<String, Client>);

impl Clients {
    /// Creates or changes a client.
    pub(crate) fn set(&mut self, id: &str, client: Client) {
        self.0.insert(id.to_owned(), client);
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Client> {
        self.0.get(id)
    }

    pub(crate) fn remove(&mut self, id: &str) -> bool {
        self.0.remove(id).is_some()
    }

    /// All clients, by id.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &Client)> {
        self.0.iter()
    }

    /// Whether this is the client's secret.
    pub(crate) fn knows(&self, id: &str, secret: &str) -> bool {
        self.get(id).is_some_and(|client| client.secret == secret)
    }

    /// Whether the client's role has one of these permissions.
    pub(crate) fn may(&self, id: &str, needs: &[&str]) -> bool {
        let Some(client) = self.get(id) else { return false };
        let Some(permissions) = &client.permissions else { return true };
        permissions.iter().any(|granted| needs.iter().any(|needed| covers(granted, needed)))
    }
}

/// Whether the text has the form of a permission, such as `messaging:integration:view`, or
/// `messaging:integration:*` for all of a kind.
pub(crate) fn is_permission(text: &str) -> bool {
    let mut parts = text.split(':');
    let named = parts.by_ref().take(3).filter(|part| !part.is_empty()).count();
    named == 3 && parts.next().is_none()
}

fn covers(granted: &str, needed: &str) -> bool {
    let mut needed = needed.split(':');
    granted.split(':').all(|part| needed.next().is_some_and(|wanted| part == "*" || part == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_may_do_what_it_names_and_no_more() {
        let mut clients = Clients::default();
        let role = |permissions: &[&str]| Client {
            secret: "s".to_owned(),
            permissions: Some(permissions.iter().map(|each| (*each).to_owned()).collect()),
        };
        clients.set("one", role(&["messaging:integration:*", "conversation:message:receive"]));
        clients.set("none", role(&[]));
        clients.set("all", Client { permissions: None, ..role(&[]) });
        assert!(clients.may("one", &["messaging:integration:delete"]));
        assert!(clients.may("one", &["nothing:of:that", "conversation:message:receive"]));
        assert!(!clients.may("one", &["messaging:setting:view"]));
        assert!(
            !clients.may("none", &["messaging:setting:view"])
                && clients.may("all", &["messaging:setting:view"])
        );
        assert!(!clients.may("nobody", &["messaging:setting:view"]));
    }

    #[test]
    fn a_permission_has_three_parts() {
        assert!(is_permission("messaging:integration:*") && is_permission("*:*:*"));
        for wrong in ["", "messaging", "messaging:integration", "a:b:", "a:b:c:d"] {
            assert!(!is_permission(wrong), "{wrong}");
        }
    }
}
