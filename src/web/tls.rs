//! TLS: the certificate in force, read anew when the configuration was.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::sign::SingleCertAndKey;
use tokio::sync::Mutex;

use crate::config::{self, Config};

/// What a new connection is met with: TLS by the certificate in force, or none.
pub struct Certificate {
    now: ArcSwap<Loaded>,
    /// Held while the files are read, so that a burst of connections reads them once.
    loading: Mutex<()>,
}

struct Loaded {
    /// The configuration this was made from; a reload puts another in its place.
    from: Arc<Config>,
    tls: Option<Arc<ServerConfig>>,
}

impl Certificate {
    /// The error names the file and what is wrong with it.
    pub fn open(config: &Arc<Config>) -> Result<Certificate, String> {
        let tls = config.server.tls.as_ref().map(read).transpose()?;
        let now = ArcSwap::from_pointee(Loaded { from: Arc::clone(config), tls });
        Ok(Certificate { now, loading: Mutex::new(()) })
    }

    /// For a new connection. Reads the files again if `config` is not the one they were read for. A certificate that
    /// can not be read leaves the old one in force; that is logged, once for each reload.
    pub async fn current(&self, config: &Arc<Config>) -> Option<Arc<ServerConfig>> {
        if let Some(loaded) = self.loaded_for(config) {
            return loaded.tls.clone();
        }
        let _guard = self.loading.lock().await;
        if let Some(loaded) = self.loaded_for(config) {
            return loaded.tls.clone();
        }
        let fresh = match config.server.tls.clone() {
            None => Ok(None),
            Some(files) => tokio::task::spawn_blocking(move || read(&files).map(Some))
                .await
                .unwrap_or_else(|_| Err("reading the certificate failed".to_owned())),
        };
        let tls = fresh.unwrap_or_else(|why| {
            tracing::error!("the certificate was not changed: {why}");
            self.now.load().tls.clone()
        });
        self.now.store(Arc::new(Loaded { from: Arc::clone(config), tls: tls.clone() }));
        tls
    }

    fn loaded_for(&self, config: &Arc<Config>) -> Option<arc_swap::Guard<Arc<Loaded>>> {
        let loaded = self.now.load();
        Arc::ptr_eq(&loaded.from, config).then_some(loaded)
    }
}

/// TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1.
fn read(files: &config::Tls) -> Result<Arc<ServerConfig>, String> {
    let certified = SingleCertAndKey::from(files.read()?);
    let mut tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS can not be used: {e}"))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certified));
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(tls))
}
