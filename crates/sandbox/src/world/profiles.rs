//! Messaging settings and supported content: named profiles, one of which is the organisation's
//! default.
//!
//! An integration names its own, or has the default. Unless a default was chosen, it is the
//! organisation's own, which cannot be changed.

use genesys::integration::IntegrationUpdate;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::org::CREATOR;
use super::{Refusal, World};
use crate::clock::wire_time;
use crate::ids;
use crate::invalid::Invalid;

/// Which kind of profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProfileKind {
    /// Which events are passed on.
    Setting,
    /// Which media are allowed.
    Content,
}

impl ProfileKind {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Setting => "/api/v2/conversations/messaging/settings",
            Self::Content => "/api/v2/conversations/messaging/supportedcontent",
        }
    }

    /// The fields besides the name that a caller can set.
    fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Setting => &["content", "event"],
            Self::Content => &["mediaTypes"],
        }
    }

    /// The id of the organisation's own profile, as in the examples of the reference.
    fn own_id(self) -> &'static str {
        match self {
            Self::Setting => "5e0b1d62-6c7f-4a0e-9f51-1b2c3d4e5f60",
            Self::Content => "openMessagingDefault",
        }
    }
}

/// A messaging setting or supported content, under a name.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    kind: ProfileKind,
    id: String,
    name: String,
    created: Timestamp,
    modified: Timestamp,
    version: u32,
    fields: Map<String, Value>,
}

