//! hyper: accept, limits, timeouts, shutdown, request ids.
#![allow(unused_variables)]

use std::sync::Arc;

use crate::app::App;

/// Listens and serves until `stop` is told; then finishes what is being answered and returns.
/// `ready` hears the address that is listened on.
pub async fn run(
    app: Arc<App>,
    stop: tokio::sync::watch::Receiver<bool>,
    ready: tokio::sync::oneshot::Sender<std::net::SocketAddr>,
) -> Result<(), String> { todo!() }
