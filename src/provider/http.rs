//! The one outbound client: limits, timeouts, redirects by hand, redaction.
#![allow(unused_variables)]

/// Makes every request that leaves the house.
pub struct Client {}

impl Client {
    pub fn new() -> Client { todo!() }
}
