//! Stored key sets: read back, refused when touched.

use std::time::Duration;

use super::*;
use crate::lifecycle::Urgency;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A set with a key in every state.
fn lived(purpose: Purpose) -> KeySet {
    let dwell = crate::pace::Pace::default().dwell(Duration::from_mins(5));
    let mut set = KeySet::first_of(purpose, purpose.algorithms(), NOW).unwrap();
    let first = set.records()[0].id.clone();
    for _ in 0..3 {
        let standby = set.standby().unwrap().id.clone();
        set = set.activate(&standby, NOW, &dwell, Urgency::Emergency).unwrap();
    }
    set = set.retire(&first, NOW.plus(dwell.retiring), &dwell, Urgency::Orderly).unwrap();
    let active = set.active().unwrap().id.clone();
    set.revoke(&active, NOW, &dwell, Urgency::Emergency).unwrap()
}

#[test]
fn a_set_reads_back_as_it_was() {
    let (kek, text) = KeyEncryptionKey::generate();
    let kek_read = KeyEncryptionKey::parse(&format!(" {text}\r\n")).unwrap();
    for purpose in
        [Purpose::GatewayIdentity, Purpose::Issuer, Purpose::PageSeal, Purpose::RefreshMac]
    {
        let set = lived(purpose);
        let read = KeySet::open(&set.seal(&kek).unwrap(), purpose, &kek_read).unwrap();
        assert_eq!(format!("{read:?}"), format!("{set:?}"));
        assert_eq!(read.jwks(), set.jwks());
        for algorithm in set.algorithms() {
            if algorithm == Algorithm::Secret {
                let sealed = set.secrets().current().seal(b"c", b"plain").unwrap();
                assert_eq!(read.secrets().open(b"c", &sealed).unwrap(), b"plain");
                continue;
            }
            let (before, after) = (set.signing_with(algorithm), read.signing_with(algorithm));
            let signature = after.unwrap().sign(b"m").unwrap();
            assert!(before.unwrap().verifying().verify(b"m", &signature));
        }
    }
}

#[test]
fn private_halves_do_not_stand_in_the_record() {
    let (kek, _) = KeyEncryptionKey::generate();
    let set = KeySet::first(Purpose::Issuer, NOW).unwrap();
    let record = String::from_utf8(set.seal(&kek).unwrap()).unwrap();
    let kept = set.signing().unwrap().kept().to_vec();
    assert!(!record.contains(&URL_SAFE_NO_PAD.encode(kept)));
    assert!(record.contains(set.signing().unwrap().id().as_str()), "states are readable");
}

#[test]
fn another_key_encryption_key_is_named_with_the_remedy() {
    let ((right, _), (wrong, _)) = (KeyEncryptionKey::generate(), KeyEncryptionKey::generate());
    let record = KeySet::first(Purpose::Issuer, NOW).unwrap().seal(&right).unwrap();
    let error = KeySet::open(&record, Purpose::Issuer, &wrong).unwrap_err();
    let message = format!(
        "the key set was sealed under key-encryption key {}, and the one given is {}; \
         give the key-encryption key {}, or the store that belongs to {}",
        right.id(),
        wrong.id(),
        right.id(),
        wrong.id()
    );
    assert_eq!(error.to_string(), message);
}

#[test]
fn a_record_with_any_changed_bit_is_refused() {
    let (kek, _) = KeyEncryptionKey::generate();
    let record = KeySet::first(Purpose::RefreshMac, NOW).unwrap().seal(&kek).unwrap();
    for at in 0..record.len() {
        let mut changed = record.clone();
        changed[at] ^= 1;
        assert!(KeySet::open(&changed, Purpose::RefreshMac, &kek).is_err(), "byte {at}");
    }
    for length in 0..record.len() {
        assert!(KeySet::open(&record[..length], Purpose::RefreshMac, &kek).is_err());
    }
}

