//! A family as fields of a Redis hash: what the rotation script reads stands alone, what it does
//! not is one JSON member.

use std::{collections::VecDeque, time::Duration};

use shared::time::Timestamp;
use store::Reply;

use crate::{
    rules::rotation::{Context, Family},
    store::{
        StoreError,
        record::{decode, encode},
    },
};

/// The fields of a family, as `HSET` takes them.
pub(super) fn write_family(family: &Family) -> Result<Vec<(&'static str, Vec<u8>)>, StoreError> {
    let flag = |on: bool| if on { b"1".to_vec() } else { b"0".to_vec() };
    let number = |number: u64| number.to_string().into_bytes();
    let history: Vec<String> = family
        .rotations
        .iter()
        .map(|(at, context)| format!("{}:{}", at.millis(), context.0))
        .collect();
    Ok(vec![
        ("st", if family.revoked { b"R".to_vec() } else { b"A".to_vec() }),
        ("cl", family.grant.client.as_str().as_bytes().to_vec()),
        ("g", number(family.generation.into())),
        ("n", family.nonce.to_vec()),
        ("ab", number(family.absolute_expiry.millis())),
        ("ie", number(family.idle_expiry.millis())),
        ("id", number(u64::try_from(family.idle.as_millis()).unwrap_or(u64::MAX))),
        ("ro", flag(family.rotates)),
        ("cf", flag(family.confirmed)),
        ("rp", number(family.replays.into())),
        ("ct", number(family.contested.map_or(0, Timestamp::millis))),
        ("cr", number(family.created.millis())),
        ("hi", history.join(",").into_bytes()),
        ("mk", family.mac_key.to_vec()),
        ("gr", encode(&family.grant)?),
    ])
}

/// A family from its fields, in the order above.
pub(super) fn read_family(fields: &[Reply]) -> Result<Family, StoreError> {
    let fields = Fields(fields);
    Ok(Family {
        absolute_expiry: Timestamp::from_millis(fields.number(4)?),
        confirmed: fields.flag(8)?,
        contested: Some(fields.number(10)?).filter(|at| *at > 0).map(Timestamp::from_millis),
        created: Timestamp::from_millis(fields.number(11)?),
        generation: u32::try_from(fields.number(2)?).map_err(|_| corrupt(2))?,
        grant: decode(fields.bytes(14)?)?,
        idle: Duration::from_millis(fields.number(6)?),
        idle_expiry: Timestamp::from_millis(fields.number(5)?),
        mac_key: fields.bytes(13)?.try_into().map_err(|_| corrupt(13))?,
        nonce: fields.bytes(3)?.try_into().map_err(|_| corrupt(3))?,
        replays: u32::try_from(fields.number(9)?).map_err(|_| corrupt(9))?,
        revoked: fields.bytes(0)? != b"A",
        rotates: fields.flag(7)?,
        rotations: fields.history(12)?,
    })
}

struct Fields<'a>(&'a [Reply]);

impl<'a> Fields<'a> {
    fn bytes(&self, at: usize) -> Result<&'a [u8], StoreError> {
        self.0.get(at).and_then(|reply| reply.as_bytes().ok()).ok_or_else(|| corrupt(at))
    }

    fn text(&self, at: usize) -> Result<&'a str, StoreError> {
        std::str::from_utf8(self.bytes(at)?).map_err(|_| corrupt(at))
    }

    fn number(&self, at: usize) -> Result<u64, StoreError> {
        self.text(at)?.parse().map_err(|_| corrupt(at))
    }

    fn flag(&self, at: usize) -> Result<bool, StoreError> {
        Ok(self.bytes(at)? == b"1")
    }

    fn history(&self, at: usize) -> Result<VecDeque<(Timestamp, Context)>, StoreError> {
        let entry = |entry: &str| {
            let (time, context) = entry.split_once(':')?;
            let time = Timestamp::from_millis(time.parse().ok()?);
            Some((time, Context(context.parse().ok()?)))
        };
        let entries = self.text(at)?.split(',').filter(|text| !text.is_empty()).map(entry);
        entries.collect::<Option<_>>().ok_or_else(|| corrupt(at))
    }
}

fn corrupt(field: usize) -> StoreError {
    StoreError::Corrupt(format!("field {field} of a family"))
}
