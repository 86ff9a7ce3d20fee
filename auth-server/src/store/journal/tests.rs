//! How far back a log of revocations reaches, and what it keeps.

use std::fs;

use shared::ids::FamilyId;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const HOUR: Duration = Duration::from_hours(1);
const FEED: Option<Duration> = Some(Duration::from_hours(2));

fn family(byte: u8) -> Event {
    Event::Family { family: FamilyId::from_bytes([byte; 16]) }
}

fn events(journal: &Journal, from: Timestamp, now: Timestamp) -> Vec<Event> {
    let event = |entry: Entry| match entry.what {
        Logged::Event(event) => Some(event),
        Logged::Standing(_) => None,
    };
    journal.entries(from, now).unwrap().into_iter().filter_map(event).collect()
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart_for_as_long_as_back_ups_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path, NOW).unwrap();
    journal.write(vec![family(1), family(1), family(2)], NOW).await.unwrap();
    let later = NOW.plus(HOUR);
    journal.write(vec![family(2), family(3)], later).await.unwrap();
    let again = Journal::open(&path, later).unwrap();
    assert_eq!(events(&again, NOW, later), [family(1), family(2), family(3)]);
    assert_eq!(events(&again, later, later), [family(3)]);
    let next_week = NOW.plus(HOUR * 24 * 7);
    let again = Journal::open(&path, next_week).unwrap();
    assert_eq!(events(&again, next_week.minus(HOUR), next_week), []);
    assert_eq!(events(&again, NOW, next_week), [family(1), family(2), family(3)]);
    let much_later = NOW.plus(HOUR * 24 * 35);
    let again = Journal::open(&path, much_later).unwrap();
    assert_eq!(events(&again, NOW, much_later), [family(3)]);
    assert!(!again.reaches(NOW.minus(HOUR), much_later, None).unwrap());
}

#[tokio::test]
async fn a_line_that_a_crash_cut_off_is_dropped_and_a_wrong_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    Journal::open(&path, NOW).unwrap().write(vec![family(1)], NOW).await.unwrap();
    let mut text = fs::read(&path).unwrap();
    text.extend(b"{\"at\":18");
    fs::write(&path, &text).unwrap();
    let journal = Journal::open(&path, NOW).unwrap();
    journal.write(vec![family(2)], NOW).await.unwrap();
    let again = Journal::open(&path, NOW).unwrap();
    assert_eq!(events(&again, NOW, NOW), [family(1), family(2)]);
    fs::write(&path, b"nonsense\n").unwrap();
    assert!(matches!(Journal::open(&path, NOW), Err(StoreError::Journal(_))));
}

#[test]
fn a_log_reaches_back_to_its_beginning_and_over_no_gap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path, NOW).unwrap();
    let later = NOW.plus(HOUR * 24);
    journal.beat(later).unwrap();
    drop(journal);
    let journal = Journal::open(&path, later.plus(HOUR)).unwrap();
    // A day-old copy of the store, and one that is older than the log.
    assert!(journal.reaches(NOW.plus(HOUR), later, None).unwrap());
    assert!(!journal.reaches(NOW.minus(HOUR), later, None).unwrap());
    journal.accept(NOW.minus(HOUR)).unwrap();
    let journal = Journal::open(&path, later).unwrap();
    assert!(journal.reaches(NOW.minus(HOUR), later, None).unwrap());
}

