//! `App`: everything a request or a job needs, in one place.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, broadcast};

use crate::clock::Clock;
use crate::config::Config;
use crate::ids::ResourceId;
use crate::provider::http;
use crate::secrets::Secrets;
use crate::store::{self, Store, declared, jobs};

pub struct App {
    /// The configuration in force. `load()` it once for each request.
    pub config: ArcSwap<Config>,
    pub store: Store,
    pub clock: Clock,
    pub secrets: Secrets,
    pub http: Arc<http::Client>,
    /// Wakes the workers: some duty may be due now.
    pub wake: Notify,
    /// Names the rows whose push was settled: whoever waits for one looks at it again.
    pub settled: broadcast::Sender<ResourceId>,
}

impl App {
    /// Opens the store and applies the configuration to it.
    pub async fn open(config: Config, secrets: Secrets, clock: Clock) -> Result<Arc<App>, String> {
        let store = Store::open(&config.storage.url).map_err(|e| e.to_string())?;
        // The pid file lets one server at most work on an SQLite file: whoever held a lease there is dead.
        if store.is_single() {
            store.write(jobs::release_all).await.map_err(|e: store::Error| e.to_string())?;
        }
        let app = App::beside(config.clone(), store, secrets, clock);
        app.apply(config).await?;
        Ok(Arc::new(app))
    }

    /// Works on a database whose configuration was applied before, or is applied by another process: for commands.
    pub fn beside(config: Config, store: Store, secrets: Secrets, clock: Clock) -> App {
        App {
            config: ArcSwap::from_pointee(config),
            store,
            clock,
            secrets,
            http: Arc::new(http::Client::new()),
            wake: Notify::new(),
            settled: broadcast::channel(1024).0,
        }
    }

    /// Puts a (checked) configuration in force, without dropping a connection or a sync token.
    pub async fn apply(&self, config: Config) -> Result<(), String> {
        let now = self.clock.now();
        let copy = config.clone();
        self.store.write(move |tx| declared::apply(tx, &copy, now)).await.map_err(|e| e.to_string())?;
        self.config.store(Arc::new(config));
        self.wake.notify_one();
        Ok(())
    }
}
