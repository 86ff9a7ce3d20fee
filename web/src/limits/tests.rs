//! Budgets as their users see them, and beside the library's own store.

use std::net::IpAddr;

use governor::{
    Quota, RateLimiter, clock::FakeRelativeClock, middleware::StateInformationMiddleware,
    state::keyed::HashMapStateStore,
};
use proptest::prelude::*;

use super::*;

const REGISTER: Budget = Budget { burst: 2, name: "register", per_minute: 1 };

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_spent_budget_says_when_to_come_back() {
    let limits = AddressLimits::new(&[REGISTER], 10);
    let client = address("192.0.2.1");
    limits.check("register", client).unwrap();
    limits.check("register", client).unwrap();
    let limited = limits.check("register", client).unwrap_err();
    assert!((1..=60).contains(&limited.retry_after), "{limited:?}");
    assert_eq!(Problem::from(limited).status(), 429);
    assert_eq!(Problem::from(limited).error(), "temporarily_unavailable");
}

#[test]
fn an_ipv6_client_is_its_network_and_an_ipv4_client_its_address() {
    let limits = AddressLimits::new(&[REGISTER], 10);
    for client in ["2001:db8::1", "2001:db8::2", "192.0.2.1", "::ffff:192.0.2.1"] {
        limits.check("register", address(client)).unwrap();
    }
    assert!(limits.check("register", address("2001:db8::3")).is_err());
    assert!(limits.check("register", address("192.0.2.1")).is_err());
    limits.check("register", address("2001:db8:0:1::1")).unwrap();
    limits.check("register", address("192.0.2.2")).unwrap();
}

#[test]
fn a_budget_nobody_defined_is_spent() {
    let limits = AddressLimits::new(&[REGISTER], 10);
    assert!(limits.check("other", address("192.0.2.1")).is_err());
}

#[test]
fn the_number_of_remembered_keys_is_capped() {
    let limiter = Limiter::new(REGISTER, 3);
    let passed = (0..100).filter(|key| limiter.check(key).is_ok()).count();
    assert_eq!(passed, 3 + 2, "three keys of their own, then one budget for all others");
    assert_eq!(limiter.arrivals.len(), 3);
    limiter.check(&0).unwrap();
}

#[test]
fn what_is_left_is_said_with_every_charge() {
    let limiter = Limiter::new(Budget { burst: 10, name: "calls", per_minute: 60 }, 3);
    let left =
        |limiter: &Limiter<u8>, key| limiter.charge(&key, Instant::now()).unwrap().standing();
    assert_eq!(left(&limiter, 0), Standing { limit: 10, remaining: 9, reset: 1 });
    assert_eq!(left(&limiter, 0), Standing { limit: 10, remaining: 8, reset: 2 });
    let share = |key: &u8, weight| {
        limiter.charge_share(key, weight, Instant::now()).map(|left| left.standing())
    };
    let third = NonZeroU32::new(3).unwrap();
    for remaining in [2, 1, 0] {
        assert_eq!(share(&1, third).unwrap().remaining, remaining);
    }
    assert!(share(&1, third).unwrap_err().retry_after <= 3);
    let all = NonZeroU32::new(99).unwrap();
    assert_eq!(share(&2, all).unwrap().remaining, 0, "never more than all");
}

#[test]
fn a_full_limiter_forgets_whose_budget_is_full_again() {
    let fast = Budget { burst: 2, name: "fast", per_minute: u32::MAX };
    let limiter = Limiter::new(fast, 3);
    for key in 0..6 {
        limiter.check(&key).unwrap();
    }
    assert_eq!(limiter.arrivals.len(), 3);
    *limiter.looked.lock().unwrap() = Instant::now().checked_sub(ROOM).unwrap();
    limiter.check(&6).unwrap();
    assert_eq!(limiter.arrivals.len(), 1);
}

#[test]
fn a_call_heavier_than_the_burst_never_passes() {
    let limiter = Limiter::new(REGISTER, 3);
    assert!(limiter.check_weighted(&0, NonZeroU32::new(3).unwrap()).is_err());
    assert_eq!(limiter.arrivals.len(), 0);
    limiter.check_weighted(&0, NonZeroU32::new(2).unwrap()).unwrap();
    assert!(limiter.check(&0).is_err());
}

/// A key under another name.
#[derive(Hash)]
struct Named<'a>(&'a str);

impl Lookup<String> for Named<'_> {
    fn is(&self, key: &String) -> bool {
        self.0 == key
    }

    fn key(&self) -> String {
        self.0.to_owned()
    }
}

#[test]
fn what_stands_for_a_key_is_charged_to_it() {
    let (limiter, now) = (Limiter::<String>::new(REGISTER, 3), Instant::now());
    limiter.charge(&Named("a"), now).unwrap();
    limiter.charge(&"a".to_owned(), now).unwrap();
    assert!(limiter.charge(&Named("a"), now).is_err());
    limiter.charge(&Named("b"), now).unwrap();
    assert_eq!(limiter.arrivals.len(), 2);
}

#[test]
fn threads_together_pass_no_more_than_the_budget_and_remember_no_more_than_they_may() {
    let budget = Budget { burst: 100, name: "calls", per_minute: 1 };
    let (limiter, now) = (Limiter::<u32>::new(budget, 50), Instant::now());
    limiter.charge(&0, now).unwrap();
    let passed: usize = std::thread::scope(|scope| {
        let run = || (0..100).filter(|_| limiter.charge(&0, now).is_ok()).count();
        let running: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        let others = |from: u32| (from..from + 100).for_each(|key| drop(limiter.charge(&key, now)));
        let filling: Vec<_> = [1, 1000].map(|from| scope.spawn(move || others(from))).into();
        for one in filling {
            one.join().unwrap();
        }
        running.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!((passed, limiter.arrivals.len()), (99, 50));
}

proptest! {
    #[test]
    fn every_history_goes_as_with_the_librarys_own_store(
        (per_minute, burst) in (prop_oneof![1..200_u32, 1000..u32::MAX], 1..20_u32),
        history in prop::collection::vec(
            (0..4_u8, 1..6_u32, prop_oneof![Just(0_u64), 1..2_000_000_u64, 1..30_000_000_000_u64], 0..9_u8),
            1..200,
        ),
    ) {
        let at_least_one = |n| NonZeroU32::new(n).unwrap();
        let budget = Budget { burst, name: "calls", per_minute };
        let limiter = Limiter::<u8>::new(budget, 10);
        let quota = Quota::per_minute(at_least_one(per_minute)).allow_burst(at_least_one(burst));
        let clock = FakeRelativeClock::default();
        let keys = HashMapStateStore::<u8>::default();
        let theirs =
            RateLimiter::<_, _, _, StateInformationMiddleware>::new(quota, keys, clock.clone());
        let mut now = limiter.began;
        for (key, weight, pause, sweep) in history {
            clock.advance(Duration::from_nanos(pause));
            now += Duration::from_nanos(pause);
            if sweep == 0 {
                limiter.forget(now);
                theirs.retain_recent();
                prop_assert_eq!(limiter.arrivals.len(), theirs.len());
            }
            let weight = at_least_one(weight);
            let own = limiter.take(&key, weight, now);
            let own = own.map(|left| left.measured).map_err(|limited| limited.retry_after);
            let their = match theirs.check_key_n(&key, weight) {
                Ok(outcome) => outcome.map_err(|refusal| {
                    whole_seconds(refusal.wait_time_from(governor::clock::Clock::now(&clock)))
                }),
                Err(_) => Err(60),
            };
            prop_assert_eq!(own, their);
        }
    }
}
