//! `calgate setup`: what a person types into their calendar programs, step by step, with a code to scan and a profile
//! for Apple's devices.

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use calgate::config::{Config, io_words, values};
use calgate::secrets::{self, Secret};
use calgate::store::app_passwords;
use calgate::store::calendars::Calendar;
use calgate::store::users::User;
use calgate::web::setup::guide::{self, Block};
use calgate::web::setup::sign::Signer;
use calgate::web::setup::{Place, profile};
use clap::builder::PossibleValuesParser;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::json;

use super::{Done, Failure, Here, calendar, new_file, terminal};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  calgate setup anna                                      address, calendars, records for the name server
  calgate setup anna --client thunderbird                 step by step
  calgate setup anna --client davx5 --app-password phone  with a password, in the code too
  calgate setup anna --mobileconfig anna.mobileconfig --sign")]
pub struct Arguments {
    user: String,
    /// Show the steps for one program
    #[arg(long, value_name = "NAME", value_parser = clients(), hide_possible_values = true)]
    client: Option<String>,
    /// Make an app password of this name at once, and show it, this once
    #[arg(long, value_name = "LABEL", value_parser = values::title)]
    app_password: Option<String>,
    /// Write a profile for iPhone, iPad and Mac; with --app-password, that is in it
    #[arg(long, value_name = "FILE")]
    mobileconfig: Option<PathBuf>,
    /// Sign the profile with the certificate of [server] in the configuration
    #[arg(long, requires = "mobileconfig", conflicts_with = "sign_with")]
    sign: bool,
    /// Sign the profile with this certificate (and its chain) and key
    #[arg(long, num_args = 2, value_names = ["CERT.pem", "KEY.pem"], requires = "mobileconfig")]
    sign_with: Option<Vec<PathBuf>>,
    /// Show the code to scan even if the output goes to a file
    #[arg(long)]
    qr: bool,
    /// Print JSON
    #[arg(long, conflicts_with_all = ["client", "qr"])]
    json: bool,
}

fn clients() -> PossibleValuesParser {
    PossibleValuesParser::new(guide::CLIENTS.iter().map(|(slug, _)| *slug))
}

pub async fn run(config: &Path, arguments: Arguments) -> Done {
    let here = Here::open(config)?;
    let user = here.user(&arguments.user).await?;
    let place = Place::new(&user.name, here.config.server.public_url.as_str());
    // Whatever can go wrong does so before there is a password that nobody saw.
    let signer = signer(&arguments, &here.config)?;
    let secret = arguments.app_password.is_some();
    let profile = |path| new_file(path, secret).map(|file| (path, file));
    let mut file = arguments.mobileconfig.as_deref().map(profile).transpose()?;
    let calendars = calendar::of(&here.store, vec![user.clone()]).await?;
    let written = async {
        let password = match &arguments.app_password {
            Some(label) => Some(app_password(&here, &user, label.clone()).await?),
            None => None,
        };
        if let Some((path, file)) = &mut file {
            let mut bytes = profile::write(&place, &user.display_name, password.as_ref()).into_bytes();
            if let Some(signer) = &signer {
                bytes = signer.sign(&bytes, here.clock.now()).map_err(|why| Failure::new(why, ""))?;
            }
            fill(file, path, &bytes)?;
        }
        Ok(password)
    };
    let password = match written.await {
        Ok(password) => password,
        Err(failure) => {
            // Nobody is left with half a profile, or kept from trying again.
            arguments.mobileconfig.iter().for_each(|path| drop(fs::remove_file(path)));
            return Err(failure);
        }
    };
    if arguments.json {
        say_json(&place, &user, &calendars, password.as_ref());
        return Ok(());
    }
    let whom = if arguments.qr || std::io::stdout().is_terminal() { Some(&place) } else { None };
    match &arguments.client {
        Some(client) => steps(client, &place, password.as_ref(), whom),
        None => overview(&place, &user, &calendars, password.as_ref(), whom),
    }
    if let Some(path) = &arguments.mobileconfig {
        let (signed, secret) = (
            if signer.is_some() { "signed" } else { "not signed: the device will say so" },
            if password.is_some() {
                " The app password is in it: hand it over safely, and remove it then."
            } else {
                ""
            },
        );
        terminal::say(format!("\nWrote the profile {} ({signed}).{secret}", path.display()));
    }
    warn(&place);
    Ok(())
}

/// What signs the profile, as the arguments say.
fn signer(arguments: &Arguments, config: &Config) -> Result<Option<Signer>, Failure> {
    let (certificate, key) = match (&arguments.sign_with, arguments.sign, &config.server.tls) {
        (Some(files), ..) => (files[0].as_path(), files[1].as_path()),
        (None, true, Some(tls)) => (tls.certificate.as_path(), tls.key.as_path()),
        (None, true, None) => {
            return Err(Failure::new(
                "the configuration names no certificate to sign with",
                "Name one with `--sign-with CERT.pem KEY.pem`, or leave --sign out.",
            ));
        }
        (None, false, _) => return Ok(None),
    };
    let hint = "The profile works without a signature too; the device then says that it is not signed.";
    Signer::open(certificate, key).map(Some).map_err(|why| Failure::new(why, hint))
}

async fn app_password(here: &Here, user: &User, label: String) -> Result<Secret, Failure> {
    let password = secrets::new_app_password();
    let hash = here.secrets().await?.keyed_hash(password.reveal());
    let (owner, now) = (user.id, here.clock.now());
    here.store.write(move |tx| app_passwords::add(tx, owner, &label, &hash, false, now)).await?;
    Ok(password)
}

fn fill(file: &mut fs::File, path: &Path, bytes: &[u8]) -> Done {
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(|e| Failure::new(format!("{} can not be written: {}", path.display(), io_words(&e)), ""))
}

