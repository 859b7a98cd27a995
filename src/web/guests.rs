//! How many connections one address may hold on which nobody has logged in: so that one neighbour can not take all the
//! places there are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::throttle::Block;

#[derive(Default)]
pub struct Guests(Mutex<HashMap<Block, usize>>);

impl Guests {
    /// `None`: that address has `most` already.
    pub fn enter(self: &Arc<Guests>, block: Block, most: usize) -> Option<Seat> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(block).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Seat { guests: Arc::clone(self), block })
    }
}

/// Counts until it is dropped: when somebody logs in, or the connection ends.
pub struct Seat {
    guests: Arc<Guests>,
    block: Block,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.guests.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.block) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_seats_and_gives_them_back() {
        let guests = Arc::new(Guests::default());
        let block = |text: &str| Block::of(text.parse().unwrap());
        let one = guests.enter(block("2001:db8::1"), 2).expect("a seat");
        let two = guests.enter(block("2001:db8::2"), 2).expect("a seat");
        assert!(guests.enter(block("2001:db8::3"), 2).is_none(), "they are of one /64");
        assert!(guests.enter(block("2001:db8:0:1::1"), 2).is_some());
        drop(one);
        let three = guests.enter(block("2001:db8::3"), 2);
        assert!(three.is_some());
        drop((two, three));
        assert!(guests.0.lock().unwrap().is_empty(), "nothing is remembered of who is gone");
    }
}
