//! All other HTTP: the server, every URL, who is asking, feeds, health.

pub mod server;