/// Everything that holds whatever the program is. `code`: whom to show a code for, if at all.
fn overview(place: &Place, user: &User, calendars: &[Calendar], password: Option<&Secret>, code: Option<&Place>) {
    let who = if user.display_name.is_empty() { &user.name } else { &user.display_name };
    terminal::say(format!("The calendars of {}\n", terminal::one_line(who)));
    facts(place, password);
    terminal::say(format!("  page          {}", place.page()));

    terminal::say("\nCalendars, for the few programs that ask for one:\n");
    if calendars.is_empty() {
        terminal::say("  none yet");
    }
    for calendar in calendars {
        let may = if calendar.writable { "" } else { "  (read only)" };
        terminal::say(format!("  {}{may}", terminal::one_line(&calendar.display_name)));
        terminal::say(format!("      {}", place.calendar(&calendar.slug)));
    }
    if let Some(place) = code {
        terminal::say("\nScan this with a phone; it opens the page above, which has the rest:\n");
        say_code(&place.page());
    }

    let mut domains: Vec<&str> = user.addresses.iter().filter_map(|a| a.split_once('@')).map(|(_, d)| d).collect();
    domains.dedup();
    for domain in domains {
        let records = place.records(domain);
        if records.is_empty() {
            continue;
        }
        terminal::say(format!("\nRecords for the name server of {domain}, so that a mail address there is enough:\n"));
        records.iter().for_each(|record| terminal::say(format!("  {record}")));
        if domain != place.host() {
            terminal::say(format!("\nOr one line for the web server at {domain}:\n"));
            for (name, line) in place.redirects() {
                terminal::say(format!("  {name:<8}{line}"));
            }
        }
    }

    terminal::say(format!("\nStep by step, with `calgate setup {} --client NAME`:\n", user.name));
    for (slug, title) in guide::CLIENTS {
        terminal::say(format!("  {slug:<16}{title}"));
    }
}

/// The three things that every program asks for.
fn facts(place: &Place, password: Option<&Secret>) {
    terminal::say(format!("  address       {}", place.address()));
    terminal::say(format!("  user name     {}", place.user()));
    match password {
        Some(password) => terminal::say(format!("  app password  {}  (shown this once)", password.reveal())),
        None => {
            let make = format!("calgate app-password add {} --label phone", place.user());
            terminal::say(format!("  app password  one for each device: `{make}`"));
        }
    }
}

/// The steps for one program.
fn steps(client: &str, place: &Place, password: Option<&Secret>, code: Option<&Place>) {
    let Some(guide) = guide::of(client, place) else { return };
    terminal::say(format!("{}\n", guide.title));
    facts(place, password);
    terminal::say("");
    for block in &guide.setup {
        match block {
            Block::Step { number, text } => terminal::say(format!("{number:>3}. {}", guide::plain(text))),
            Block::File(text) => {
                let prompt = "password.fetch = [\"prompt\", \"App password of calgate\"]";
                let text = match password {
                    Some(password) => text.replace(prompt, &format!("password = \"{}\"", password.reveal())),
                    None => text.clone(),
                };
                terminal::say(format!("\n{text}"));
            }
        }
    }
    let scanned = match client {
        "davx5" => Some((place.davx5(password.map(Secret::reveal)), "Scan this with the phone; it opens DAVx5:")),
        "ios" => Some((place.page(), "Scan this with the phone; it opens the page of the first step:")),
        _ => None,
    };
    if let (Some((url, words)), Some(_)) = (scanned, code) {
        terminal::say(format!("\n{words}\n"));
        say_code(&url);
    }
    terminal::say("\nGood to know:\n");
    for one in &guide.know {
        terminal::say(format!("  - {}", guide::plain(one)));
    }
}

/// A QR code in half blocks. Scanners want it dark on light, so a terminal is told the two colours; elsewhere the light
/// parts are drawn, for who shows it light on dark.
fn say_code(text: &str) {
    // Nothing that we show is longer than a code can be.
    let Ok(code) = QrCode::new(text) else { return };
    let mut drawn = code.render::<Dense1x2>();
    let in_colour = terminal::colour(&std::io::stdout());
    if !in_colour {
        drawn.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark);
    }
    for line in drawn.build().lines() {
        terminal::say(match in_colour {
            true => format!("  \x1b[38;5;16;48;5;231m{line}\x1b[0m"),
            false => format!("  {line}"),
        });
    }
}

fn say_json(place: &Place, user: &User, calendars: &[Calendar], password: Option<&Secret>) {
    let calendars = calendars.iter().map(|calendar| {
        json!({
            "name": calendar.slug, "display_name": calendar.display_name, "url": place.calendar(&calendar.slug),
            "writable": calendar.writable,
        })
    });
    let domains = user.addresses.iter().filter_map(|address| address.split_once('@'));
    let mut records: Vec<String> = domains.flat_map(|(_, domain)| place.records(domain)).collect();
    records.dedup();
    terminal::say_json(&json!({
        "address": place.address(), "user": user.name, "app_password": password.map(Secret::reveal),
        "page": place.page(), "davx5": place.davx5(None), "calendars": calendars.collect::<Vec<_>>(),
        "records": records,
    }));
}

/// What a person must know before they hand this on.
fn warn(place: &Place) {
    let set = "Set `public_url` in [server] to what clients type.";
    if place.is_loopback() {
        eprintln!("\nwarning: only programs on this machine find this address. {set}");
    } else if !place.is_secure() {
        eprintln!(
            "\nwarning: this address is plain HTTP: Apple's programs refuse it, and everybody on the way can read \
             passwords and events. See TLS in docs/operating.md."
        );
    }
}
