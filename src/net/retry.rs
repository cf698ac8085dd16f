//! When a request is made again, and after how long (RFC 9110, 10.2.3, "Retry-After").

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// How often and how patiently a request is made again after a failure that may pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often a request is made in all; at least 1.
    pub tries: u32,
    /// The pause after the first failure; doubled after each further one.
    pub first_pause: Duration,
    /// No own pause is longer.
    pub longest_pause: Duration,
    /// No pause that a server asks for is waited longer.
    pub longest_told: Duration,
    /// Seed of the jitter, for tests; otherwise every run has its own.
    pub seed: Option<u64>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            tries: 8,
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(15),
            longest_told: Duration::from_secs(60),
            seed: None,
        }
    }
}

/// As many tries, and the first pause, where more would be waited for in vain.
const HURRIED: (u32, Duration) = (3, Duration::from_millis(100));

/// The tries of one request.
#[derive(Clone, Debug)]
pub(crate) struct Tries {
    policy: RetryPolicy,
    made: u32,
    /// The jitter: it spreads clients in time and touches no byte of any image.
    random: fastrand::Rng,
}

impl Tries {
    pub(crate) fn new(policy: &RetryPolicy) -> Self {
        let random = policy.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Tries { policy: policy.clone(), made: 0, random }
    }

    /// How many tries have failed.
    pub(crate) fn made(&self) -> u32 {
        self.made
    }

    /// How many tries there are in all.
    pub(crate) fn limit(&self) -> u32 {
        self.policy.tries.max(1)
    }

    /// Nothing listens on this machine: what is about to be started is waited for shortly.
    pub(crate) fn hurry(&mut self) {
        self.policy.tries = self.policy.tries.min(HURRIED.0);
        self.policy.first_pause = self.policy.first_pause.min(HURRIED.1);
    }

    /// Counts a failure. Gives the pause before the next try, or `None` where that was the last.
    pub(crate) fn pause(&mut self, told: Option<Duration>) -> Option<Duration> {
        self.made += 1;
        if self.made >= self.limit() {
            return None;
        }
        let doubled = self.policy.first_pause.saturating_mul(1 << (self.made - 1).min(20));
        let own = doubled.min(self.policy.longest_pause).mul_f64(0.75 + 0.5 * self.random.f64());
        let told = told.unwrap_or_default().min(self.policy.longest_told);
        Some(own.max(told))
    }

    /// Whether to say that there is such a pause: where trying again begins, and where it is longer than usual.
    pub(crate) fn is_worth_telling(&self, pause: Duration) -> bool {
        self.made == 1 || pause > self.policy.longest_pause.mul_f64(1.25)
    }

    /// Starts counting anew: there was progress.
    pub(crate) fn reset(&mut self) {
        self.made = 0;
    }
}

/// Whether a request that was answered with this status may well succeed a little later.
pub(crate) fn is_temporary(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504 | 507 | 520..=527 | 529 | 530 | 598 | 599)
}

