//! `calgate reload`: checks the file, tells the running gateway, and says what came of it.

use std::path::Path;
use std::time::Duration;

use calgate::config;
use rustix::process::{Signal, kill_process};

use super::{Done, Failure, pid, terminal};

/// How long to wait for the gateway to say what came of it.
const PATIENCE: Duration = Duration::from_secs(30);

pub async fn run(file: &Path) -> Done {
    // The server looks at the references: it has the environment that counts.
    let config = config::load_beside(file)?;
    let pid_file = &config.server.pid_file;
    let Some(server) = pid::server(pid_file)? else {
        return Err(Failure::new(
            format!("no calgate serves with the pid file {}", pid_file.display()),
            "Start it with `calgate serve`; it reads the configuration then.",
        ));
    };
    let before = pid::verdict(pid_file).map_or(0, |verdict| verdict.number);
    kill_process(server, Signal::HUP).map_err(|e| {
        let what = format!("the running calgate (process {}) can not be told: {e}", server.as_raw_nonzero());
        Failure::new(what, "Run this as the user that it runs as.")
    })?;
    let asked = std::time::Duration::from_millis(20);
    for _ in 0..PATIENCE.as_millis() / asked.as_millis() {
        match pid::verdict(pid_file) {
            Some(verdict) if verdict.number > before && verdict.applied => {
                terminal::say(verdict.text);
                return Ok(());
            }
            Some(verdict) if verdict.number > before => {
                return Err(Failure::new(
                    format!("the running calgate refused the configuration and keeps the one before\n{}", verdict.text),
                    "",
                ));
            }
            _ => tokio::time::sleep(asked).await,
        }
        if pid::server(pid_file)?.is_none() {
            return Err(Failure::new("the running calgate ended before it answered", "See its log."));
        }
    }
    Err(Failure::new(
        format!("the running calgate (process {}) has not answered yet", server.as_raw_nonzero()),
        "See its log for what came of it.",
    ))
}