#[tokio::test]
async fn a_log_of_one_of_several_processes_goes_on_from_the_feed_of_a_store_that_lived_on() {
    let folder = tempfile::tempdir().unwrap();
    let (new, old) = (folder.path().join("new"), folder.path().join("old"));
    let week = NOW.plus(HOUR * 24 * 7);
    // A new process beside others.
    let journal = Journal::open(&new, week).unwrap();
    assert!(journal.reaches(week.minus(HOUR), week, FEED).unwrap());
    // A new folder, and a store nobody has used for long: it may be an old copy.
    let other = folder.path().join("other");
    for _ in 0..2 {
        let refused = Journal::open(&other, week).unwrap();
        assert!(!refused.reaches(NOW, week, FEED).unwrap(), "a second start is no proof");
        assert!(!refused.reaches(NOW, week, None).unwrap());
    }
    // A deployment that was stopped for longer than the log is kept has lost nothing.
    let year = NOW.plus(HOUR * 24 * 365);
    let stopped = folder.path().join("stopped");
    let journal = Journal::open(&stopped, NOW).unwrap();
    journal.write(vec![family(9)], NOW).await.unwrap();
    journal.beat(NOW.plus(HOUR)).unwrap();
    assert!(Journal::open(&stopped, year).unwrap().reaches(NOW.plus(HOUR), year, FEED).unwrap());
    // One that was away while others used a store that nobody uses now: it may be an old copy.
    let away = folder.path().join("away");
    let journal = Journal::open(&away, NOW).unwrap();
    journal.beat(NOW.plus(HOUR)).unwrap();
    assert!(!journal.reaches(week, week.plus(HOUR * 3), FEED).unwrap());
    // One that was away for a week, while others used the store.
    let journal = Journal::open(&old, NOW).unwrap();
    journal.beat(NOW.plus(HOUR)).unwrap();
    let journal = Journal::open(&old, week).unwrap();
    assert!(journal.reaches(week.minus(HOUR), week, FEED).unwrap());
    assert!(!journal.reaches(NOW.plus(HOUR), week, FEED).unwrap(), "others may have revoked since");
}

#[tokio::test]
async fn logs_are_merged_into_one_that_reaches_as_far_back_as_either() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    Journal::open(&one, NOW).unwrap().write(vec![family(1), family(2)], NOW).await.unwrap();
    let later = NOW.plus(HOUR);
    let journal = Journal::open(&two, later).unwrap();
    journal.write(vec![family(2), family(3)], later).await.unwrap();
    assert_eq!(journal.merge(&one, later).unwrap(), 1);
    assert!(journal.reaches(NOW, later, None).unwrap());
    let journal = Journal::open(&two, later).unwrap();
    assert_eq!(events(&journal, NOW, later), [family(1), family(2), family(3)]);
    assert!(matches!(journal.merge(Path::new("/nowhere"), later), Err(StoreError::Journal(_))));
}

#[tokio::test]
async fn what_a_process_revokes_itself_proves_nothing_of_what_others_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path, NOW).unwrap();
    journal.beat(NOW).unwrap();
    // Cut off from the store for a day, with revocations of its own that wait.
    let next_day = NOW.plus(HOUR * 24);
    journal.write(vec![family(1)], next_day).await.unwrap();
    let standing = Standing::ClientGone { client: shared::ids::ClientId::parse("gone").unwrap() };
    journal.note(standing, next_day).await.unwrap();
    drop(journal);
    let journal = Journal::open(&path, next_day).unwrap();
    assert!(!journal.is_followed(next_day, HOUR * 2));
    assert!(journal.reaches(next_day, next_day, FEED).unwrap(), "the feed has the last two hours");
    let journal = Journal::open(&path, next_day).unwrap();
    let half = NOW.plus(HOUR * 12);
    assert!(!journal.reaches(half, next_day, FEED).unwrap(), "others revoked in the gap");
    assert!(!journal.reaches(half, next_day, None).unwrap());
}

#[tokio::test]
async fn a_log_keeps_its_name_and_those_of_the_logs_it_took_up() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let (first, second) = (Journal::open(&one, NOW).unwrap(), Journal::open(&two, NOW).unwrap());
    let (its, other) = (first.id(), second.id());
    assert_ne!(its, other);
    first.merge(&two, NOW).unwrap();
    first.note_mark(NOW).unwrap();
    first.write(vec![family(1)], NOW).await.unwrap();
    let again = Journal::open(&one, NOW).unwrap();
    assert_eq!((again.id(), again.marked()), (its.clone(), NOW));
    assert!(again.holds(&its) && again.holds(&other) && !again.holds("another"));
}