impl Profile {
    /// The organisation's own profile; `typing` says whether typing is passed on.
    fn own(kind: ProfileKind, typing: bool) -> Self {
        let on = if typing { "Enabled" } else { "Disabled" };
        let fields = match kind {
            ProfileKind::Setting => {
                json!({"content": {}, "event": {"typing": {"on": {"inbound": on, "outbound": on}}}})
            }
            ProfileKind::Content => json!({"mediaTypes": {"allow": {
                "inbound": [{"type": "*/*"}],
                "outbound": [{"type": "image/jpeg"}, {"type": "image/png"}, {"type": "image/gif"}],
            }}}),
        };
        Self {
            kind,
            id: kind.own_id().to_owned(),
            name: "Default".to_owned(),
            created: Timestamp::UNIX_EPOCH,
            modified: Timestamp::UNIX_EPOCH,
            version: 1,
            fields: fields.as_object().cloned().unwrap_or_default(),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Applies the fields that `change` names.
    fn apply(&mut self, change: &Map<String, Value>) {
        if let Some(Value::String(name)) = change.get("name") {
            self.name.clone_from(name);
        }
        for field in self.kind.fields() {
            if let Some(value) = change.get(*field) {
                self.fields.insert((*field).to_owned(), value.clone());
            }
        }
    }

    /// The profile as Genesys shows it.
    pub(crate) fn to_json(&self) -> Value {
        let changer = json!({"id": CREATOR, "selfUri": format!("/api/v2/users/{CREATOR}")});
        let mut answer = self.reference();
        answer["dateCreated"] = wire_time(self.created).into();
        answer["dateModified"] = wire_time(self.modified).into();
        answer["createdBy"] = changer.clone();
        match self.kind {
            ProfileKind::Setting => {
                answer["version"] = self.version.to_string().into();
                answer["updatedBy"] = changer;
            }
            ProfileKind::Content => {
                answer["version"] = self.version.into();
                answer["modifiedBy"] = changer;
            }
        }
        if let Some(answer) = answer.as_object_mut() {
            answer.extend(self.fields.clone());
        }
        answer
    }

    /// The profile as an integration shows it: a setting in full, supported content only with what
    /// it allows.
    pub(super) fn in_integration(&self) -> Value {
        let mut answer = match self.kind {
            ProfileKind::Setting => return self.to_json(),
            ProfileKind::Content => self.reference(),
        };
        answer["mediaTypes"] = self.fields.get("mediaTypes").cloned().unwrap_or_else(|| json!({}));
        answer
    }

    fn reference(&self) -> Value {
        let uri = format!("{}/{}", self.kind.path(), self.id);
        json!({"id": self.id, "name": self.name, "selfUri": uri})
    }

    /// Whether typing is passed on; `inbound` is from the customer. At Genesys it is off if
    /// unspecified.
    pub(crate) fn passes_typing(&self, inbound: bool) -> bool {
        let direction = if inbound { "inbound" } else { "outbound" };
        let setting = self.fields.get("event").map(|event| &event["typing"]["on"][direction]);
        setting.and_then(Value::as_str) == Some("Enabled")
    }

    /// Whether media of this type may pass; `inbound` is from the customer.
    pub(crate) fn allows(&self, mime: &str, inbound: bool) -> bool {
        let direction = if inbound { "inbound" } else { "outbound" };
        let allowed =
            self.fields.get("mediaTypes").and_then(|types| types["allow"][direction].as_array());
        let patterns = allowed.into_iter().flatten().filter_map(|each| each["type"].as_str());
        let mime = mime.split(';').next().unwrap_or_default().trim().to_lowercase();
        patterns.into_iter().any(|pattern| matches(&pattern.to_lowercase(), &mime))
    }

    /// Whether an element of a message may pass; only attachments have a media type.
    pub(super) fn allows_element(&self, element: &Value, inbound: bool) -> bool {
        let Some(attachment) = element.get("attachment") else { return true };
        self.allows(attachment["mime"].as_str().unwrap_or("application/octet-stream"), inbound)
    }
}

fn matches(pattern: &str, mime: &str) -> bool {
    match pattern.strip_suffix("/*") {
        Some("*") => true,
        Some(kind) => mime.split('/').next() == Some(kind),
        None => pattern == mime,
    }
}

/// The profiles of one kind, in the order of creation.
#[derive(Debug, Default)]
pub(crate) struct Profiles {
    all: Vec<Profile>,
    default: Option<String>,
}

impl Profiles {
    fn get(&self, id: &str) -> Option<&Profile> {
        self.all.iter().find(|each| each.id == id)
    }
}

impl World {
    fn profiles(&self, kind: ProfileKind) -> &Profiles {
        match kind {
            ProfileKind::Setting => &self.settings,
            ProfileKind::Content => &self.content,
        }
    }

    fn profiles_mut(&mut self, kind: ProfileKind) -> &mut Profiles {
        match kind {
            ProfileKind::Setting => &mut self.settings,
            ProfileKind::Content => &mut self.content,
        }
    }

    /// The profile with this id, or the default if it is `None`; `typing` is the switch of that
    /// name.
    pub(crate) fn profile(
        &self,
        kind: ProfileKind,
        id: Option<&str>,
        typing: bool,
    ) -> Result<Profile, Refusal> {
        let profiles = self.profiles(kind);
        let Some(id) = id.or(profiles.default.as_deref()) else {
            return Ok(Profile::own(kind, typing));
        };
        if id == kind.own_id() {
            return Ok(Profile::own(kind, typing));
        }
        profiles.get(id).cloned().ok_or(Refusal::NoProfile)
    }

    /// The profile in force for an integration. If it was deleted since, the default applies.
    pub(crate) fn profile_of(&self, kind: ProfileKind, integration: &str, typing: bool) -> Profile {
        let found = self.integrations.get(integration);
        let named = found.and_then(|found| found.named_profile(kind));
        self.profile(kind, named, typing)
            .or_else(|_| self.profile(kind, None, typing))
            .unwrap_or_else(|_| Profile::own(kind, typing))
    }

    /// Checks that the profiles named by a change of an integration exist.
    pub(crate) fn names_profiles(&self, change: &IntegrationUpdate) -> Result<(), Invalid> {
        let named = [
            (ProfileKind::Setting, "messagingSetting.id", &change.messaging_setting),
            (ProfileKind::Content, "supportedContent.id", &change.supported_content),
        ];
        for (kind, field, reference) in named {
            if let Some(id) = reference.as_ref().and_then(|reference| reference.id.as_deref()) {
                let found = self.profile(kind, Some(id), true);
                found.map_err(|_| Invalid::new(field, "reference", "names what is not there"))?;
            }
        }
        Ok(())
    }

    /// Every profile; the organisation's own is the first.
    pub(crate) fn all_profiles(&self, kind: ProfileKind, typing: bool) -> Vec<Profile> {
        std::iter::once(Profile::own(kind, typing))
            .chain(self.profiles(kind).all.iter().cloned())
            .collect()
    }

    pub(crate) fn make_profile(
        &mut self,
        kind: ProfileKind,
        wanted: &Map<String, Value>,
        now: Timestamp,
    ) -> Value {
        let id = ids::uuid(&mut self.rng);
        let (name, fields) = (String::new(), Map::new());
        let mut profile =
            Profile { kind, id, name, created: now, modified: now, version: 1, fields };
        profile.apply(wanted);
        let answer = profile.to_json();
        self.profiles_mut(kind).all.push(profile);
        answer
    }

    pub(crate) fn change_profile(
        &mut self,
        kind: ProfileKind,
        id: &str,
        change: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        if id == kind.own_id() {
            return Err(Refusal::OwnProfile);
        }
        let profile = self
            .profiles_mut(kind)
            .all
            .iter_mut()
            .find(|each| each.id == id)
            .ok_or(Refusal::NoProfile)?;
        profile.apply(change);
        profile.modified = now;
        profile.version += 1;
        Ok(profile.to_json())
    }

    /// Removes a profile. Integrations that named it have the default from now on.
    pub(crate) fn remove_profile(&mut self, kind: ProfileKind, id: &str) -> Result<(), Refusal> {
        if id == kind.own_id() {
            return Err(Refusal::OwnProfile);
        }
        let profiles = self.profiles_mut(kind);
        profiles.get(id).ok_or(Refusal::NoProfile)?;
        profiles.all.retain(|each| each.id != id);
        profiles.default.take_if(|default| default == id);
        Ok(())
    }

    /// Makes a profile the default; `None` means the organisation's own.
    pub(crate) fn set_default_profile(
        &mut self,
        kind: ProfileKind,
        id: Option<&str>,
    ) -> Result<(), Refusal> {
        if let Some(id) = id.filter(|id| *id != kind.own_id()) {
            self.profiles(kind).get(id).ok_or(Refusal::NoProfile)?;
        }
        self.profiles_mut(kind).default = id.map(str::to_owned);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_matched_whole_or_by_their_kind() {
        let content = Profile::own(ProfileKind::Content, true);
        assert!(content.allows("image/png", false) && content.allows("IMAGE/PNG; q=1", false));
        assert!(!content.allows("image/webp", false) && !content.allows("application/pdf", false));
        assert!(content.allows("application/pdf", true) && content.allows("nonsense", true));
        assert!(matches("image/*", "image/webp") && !matches("image/*", "imagery/webp"));
    }

    #[test]
    fn typing_is_off_where_a_setting_does_not_name_it() {
        let mut setting = Profile::own(ProfileKind::Setting, true);
        assert!(setting.passes_typing(true) && setting.passes_typing(false));
        let change = json!({"event": {"typing": {"on": {"outbound": "Disabled"}}}});
        setting.apply(change.as_object().unwrap());
        assert!(!setting.passes_typing(true) && !setting.passes_typing(false));
    }
}
