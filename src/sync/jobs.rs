//! The worker loop and the list of duties.
#![allow(unused_variables)]

use std::sync::Arc;

use crate::app::App;

/// Runs the workers until `stop` is told; returns when the job in hand is done.
pub async fn run(app: Arc<App>, stop: tokio::sync::watch::Receiver<bool>) { todo!() }
