//! `calgate serve`: runs the gateway until SIGTERM or SIGINT; SIGHUP applies a changed configuration.

use std::path::Path;
use std::sync::Arc;

use calgate::app::App;
use calgate::clock::Clock;
use calgate::config::{self, Config};
use calgate::store::{accounts, calendars, users};
use calgate::web;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

use super::{Done, Failure, Here, count, log, pid, terminal};

pub async fn run(file: &Path) -> Done {
    let config = config::load(file)?;
    let log = log::start(&config)?;
    // Before the pid file tells others whom to signal. What comes from here on is heard below.
    let mut signals = Signals::listen()?;
    let mut held = pid::hold(&config.server.pid_file)?;

    let secrets = Here::open(file)?.secrets().await?;
    let app = App::open(config, secrets, Clock::system()).await.map_err(|why| Failure::new(why, ""))?;
    warn_of_plain_http(&app.config.load());

    let (stop, stopped) = watch::channel(false);
    let (ready, listening) = oneshot::channel();
    let mut jobs = tokio::spawn(calgate::sync::jobs::run(app.clone(), stopped.clone()));
    let mut server = tokio::spawn(web::server::run(app.clone(), stopped, ready));
    if let Ok(address) = listening.await {
        // On standard output, whatever the log level is: this is the answer to the command.
        let summary = summary(&app).await?;
        terminal::say(format!(
            "calgate {} listens on {address}, for {}: {summary}",
            env!("CARGO_PKG_VERSION"),
            app.config.load().server.public_url
        ));
    }

    let ended = loop {
        tokio::select! {
            _ = signals.terminate.recv() => break Ok(()),
            _ = signals.interrupt.recv() => break Ok(()),
            _ = signals.user.recv() => app.wake.notify_one(),
            _ = signals.hang_up.recv() => {
                let (applied, text) = match apply(&app, file, &log).await {
                    Ok(text) => (true, text),
                    Err(text) => (false, text),
                };
                held.tell(applied, text);
            }
            end = &mut server => break Err(match end {
                Ok(Ok(())) => "the server ended by itself".to_owned(),
                Ok(Err(why)) => why,
                Err(e) => format!("the server broke down: {e}"),
            }),
            end = &mut jobs => break Err(match end {
                Ok(()) => "the workers ended by themselves".to_owned(),
                Err(e) => format!("the workers broke down: {e}"),
            }),
        }
    };

    // Nobody listens any more when both have ended.
    let _ = stop.send(true);
    let rest = async {
        if !server.is_finished() {
            let _ = server.await;
        }
        if !jobs.is_finished() {
            let _ = jobs.await;
        }
    };
    match ended {
        Ok(()) => {
            tracing::info!("stopping: requests and the job in hand are finished first; a second signal ends at once");
            tokio::select! {
                () = rest => {}
                _ = signals.terminate.recv() => tracing::warn!("stopped by a second signal"),
                _ = signals.interrupt.recv() => tracing::warn!("stopped by a second signal"),
            }
            tracing::info!("stopped");
            Ok(())
        }
        Err(why) => {
            rest.await;
            Err(Failure::new(why, ""))
        }
    }
}

/// Applies the file as it is now. The error is for people, and was logged.
async fn apply(app: &Arc<App>, file: &Path, log: &log::Level) -> Result<String, String> {
    let mut config = config::load(file).map_err(|complaints| {
        for c in &complaints {
            tracing::error!(file = c.file, line = c.line, column = c.column, hint = c.hint, "{}", c.message);
        }
        tracing::error!("the configuration was refused, the one before stays in force");
        let shown: Vec<String> = complaints.iter().map(|c| format!("\n{c}\n")).collect();
        format!("{}\n{} in {}", shown.concat(), count(complaints.len(), "mistake"), file.display())
    })?;
    let old = app.config.load_full();
    let waiting = keep_until_restart(&old, &mut config);
    warn_of_plain_http(&config);
    let (level, changed) = (config.server.log.clone(), config.server.log != old.server.log);
    let applied = app.apply(config).await;
    applied.inspect_err(|why| tracing::error!("the configuration was not applied: {why}"))?;
    if changed {
        log.set(&level);
    }
    let summary = summary(app).await.unwrap_or_default();
    let mut text = format!("{} is in force: {summary}", file.display());
    tracing::info!("{text}");
    if !waiting.is_empty() {
        let restart = format!("restart calgate for the change of {}", waiting.join(", "));
        tracing::warn!("{restart}");
        text.push_str(&format!("\n{restart}"));
    }
    Ok(text)
}

/// Settings that can not change while the server runs keep their value; those that should have changed are returned.
fn keep_until_restart(old: &Config, new: &mut Config) -> Vec<&'static str> {
    let mut waiting = Vec::new();
    let mut keep = |name, same: bool| {
        if !same {
            waiting.push(name);
        }
    };
    keep("[server] listen", old.server.listen == new.server.listen);
    keep("[limits] connections", old.limits.connections == new.limits.connections);
    keep("[server] pid_file", old.server.pid_file == new.server.pid_file);
    keep("[server] log_format", old.server.log_format == new.server.log_format);
    keep("[storage] url", old.storage.url == new.storage.url);
    keep("[secrets] key_file", old.secrets.key_file == new.secrets.key_file);
    new.server.listen = old.server.listen;
    new.limits.connections = old.limits.connections;
    new.server.pid_file = old.server.pid_file.clone();
    new.server.log_format = old.server.log_format;
    new.storage = old.storage.clone();
    new.secrets = old.secrets.clone();
    waiting
}

/// `2 users, 3 accounts, 7 calendars`.
async fn summary(app: &App) -> Result<String, Failure> {
    let counted = app.store.read(|tx| {
        let numbers = (users::list(tx)?.len(), accounts::list(tx, None)?.len(), calendars::every(tx)?.len());
        Ok::<_, calgate::store::Error>(numbers)
    });
    let (users, accounts, calendars) = counted.await?;
    Ok(format!("{}, {}, {}", count(users, "user"), count(accounts, "account"), count(calendars, "calendar")))
}

fn warn_of_plain_http(config: &Config) {
    let server = &config.server;
    if server.tls.is_none() && !server.listen.ip().is_loopback() && server.public_url.as_str().starts_with("http://") {
        tracing::warn!(listen = %server.listen, "passwords travel in clear text: set `tls`, or put a proxy in front");
    }
}

/// The signals that end the server, the one that makes it read its configuration, and the one by which a command says
/// that some duty is due.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user: Signal,
}

impl Signals {
    fn listen() -> Result<Signals, Failure> {
        let listen = |kind| signal(kind).map_err(|e| Failure::new(format!("signals can not be heard: {e}"), ""));
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
            user: listen(SignalKind::user_defined1())?,
        })
    }
}
