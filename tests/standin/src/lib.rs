//! Upstreams on loopback, for the tests and the demo: stateful, deterministic, and able to misbehave on demand.
//!
//! Each keeps its state in the upstream's own terms and shares no code with calgate, so that an error in one is not
//! repeated in the other. Only the demo, `bin/demo.rs`, knows calgate.

pub mod caldav;
pub mod calendars;
