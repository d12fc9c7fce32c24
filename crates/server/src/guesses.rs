//! How many wrong tokens an address may send. No token is found by trying; but a client that tries is not to fill the server's log.
//!
//! Right tokens are good all the time, since many clients can have one address. The same wrong token counts once.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong tokens that an address may send at once.
const BURST: u32 = 10;
/// After how long it may send another.
const EACH: Duration = Duration::from_secs(6);
/// Addresses that are remembered.
const ADDRESSES: usize = 4096;
/// Wrong tokens of an address that are remembered.
const SAME: usize = 16;

struct Guesser {
    /// When all its guesses are forgiven.
    even_at: Instant,
    /// Hashes of the wrong tokens that it sent last.
    wrong: Vec<[u8; 32]>,
}

/// Who sent wrong tokens.
#[derive(Default)]
pub struct Guesses(Mutex<HashMap<IpAddr, Guesser>>);

impl Guesses {
    /// Returns how long an address has to wait, if it has sent too many.
    pub fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let guessers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let even_at = guessers.get(&subscriber(address))?.even_at;
        let ahead = even_at.saturating_duration_since(now);
        (ahead + EACH)
            .checked_sub(EACH * BURST)
            .filter(|wait| !wait.is_zero())
    }

    /// Notes that an address sent a wrong token, with this hash. Returns whether that is new.
    pub fn note(&self, address: IpAddr, hash: [u8; 32], now: Instant) -> bool {
        let mut guessers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let address = subscriber(address);
        if guessers.len() >= ADDRESSES && !guessers.contains_key(&address) {
            let oldest = guessers.iter().min_by_key(|(_, guesser)| guesser.even_at);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                guessers.remove(&oldest);
            }
        }
        let guesser = guessers.entry(address).or_insert(Guesser {
            even_at: now,
            wrong: Vec::new(),
        });
        if guesser.wrong.contains(&hash) {
            return false;
        }
        if guesser.wrong.len() >= SAME {
            guesser.wrong.remove(0);
        }
        guesser.wrong.push(hash);
        guesser.even_at = guesser.even_at.max(now) + EACH;
        true
    }
}

/// What one subscriber has: an address, or a network of the newer protocol.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn guess(guesses: &Guesses, from: &str, number: u8, now: Instant) -> bool {
        guesses.note(address(from), [number; 32], now)
    }

    #[test]
    fn an_address_may_guess_so_often_and_another_as_well() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for number in 0..10 {
            assert_eq!(guesses.wait(address("192.0.2.1"), now), None, "{number}");
            assert!(guess(&guesses, "192.0.2.1", number, now));
        }
        assert_eq!(guesses.wait(address("192.0.2.1"), now), Some(EACH));
        assert_eq!(guesses.wait(address("::ffff:192.0.2.1"), now), Some(EACH));
        assert_eq!(guesses.wait(address("192.0.2.2"), now), None);
        // It gets another one after a while, and all of them later.
        let later = now + EACH;
        assert_eq!(guesses.wait(address("192.0.2.1"), later), None);
        assert!(guess(&guesses, "192.0.2.1", 99, later));
        assert_eq!(guesses.wait(address("192.0.2.1"), later), Some(EACH));
    }

    #[test]
    fn the_same_wrong_token_counts_once() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        assert!(guess(&guesses, "192.0.2.1", 1, now));
        for _ in 0..100 {
            assert!(!guess(&guesses, "192.0.2.1", 1, now));
        }
        assert_eq!(guesses.wait(address("192.0.2.1"), now), None);
    }

    #[test]
    fn a_network_counts_as_one_and_memory_is_bounded() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for number in 0..10 {
            guess(&guesses, &format!("2001:db8:0:1::{number}"), number, now);
        }
        assert!(guesses.wait(address("2001:db8:0:1:ffff::1"), now).is_some());
        assert_eq!(guesses.wait(address("2001:db8:0:2::1"), now), None);
        for number in 0..2 * ADDRESSES as u32 {
            let from = IpAddr::from((number + (10 << 24)).to_be_bytes());
            guesses.note(from, [0; 32], now);
        }
        assert_eq!(guesses.0.lock().unwrap().len(), ADDRESSES);
        assert!(
            guesses.wait(address("2001:db8:0:1::1"), now).is_some(),
            "the worst is kept"
        );
    }
}
