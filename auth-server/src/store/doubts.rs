//! Which grants of a person to a client are in doubt, because an old token of them came back: noted
//! apart, so that whoever asks about one client reads nothing of all the others.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::{
    ids::{ClientId, FamilyId, UserId},
    time::Timestamp,
};

use super::{Kind, MOST_SKEW, Store, StoreError, consents::key};
use crate::rules::rotation::OFFERED;

/// How many grants are remembered; the oldest doubt gives way.
const MOST: usize = 32;
/// How exactly the moment is known: a token that comes back all the time is noted no more often.
const STEP: Duration = Duration::from_hours(1);

/// The grants, and when they were last doubted, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Doubts(Vec<(FamilyId, Timestamp)>);

impl Doubts {
    /// With another doubt; nothing if it says nothing new.
    fn with(&self, family: FamilyId, now: Timestamp) -> Option<Self> {
        let is_known = |(held, at): &(FamilyId, Timestamp)| *held == family && now < at.plus(STEP);
        if self.0.iter().any(is_known) {
            return None;
        }
        let others = self.0.iter().filter(|(held, _)| *held != family).copied();
        Some(Self(std::iter::once((family, now)).chain(others).take(MOST).collect()))
    }
}

impl dyn Store + '_ {
    /// Notes that a grant of a person to a client is in doubt.
    pub(crate) async fn note_doubt(
        &self,
        (person, client): (&UserId, &ClientId),
        family: FamilyId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = key(person, client);
        let expires = Some(now.plus(OFFERED + STEP + MOST_SKEW));
        let first = Doubts(vec![(family, now)]);
        let add = |held: &Doubts| held.with(family, now).map(|more| (more, expires));
        if self.update(Kind::Doubt, &key, add).await?.is_none()
            && !self.create(Kind::Doubt, &key, &first, expires).await?
        {
            // Somebody else was faster, with another grant perhaps.
            self.update(Kind::Doubt, &key, add).await?;
        }
        Ok(())
    }

    /// The grants of a person to a client that may be in doubt.
    pub(crate) async fn doubts(
        &self,
        person: &UserId,
        client: &ClientId,
    ) -> Result<Vec<FamilyId>, StoreError> {
        let held: Option<Doubts> = self.read(Kind::Doubt, &key(person, client)).await?;
        Ok(held.unwrap_or_default().0.into_iter().map(|(family, _)| family).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_is_noted_once_an_hour_and_the_oldest_give_way() {
        let (now, family) = (Timestamp::from_secs(1_800_000_000), FamilyId::from_bytes([1; 16]));
        let mut held = Doubts::default().with(family, now).unwrap();
        assert_eq!(held.with(family, now.plus(STEP / 2)), None);
        held = held.with(family, now.plus(STEP)).unwrap();
        assert_eq!(held.0, [(family, now.plus(STEP))]);
        for other in 2..=MOST {
            let other = FamilyId::from_bytes([u8::try_from(other).unwrap(); 16]);
            held = held.with(other, now).unwrap();
        }
        assert_eq!((held.0.len(), held.0.last().unwrap().0), (MOST, family));
        held = held.with(FamilyId::from_bytes([200; 16]), now).unwrap();
        assert!(held.0.len() == MOST && held.0.iter().all(|(one, _)| *one != family));
    }
}
