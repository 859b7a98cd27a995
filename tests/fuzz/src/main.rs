//! `make fuzz T=text`: one target under libFuzzer, for as long as one likes.
#![no_main]
#![allow(dead_code)]

extern crate self as calgate;

#[path = "../../../src/ical/mod.rs"]
pub mod ical;
#[path = "../targets.rs"]
mod targets;

use std::sync::LazyLock;

static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let name = std::env::var("T").unwrap_or_default();
    match targets::TARGETS.iter().find(|(known, _)| *known == name) {
        Some((_, target)) => *target,
        None => panic!("T={name} is none of {:?}", targets::TARGETS.map(|(name, _)| name)),
    }
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
