//! Where a request stands in a trace, as the headers `traceparent` and `tracestate` say it
//! (W3C Trace Context sections 3.2 and 3.3).

use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The longest `tracestate` that goes on (W3C Trace Context section 3.3.1.5).
const LONGEST_STATE: usize = 512;

/// One place in one trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) is_sampled: bool,
    pub(super) span: [u8; 8],
    pub(super) trace: [u8; 16],
}

impl Context {
    /// What a request's header says; nothing where it says it twice, or in no way that can be read.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(TRACEPARENT).iter();
        let (first, None) = (all.next()?, all.next()) else { return None };
        Self::parse(first.to_str().ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let [version] = bytes::<1>(parts.next()?)?;
        let trace = bytes::<16>(parts.next()?)?;
        let span = bytes::<8>(parts.next()?)?;
        let [flags] = bytes::<1>(parts.next()?)?;
        // Later versions may say more; what is known of them stands first.
        let has_more = parts.next().is_some();
        let is_known = version != 0xff && (version != 0 || !has_more);
        let is_place = trace != [0; 16] && span != [0; 8];
        (is_known && is_place).then_some(Self { is_sampled: flags & 1 == 1, span, trace })
    }

    /// The same as a header.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let mut text = String::with_capacity(55);
        text.push_str("00-");
        self.trace.iter().for_each(|byte| push(&mut text, *byte));
        text.push('-');
        self.span.iter().for_each(|byte| push(&mut text, *byte));
        text.push_str(if self.is_sampled { "-01" } else { "-00" });
        HeaderValue::try_from(text).ok()
    }
}

/// What systems on the way have added, if it may go on.
pub(super) fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let lines: Vec<&[u8]> = headers.get_all(TRACESTATE).iter().map(HeaderValue::as_bytes).collect();
    let whole = lines.join(&b","[..]);
    let is_readable = whole.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let fits = !whole.is_empty() && whole.len() <= LONGEST_STATE && is_readable;
    if fits { HeaderValue::from_bytes(&whole).ok() } else { None }
}

fn push(text: &mut String, byte: u8) {
    for digit in [byte >> 4, byte & 15] {
        text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
    }
}

/// So many bytes in lower-case digits.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = (digit(*high)? << 4) | digit(*low)?;
    }
    Some(bytes)
}

const fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(lines: &[&str]) -> Option<Context> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(TRACEPARENT, line.parse().unwrap());
        }
        Context::read(&headers)
    }

    #[test]
    fn a_place_is_read_and_written_alike() {
        let place = read(&[GOOD]).unwrap();
        assert!(place.is_sampled);
        assert_eq!((place.trace[0], place.span[7]), (0x0a, 0x31));
        assert_eq!(place.header().unwrap(), GOOD);
        let quiet = GOOD.replace("-01", "-00");
        assert_eq!(read(&[&quiet]).unwrap().header().unwrap(), quiet.as_str());
        // Flags and words of later versions change nothing.
        let later = format!("{}-more", GOOD.replacen("00", "cc", 1).replace("-01", "-09"));
        assert_eq!(read(&[&later]), Some(place));
    }

    #[test]
    fn what_is_no_place_is_none() {
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-more"),
            &format!("{GOOD}0"),
            &GOOD.to_uppercase(),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replacen("00", "0", 1),
            &GOOD.replace("b7ad6b7169203331", "0000000000000000"),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &GOOD.replace('b', "g"),
            &GOOD.replace('-', "_"),
        ] {
            assert_eq!(read(&[bad]), None, "{bad}");
        }
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[GOOD, GOOD]), None);
    }

    #[test]
    fn a_state_goes_on_if_it_is_short_and_readable() {
        let mut headers = HeaderMap::new();
        assert_eq!(state(&headers), None);
        headers.append(TRACESTATE, HeaderValue::from_static("a=1"));
        headers.append(TRACESTATE, HeaderValue::from_static("b=2"));
        assert_eq!(state(&headers).unwrap(), "a=1,b=2");
        headers.append(TRACESTATE, HeaderValue::try_from("c".repeat(512)).unwrap());
        assert_eq!(state(&headers), None);
        headers.insert(TRACESTATE, HeaderValue::from_bytes(b"a=\xff").unwrap());
        assert_eq!(state(&headers), None);
    }
}
