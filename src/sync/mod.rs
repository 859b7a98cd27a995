//! The engine. Store + provider + plan; no HTTP, no SQL. Read `plan.rs` first.

pub mod jobs;
pub mod plan;
pub mod pull;
pub mod push;
pub mod write;
