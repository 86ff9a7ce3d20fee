//! Feeds a parser with inputs that strangers could send: seeds, kept inputs of
//! `tests/fuzz/corpus/NAME/`, and mutations of both.
//!
//! A target is a unit test beside its parser, so that nothing private is opened for it. It runs
//! `FUZZ_INPUTS` inputs that are always the same, so that what passes once passes everywhere; with
//! `FUZZ_SECONDS` it runs new ones for so long instead.
//! An input with an outcome of a new shape joins those that are mutated: what a sanitizer would
//! see as coverage is read off the parser's own answers, which needs no other compiler.

mod mutate;

use std::{
    collections::HashSet,
    fmt::Debug,
    fs,
    hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    time::{Duration, Instant},
};

use mutate::Mutator;

/// Inputs of a run without a number or a time of its own.
const FIXED: u64 = 2_000;
/// The longest input.
const LONGEST: usize = 16 * 1024;
/// The longest a parser may take over one input, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much of an outcome tells its shape.
const SHAPE: usize = 80;

/// Runs a target: `check` gets an input, asserts what must hold for it, and returns its outcome,
/// which must be the same for the same bytes. An input that fails is kept in `artefacts/fuzz/`.
pub fn run<T: Debug + PartialEq>(name: &str, seeds: &[&[u8]], check: impl Fn(&[u8]) -> T) {
    let seconds = variable("FUZZ_SECONDS");
    let inputs = variable("FUZZ_INPUTS").unwrap_or(FIXED);
    let entropy = seconds.map_or(1, |_| RandomState::new().hash_one(name));
    let target = Target { check, name };
    let mut pool: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
    pool.extend(corpus(name));
    let mut shapes = HashSet::new();
    for input in &pool {
        shapes.insert(target.feed(input));
    }
    let mut mutator = Mutator::new(entropy, &pool);
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut done = 0;
    while end.map_or(done < inputs, |end| Instant::now() < end) {
        let mut input = mutator.next(&pool);
        input.truncate(LONGEST);
        if shapes.insert(target.feed(&input)) {
            pool.push(input);
        }
        done += 1;
    }
}

struct Target<'a, F> {
    check: F,
    name: &'a str,
}

impl<T: Debug + PartialEq, F: Fn(&[u8]) -> T> Target<'_, F> {
    /// The shape of an input's outcome.
    fn feed(&self, input: &[u8]) -> u64 {
        let judged = catch_unwind(AssertUnwindSafe(|| {
            let began = Instant::now();
            let outcome = (self.check)(input);
            let took = began.elapsed();
            assert!(took < PATIENCE, "it took {took:?}");
            assert_eq!(outcome, (self.check)(input), "the same bytes had two outcomes");
            shape(&outcome)
        }));
        judged.unwrap_or_else(|panic| {
            self.keep(input);
            resume_unwind(panic)
        })
    }

    #[expect(clippy::print_stderr, reason = "whoever runs it must find the input")]
    fn keep(&self, input: &[u8]) {
        let folder = root().join("artefacts/fuzz");
        let path = folder.join(format!("{}-{:016x}", self.name, digest(input)));
        let kept = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, input));
        match kept {
            Ok(()) => eprintln!("the input is kept in {}", path.display()),
            Err(error) => eprintln!("the input is not kept ({error}): {}", input.escape_ascii()),
        }
    }
}

/// What an outcome looks like, without its numbers.
fn shape(outcome: &impl Debug) -> u64 {
    let text = format!("{outcome:?}");
    let letters: String = text.chars().filter(|c| !c.is_ascii_digit()).take(SHAPE).collect();
    digest(letters.as_bytes())
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[expect(clippy::disallowed_methods, reason = "how long to run is the caller's to say")]
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut paths: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read(path).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parser_that_fails_is_caught() {
        let fails = |input: &[u8]| assert!(!input.contains(&b'%'), "it cannot read that");
        let caught = catch_unwind(|| run("self-test", &[b"a=1&b=2"], fails));
        assert!(caught.is_err());
    }

    #[test]
    fn a_parser_with_two_minds_is_caught() {
        let calls = std::cell::Cell::new(0);
        let counts = |_: &[u8]| {
            calls.set(calls.get() + 1);
            calls.get()
        };
        assert!(catch_unwind(AssertUnwindSafe(|| run("self-test", &[b"a"], counts))).is_err());
    }

    #[test]
    fn a_deep_answer_is_reached_through_the_shapes_on_the_way() {
        let deepest = std::cell::Cell::new(0);
        let ladder = |input: &[u8]| {
            let height = input.iter().zip(b"(((((((((").take_while(|(a, b)| a == b).count();
            deepest.set(deepest.get().max(height));
            "x".repeat(height)
        };
        run("self-test", &[b"("], ladder);
        assert!(deepest.get() >= 5, "{}", deepest.get());
    }
}