/// How long a server asks to be left alone: seconds, or a date, which is read against the server's own clock.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = |text: &str| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok();
    let now = date(headers.get(DATE)?.to_str().ok()?)?;
    let seconds = date(text)?.as_second().checked_sub(now.as_second())?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_with_jitter_and_end() {
        let policy = RetryPolicy { seed: Some(7), ..RetryPolicy::default() };
        let mut tries = Tries::new(&policy);
        let pauses: Vec<f64> = std::iter::from_fn(|| tries.pause(None)).map(|pause| pause.as_secs_f64()).collect();
        assert_eq!(pauses.len(), 7, "8 tries have 7 pauses between them");
        for (pause, middle) in pauses.iter().zip([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8]) {
            assert!((middle * 0.75..=middle * 1.25).contains(pause), "{pause} around {middle}");
        }
        assert_eq!(tries.made(), 8);
        let again: Vec<f64> = {
            let mut tries = Tries::new(&policy);
            std::iter::from_fn(|| tries.pause(None)).map(|pause| pause.as_secs_f64()).collect()
        };
        assert_eq!(pauses, again, "a seed fixes the jitter");
        assert!(Tries::new(&RetryPolicy { tries: 0, ..policy.clone() }).pause(None).is_none());
        let firsts: Vec<f64> = (0..200)
            .map(|seed| {
                Tries::new(&RetryPolicy { seed: Some(seed), ..policy.clone() }).pause(None).unwrap().as_secs_f64()
            })
            .collect();
        assert!(
            firsts.iter().any(|first| *first < 0.17) && firsts.iter().any(|first| *first > 0.23),
            "all of it is used"
        );
    }

    #[test]
    fn progress_begins_the_count_anew() {
        let policy = RetryPolicy { tries: 3, ..RetryPolicy::default() };
        let mut tries = Tries::new(&policy);
        assert_eq!((tries.made(), tries.limit()), (0, 3));
        for _ in 0..5 {
            assert!(tries.pause(None).is_some_and(|pause| pause < Duration::from_millis(300)));
            assert_eq!(tries.made(), 1);
            tries.reset();
        }
        assert_eq!(Tries::new(&RetryPolicy { tries: 0, ..policy }).limit(), 1);
    }

    #[test]
    fn what_may_pass_and_what_will_not() {
        let temporary = |status| is_temporary(StatusCode::from_u16(status).unwrap());
        assert!([408, 425, 429, 500, 502, 503, 504, 507, 520, 524, 529, 530, 598].into_iter().all(temporary));
        assert!(![200, 307, 400, 401, 403, 404, 405, 416, 501, 505].into_iter().any(temporary));
    }

    #[test]
    fn that_it_is_tried_again_is_told_once_and_where_it_takes_long() {
        let mut tries = Tries::new(&RetryPolicy::default());
        let told: Vec<bool> =
            std::iter::from_fn(|| tries.pause(None).map(|pause| tries.is_worth_telling(pause))).collect();
        assert_eq!(told, [true, false, false, false, false, false, false]);
        let mut tries = Tries::new(&RetryPolicy::default());
        let told = [5, 5, 60].map(|told| tries.pause(Some(Duration::from_secs(told))).unwrap());
        assert!(!tries.is_worth_telling(told[1]) && tries.is_worth_telling(told[2]));
        assert!(!tries.is_worth_telling(RetryPolicy::default().longest_pause.mul_f64(1.25)), "as long as usual");
    }

    #[test]
    fn in_a_hurry_there_are_few_short_pauses() {
        let mut tries = Tries::new(&RetryPolicy::default());
        tries.hurry();
        let pauses: Vec<Duration> = std::iter::from_fn(|| tries.pause(None)).collect();
        assert_eq!(pauses.len(), 2);
        assert!(pauses.iter().sum::<Duration>() < Duration::from_millis(400), "{pauses:?}");
        let mut once = Tries::new(&RetryPolicy { tries: 1, ..RetryPolicy::default() });
        once.hurry();
        assert!(once.pause(None).is_none(), "never more than was asked for");
    }

    #[test]
    fn what_the_server_says_is_waited_within_reason() {
        let pause = |told| Tries::new(&RetryPolicy::default()).pause(Some(Duration::from_secs(told))).unwrap();
        assert_eq!(pause(5), Duration::from_secs(5));
        assert_eq!(pause(1_000_000_000), Duration::from_secs(60));
        assert!(pause(0) > Duration::from_millis(100));
    }

    #[test]
    fn retry_after_in_all_its_forms() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (date, text, wanted) in [
            (None, "7", Some(7)),
            (None, " 7 ", Some(7)),
            (None, "99999999999999999999999", Some(u64::MAX)),
            (date, "Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            (date, "Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            (None, "Sun, 06 Nov 1994 08:50:07 GMT", None),
            (date, "soon", None),
            (None, "-1", None),
            (None, "", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }
            assert_eq!(retry_after(&headers), wanted.map(Duration::from_secs), "{text}");
        }
    }
}
