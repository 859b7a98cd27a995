//! CalDAV upstreams: the calls.
#![allow(unused_variables)]

use super::{Provider, Settings};

pub fn open(settings: Settings) -> Box<dyn Provider> { todo!() }
