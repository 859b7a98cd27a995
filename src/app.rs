//! `App`: everything a request or a job needs, in one place.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Notify, broadcast};

use crate::busy::Asking;
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::ResourceId;
use crate::provider::http;
use crate::secrets::{self, Secrets};
use crate::store::{self, Store, declared, jobs};
use crate::sync::notify;

pub struct App {
    /// The configuration in force. `load()` it once for each request.
    pub config: ArcSwap<Config>,
    pub store: Store,
    pub clock: Clock,
    pub secrets: Secrets,
    pub http: Arc<http::Client>,
    /// The same, for addresses that clients name: it reaches the public internet and nothing else.
    pub public_http: http::Client,
    /// What push messages are made with; `None`: they are switched off.
    pub push: ArcSwapOption<notify::Push>,
    /// Whether the workers are about to be woken for push messages.
    pub stirring: AtomicBool,
    /// Whose leases are ours: the same for every run of this server, and no other's.
    pub node: String,
    /// Who asks just now when others have time.
    pub asking: Asking,
    /// Wakes the workers: some duty may be due now.
    pub wake: Notify,
    /// Names the rows whose push was settled: whoever waits for one looks at it again.
    pub settled: broadcast::Sender<ResourceId>,
}

impl App {
    /// Opens the store and applies the configuration to it.
    pub async fn open(config: Config, secrets: Secrets, clock: Clock) -> Result<Arc<App>, String> {
        let store = Store::open(&config.storage.url).map_err(|e| e.to_string())?;
        let mut app = App::beside(config.clone(), store, secrets, clock);
        app.node = node_of(&config);
        // What an earlier run of this server held, it holds no more: the pid file lets one live at a time.
        let node = app.node.clone();
        app.store.write(move |tx| jobs::release(tx, &node)).await.map_err(|e: store::Error| e.to_string())?;
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
            public_http: http::Client::with(notify::LIMITS, http::Networks::Public),
            push: ArcSwapOption::empty(),
            stirring: AtomicBool::new(false),
            node: format!("command-{}", secrets::new_token()),
            asking: Asking::default(),
            wake: Notify::new(),
            settled: broadcast::channel(1024).0,
        }
    }

    /// Puts a (checked) configuration in force, without dropping a connection or a sync token.
    pub async fn apply(&self, config: Config) -> Result<(), String> {
        let now = self.clock.now();
        let copy = config.clone();
        self.store.write(move |tx| declared::apply(tx, &copy, now)).await.map_err(|e| e.to_string())?;
        let push = config.push.enabled;
        self.config.store(Arc::new(config));
        match push {
            true if self.push.load().is_none() => self.push.store(Some(Arc::new(notify::Push::open(self).await?))),
            true => {}
            false => self.push.store(None),
        }
        self.wake.notify_one();
        Ok(())
    }
}

/// A server is told from others by its host and its pid file.
fn node_of(config: &Config) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name = format!("{host}\n{}", config.server.pid_file.display());
    secrets::hex(&secrets::sha256(name.as_bytes())[..8])
}