#[test]
fn a_changed_version_or_state_is_damage() {
    let (kek, _) = KeyEncryptionKey::generate();
    let record = lived(Purpose::Issuer).seal(&kek).unwrap();
    let record = String::from_utf8(record).unwrap();
    let damaged = KeyError::Damaged("it was changed after it was sealed");
    for (from, to) in
        [(r#""version":6"#, r#""version":7"#), ("revoked\"", "retired\""), ("issuer", "Issuer")]
    {
        assert!(record.contains(from), "{record}");
        let changed = record.replace(from, to);
        let error = KeySet::open(changed.as_bytes(), Purpose::Issuer, &kek).unwrap_err();
        assert_eq!(error, damaged, "{from}");
    }
}

#[test]
fn a_private_half_opens_in_its_own_place_only() {
    let (kek, _) = KeyEncryptionKey::generate();
    let set = KeySet::first(Purpose::Issuer, NOW).unwrap();
    let entry = || Entry::of(&set.records()[0], Purpose::Issuer, &kek).unwrap();
    assert!(entry().open(Purpose::Issuer, &kek).is_ok());
    assert!(entry().open(Purpose::GatewayIdentity, &kek).is_err());
    let moved = Entry { state: KeyState::Pending, ..entry() };
    assert!(moved.open(Purpose::Issuer, &kek).is_err());
    let renamed = Entry { id: set.records()[1].id.clone(), ..entry() };
    assert!(renamed.open(Purpose::Issuer, &kek).is_err());
}

#[test]
fn a_record_of_another_purpose_or_format_is_named() {
    let (kek, _) = KeyEncryptionKey::generate();
    let record = KeySet::first(Purpose::Issuer, NOW).unwrap().seal(&kek).unwrap();
    let error = KeySet::open(&record, Purpose::GatewayIdentity, &kek).unwrap_err();
    assert_eq!(error.to_string(), "the key set is for issuer, not for gateway_identity");
    let newer = String::from_utf8(record).unwrap().replace(r#""format":1"#, r#""format":2"#);
    let error = KeySet::open(newer.as_bytes(), Purpose::Issuer, &kek).unwrap_err();
    assert_eq!(error, KeyError::UnknownFormat(2));
}

#[test]
fn what_is_no_key_encryption_key_is_refused() {
    let (_, text) = KeyEncryptionKey::generate();
    let padded = format!("{text}=");
    for bad in ["", "kek_", "kek_AAAA", &text[4..], &text[..20], &padded] {
        assert_eq!(KeyEncryptionKey::parse(bad).unwrap_err(), KeyError::InvalidKek, "{bad}");
    }
}

#[test]
fn a_printed_key_encryption_key_shows_its_id_only() {
    let (kek, text) = KeyEncryptionKey::generate();
    assert_eq!(format!("{kek:?}"), format!("KeyEncryptionKey({})", kek.id()));
    assert!(!text.contains(kek.id()));
}

#[test]
fn a_set_in_the_place_of_a_lost_one_has_new_keys_and_goes_on_from_its_version() {
    let (lost, _) = KeyEncryptionKey::generate();
    let mut old = KeySet::first(Purpose::Issuer, NOW).unwrap();
    old.version = 41;
    let record = old.seal(&lost).unwrap();
    let new = KeySet::in_place_of(&record, Purpose::Issuer, &[Algorithm::EdDsa], NOW).unwrap();
    assert_eq!((new.version, new.algorithms()), (42, vec![Algorithm::EdDsa]));
    assert!(new.records().iter().all(|key| old.records().iter().all(|other| other.id != key.id)));
    let huge = String::from_utf8(record)
        .unwrap()
        .replace("\"version\":41", &format!("\"version\":{}", u64::MAX));
    let new =
        KeySet::in_place_of(huge.as_bytes(), Purpose::Issuer, &[Algorithm::Es256], NOW).unwrap();
    assert!(new.announce(Algorithm::Es256, NOW).unwrap().version > new.version);
    let new = KeySet::in_place_of(b"nonsense", Purpose::Issuer, &[Algorithm::Es256], NOW).unwrap();
    assert_eq!(new.version, 1);
}
