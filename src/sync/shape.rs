//! The duty that brings calendars to what they are made of (`store/shape.rs`), and takes away what is gone: a short
//! transaction after the other, each calendar in turn, with room between them for all who wait to write.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::{Instant as Moment, sleep};

use super::Trouble;
use crate::app::App;
use crate::store::jobs::Lease;
use crate::store::shape::{self, Step};
use crate::store::{self, Tx};

/// Between two transactions: as long as the one before took, within these bounds. Who waits for the lock of the database in
/// another process asks for it now and then only, and would not find a moment otherwise.
const REST: (Duration, Duration) = (Duration::from_millis(2), Duration::from_secs(2));
/// A calendar whose lock is not to be had so often in a row is left to a later attempt.
const BUSY: u32 = 100;

/// Works until nothing is left.
pub async fn run(app: &App, lease: &Lease) -> Result<(), Trouble> {
    let mut failed = HashSet::new();
    let mut trouble = None;
    let mut busy = 0;
    loop {
        let waiting = app.store.read(shape::waiting).await?;
        let (mut moved, any) = (false, !waiting.is_empty());
        for id in waiting.into_iter().filter(|id| !failed.contains(id)).collect::<Vec<_>>() {
            let begun = Moment::now();
            let (lease, now) = (lease.clone(), app.clock.now());
            let step = app.store.write(move |tx: &mut Tx<'_>| shape::step(tx, &lease, id, now)).await;
            match step {
                Ok(Step::Lost) => return Err(Trouble::new("another worker has taken over")),
                Ok(Step::Waits) => {}
                Ok(Step::More | Step::Done) => (moved, busy) = (true, 0),
                // Something was granted while it waited for its locks: it asks again.
                Err(store::Error::Busy) if busy < BUSY => (moved, busy) = (true, busy + 1),
                // What can not be done of one calendar holds up no other.
                Err(e) => {
                    failed.insert(id);
                    trouble.get_or_insert_with(|| Trouble::from(e));
                }
            }
            sleep(begun.elapsed().clamp(REST.0, REST.1)).await;
        }
        if moved {
            continue;
        }
        return match (trouble, any) {
            (Some(trouble), _) => Err(trouble),
            (None, true) => Err(Trouble::new("what is gone is still shown somewhere")),
            (None, false) => Ok(()),
        };
    }
}
