//! A JSON object as its members in order, each value with its original bytes: for changing one
//! member and leaving the others as they came.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The members of an object.
#[derive(Debug, Default)]
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, Cow<'a, RawValue>)>);

impl<'a> Members<'a> {
    /// Reads an object.
    pub(crate) fn read(text: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// The value of a member.
    pub(crate) fn find(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_ref())
    }

    /// The members' names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_ref())
    }

    /// Sets a member, in its place or at the end.
    pub(crate) fn set(&mut self, name: &'a str, value: impl Serialize) {
        let Ok(raw) = serde_json::value::to_raw_value(&value) else { return };
        match self.0.iter_mut().find(|(own, _)| own == name) {
            Some((_, held)) => *held = Cow::Owned(raw),
            None => self.0.push((Cow::Borrowed(name), Cow::Owned(raw))),
        }
    }

    /// Sets a member that is not there yet.
    pub(crate) fn set_if_absent(&mut self, name: &'a str, value: impl Serialize) {
        if self.find(name).is_none() {
            self.set(name, value);
        }
    }

    /// Removes a member.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(own, _)| own != name);
    }

    /// The object as text.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A message with its `params` changed; they are made where they are missing.
pub(crate) fn change_params(
    message: &[u8],
    change: impl FnOnce(&mut Members<'_>),
) -> Option<Bytes> {
    let mut envelope = Members::read(message)?;
    let params = envelope.find("params").map(|raw| raw.get().to_owned());
    let mut params = match &params {
        Some(text) => Members::read(text.as_bytes())?,
        None => Members::default(),
    };
    change(&mut params);
    envelope.set("params", &params);
    Some(envelope.to_vec().into())
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Text(name)) = map.next_key()? {
                    let value: &'de RawValue = map.next_value()?;
                    members.push((name, Cow::Borrowed(value)));
                }
                // Of two of one name one would be changed and the other passed on.
                if repeats(&members) {
                    Err(Error::custom("a name stands twice"))
                } else {
                    Ok(Members(members))
                }
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// Whether a name stands twice.
fn repeats<T>(members: &[(Cow<'_, str>, T)]) -> bool {
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| matches!(pair, [one, other] if one == other))
}

/// A name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_keeps_its_bytes_and_its_place() {
        let text = br#"{"a": 1.0e2, "caf\u00e9":[1,  2],"b":30000000000000000000000000001}"#;
        let mut members = Members::read(text).unwrap();
        members.set("b", "x");
        members.set("c", true);
        members.set_if_absent("a", 0);
        let expected = "{\"a\":1.0e2,\"caf\u{e9}\":[1,  2],\"b\":\"x\",\"c\":true}";
        assert_eq!(String::from_utf8(members.to_vec()).unwrap(), expected);
        members.remove("a");
        assert!(members.find("a").is_none());
        assert!(Members::read(b"[]").is_none());
    }

    #[test]
    fn an_object_with_a_name_twice_is_none() {
        for text in [r#"{"a":1,"b":2,"a":3}"#, r#"{"a":1,"\u0061":2}"#] {
            assert!(Members::read(text.as_bytes()).is_none(), "{text}");
        }
    }
}
