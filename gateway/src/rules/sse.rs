//! An incremental parser of server-sent events (HTML Living Standard section 9.2.6).
//!
//! Bytes go in as they arrive; each event comes out as soon as its last byte is there, with its
//! raw bytes for forwarding. The raw bytes of all events together are the bytes that went in.

use bytes::{Bytes, BytesMut};

/// One event, or one run of lines that carries none, such as a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// The lines of `data`, joined by U+000A; absent where the event has no such line.
    pub(crate) data: Option<Vec<u8>>,
    /// Whether it has an id, so that a stream can be taken up after it.
    pub(crate) has_id: bool,
    /// The bytes as they came, with the line ends.
    pub(crate) raw: Bytes,
}

/// An event that is larger than the parser may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {0} bytes")]
pub(crate) struct EventTooLarge(pub(crate) usize);

/// What has arrived and is not yet an event.
#[derive(Debug)]
pub(crate) struct EventParser {
    /// What stands before the current line.
    before: Before,
    buffer: BytesMut,
    data: Option<Vec<u8>>,
    has_id: bool,
    /// Whether the current event has a line already.
    has_lines: bool,
    limit: usize,
    /// Where the current line begins.
    line: usize,
    /// The bytes of the current line that hold no line end.
    searched: usize,
}

/// What stands before a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// A line whose end has arrived.
    Line,
    /// A line that ended in CR, so that a following LF belongs to it.
    OpenLine,
    /// Nothing, so that a byte order mark may stand here.
    Start,
}

impl EventParser {
    /// A parser that holds at most `limit` bytes of one event.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            before: Before::Start,
            buffer: BytesMut::new(),
            data: None,
            has_id: false,
            has_lines: false,
            limit,
            line: 0,
            searched: 0,
        }
    }

    /// Adds bytes that arrived.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole event, if it has arrived.
    pub(crate) fn next_event(&mut self) -> Result<Option<Event>, EventTooLarge> {
        while let Some(end) = self.line_end() {
            let line = self.buffer.get(self.line..end).unwrap_or_default();
            let line = if self.before == Before::Start { without_mark(line) } else { line };
            let is_blank = line.is_empty();
            // A comment before any field stands alone, so that a keep-alive is passed on at once.
            let is_comment = line.first() == Some(&b':');
            let is_whole = is_blank || (is_comment && !self.has_lines);
            self.has_id |= field(line, b"id").is_some();
            if let Some(value) = field(line, b"data") {
                match &mut self.data {
                    Some(data) => {
                        data.push(b'\n');
                        data.extend_from_slice(value);
                    }
                    None => self.data = Some(value.to_vec()),
                }
            }
            self.has_lines = true;
            self.next_line(end);
            if is_whole {
                return self.emit().map(Some);
            }
        }
        if self.buffer.len() > self.limit { Err(EventTooLarge(self.limit)) } else { Ok(None) }
    }

    /// Where the current line ends, if its end has arrived.
    fn line_end(&mut self) -> Option<usize> {
        if self.before == Before::OpenLine && self.line < self.buffer.len() {
            self.before = Before::Line;
            if self.buffer.get(self.line) == Some(&b'\n') {
                self.line += 1;
                self.searched = self.line;
            }
        }
        let rest = self.buffer.get(self.searched..).unwrap_or_default();
        if let Some(at) = rest.iter().position(|b| matches!(b, b'\n' | b'\r')) {
            return Some(self.searched + at);
        }
        self.searched = self.buffer.len();
        None
    }

    /// Moves behind the line end at `end`.
    fn next_line(&mut self, end: usize) {
        let is_cr = self.buffer.get(end) == Some(&b'\r');
        let follower = self.buffer.get(end + 1);
        let is_open = is_cr && follower.is_none();
        self.before = if is_open { Before::OpenLine } else { Before::Line };
        self.line = if is_cr && follower == Some(&b'\n') { end + 2 } else { end + 1 };
        self.searched = self.line;
    }

    fn emit(&mut self) -> Result<Event, EventTooLarge> {
        let raw = self.buffer.split_to(self.line).freeze();
        self.line = 0;
        self.searched = 0;
        self.has_lines = false;
        let event = Event { data: self.data.take(), has_id: self.has_id, raw };
        self.has_id = false;
        if event.raw.len() > self.limit { Err(EventTooLarge(self.limit)) } else { Ok(event) }
    }
}

fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line)
}

/// The value of a line that is this field's.
fn field<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let rest = line.strip_prefix(name)?;
    match rest.split_first() {
        None => Some(rest),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(chunks: &[&[u8]]) -> Vec<Event> {
        let mut parser = EventParser::new(1000);
        let mut events = Vec::new();
        for chunk in chunks {
            parser.push(chunk);
            while let Some(event) = parser.next_event().unwrap() {
                events.push(event);
            }
        }
        events
    }

    fn data(events: &[Event]) -> Vec<String> {
        let data = events.iter().filter_map(|event| event.data.clone());
        data.map(|data| String::from_utf8(data).unwrap()).collect()
    }

    #[test]
    fn data_is_read_as_the_standard_says() {
        let cases: &[(&str, &[&str])] = &[
            ("data: a\n\n", &["a"]),
            ("data:a\r\n\r\n", &["a"]),
            ("data:  a\r\r", &[" a"]),
            ("data: a\ndata: b\n\n", &["a\nb"]),
            ("data\n\n", &[""]),
            ("data:\n\n", &[""]),
            ("event: message\nid: 7\ndata: {}\nretry: 5\n\n", &["{}"]),
            (": comment\n\ndata: a\n\n", &["a"]),
            ("data: a\n: comment\ndata: b\n\n", &["a\nb"]),
            ("database: a\n\n", &[]),
            ("\u{FEFF}data: a\n\n\u{FEFF}data: b\n\n", &["a"]),
            ("data: a\r\n\rdata: b\n\r\n", &["a", "b"]),
            ("data: a\n", &[]),
            ("\n\n\ndata: a\n\n", &["a"]),
        ];
        for (stream, expected) in cases {
            assert_eq!(data(&parse(&[stream.as_bytes()])), *expected, "{stream:?}");
        }
    }

    #[test]
    fn an_event_leaves_with_its_last_byte() {
        let mut parser = EventParser::new(100);
        parser.push(b"data: a\r\n\r");
        assert_eq!(parser.next_event().unwrap().unwrap().raw, "data: a\r\n\r");
        parser.push(b"\n");
        assert_eq!(parser.next_event(), Ok(None));
        parser.push(b"data: b\n\n");
        let event = parser.next_event().unwrap().unwrap();
        assert_eq!((event.raw.as_ref(), event.data), (&b"\ndata: b\n\n"[..], Some(b"b".to_vec())));
        assert!(!event.has_id);
        parser.push(b"id: 7\ndata\n\n");
        assert!(parser.next_event().unwrap().unwrap().has_id);
    }

    #[test]
    fn a_comment_before_an_event_is_passed_on_at_once() {
        let mut parser = EventParser::new(100);
        parser.push(b": alive\ndata: a");
        assert_eq!(parser.next_event().unwrap().unwrap().raw, ": alive\n");
        assert_eq!(parser.next_event(), Ok(None));
    }

    #[test]
    fn an_event_without_end_is_refused_at_the_limit() {
        let mut parser = EventParser::new(10);
        parser.push(b"data: 123\n\n");
        assert_eq!(parser.next_event(), Err(EventTooLarge(10)));
        let mut parser = EventParser::new(10);
        parser.push(b"data: 1\n\ndata: 12345");
        assert_eq!(data(&[parser.next_event().unwrap().unwrap()]), ["1"]);
        assert_eq!(parser.next_event(), Err(EventTooLarge(10)));
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_events(
            stream in prop::collection::vec(
                prop::sample::select(vec![
                    "data", ":", " ", "x", "\n", "\r", "\r\n", "\n\n", "\r\n\r\n", "id: 1", "\u{FEFF}",
                ]),
                0..40,
            ),
            cuts in prop::collection::vec(0_usize..80, 0..12),
        ) {
            let stream = stream.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            let whole = parse(&[&stream]);
            for events in [parse(&chunks), parse(&bytes)] {
                prop_assert_eq!(data(&events), data(&whole));
                // A cut between CR and LF moves the LF to the next event and nothing else.
                let raw = |events: &[Event]| events.iter().flat_map(|e| e.raw.to_vec()).collect::<Vec<_>>();
                let (one, other) = (raw(&events), raw(&whole));
                prop_assert!(stream.starts_with(&one) && stream.starts_with(&other));
                prop_assert!(one.len().abs_diff(other.len()) <= 1);
            }
        }
    }
}
