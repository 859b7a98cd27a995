//! Apple's configuration profile of a CalDAV account (`com.apple.caldav.account`, in Apple's Device Management
//! documentation): an XML property list.

use super::Place;
use crate::secrets::{self, Secret};

/// The profile of one user. The same place and user always give the same identifiers, so a profile that is installed
/// again takes the place of the one before. `password`: only for who is handed the file itself.
pub fn write(place: &Place, display_name: &str, password: Option<&Secret>) -> String {
    let (host, user) = (place.host(), place.user());
    let name = format!("Calendars of {user}");
    let description = match display_name.trim() {
        "" => format!("Adds the calendars of {user} at {host} to Calendar and Reminders."),
        shown => format!("Adds the calendars of {shown} ({user}) at {host} to Calendar and Reminders."),
    };
    let identifier = format!("org.calgate.{}.{user}", reversed(host));
    let mut account = Dict::default();
    account
        .text("CalDAVAccountDescription", &format!("{host} ({user})"))
        .text("CalDAVHostName", host)
        .raw("CalDAVPort", &format!("<integer>{}</integer>", place.port()))
        .text("CalDAVPrincipalURL", &place.principal())
        .raw("CalDAVUseSSL", if place.is_secure() { "<true/>" } else { "<false/>" })
        .text("CalDAVUsername", user);
    if let Some(password) = password {
        account.text("CalDAVPassword", password.reveal());
    }
    account
        .text("PayloadDescription", &description)
        .text("PayloadDisplayName", &name)
        .text("PayloadIdentifier", &format!("{identifier}.account"))
        .text("PayloadType", "com.apple.caldav.account")
        .text("PayloadUUID", &uuid(place, "account"))
        .raw("PayloadVersion", "<integer>1</integer>");
    let mut profile = Dict::default();
    profile
        .raw("PayloadContent", &format!("<array>\n{}</array>", account.close()))
        .text("PayloadDescription", &description)
        .text("PayloadDisplayName", &format!("calgate: {name}"))
        .text("PayloadIdentifier", &identifier)
        .text("PayloadOrganization", &format!("calgate at {host}"))
        .raw("PayloadRemovalDisallowed", "<false/>")
        .text("PayloadType", "Configuration")
        .text("PayloadUUID", &uuid(place, "profile"))
        .raw("PayloadVersion", "<integer>1</integer>");
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n{}</plist>\n",
        profile.close()
    )
}

/// A dictionary of a property list, while it is written.
#[derive(Default)]
struct Dict(String);

impl Dict {
    fn text(&mut self, key: &str, value: &str) -> &mut Dict {
        self.raw(key, &format!("<string>{}</string>", escaped(value)))
    }

    /// `value`: an element.
    fn raw(&mut self, key: &str, value: &str) -> &mut Dict {
        self.0.push_str(&format!("<key>{key}</key>\n{value}\n"));
        self
    }

    fn close(&self) -> String {
        format!("<dict>\n{}</dict>\n", self.0)
    }
}

/// As the text of an element. What XML can not hold is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// `cal.example.org` → `org.example.cal`: letters, digits, `-` and dots.
fn reversed(host: &str) -> String {
    let labels: Vec<&str> = host.split(['.', ':']).filter(|label| !label.is_empty()).rev().collect();
    labels.join(".")
}

/// RFC 9562, version 8: made of what it is the identifier of, and nothing else.
fn uuid(place: &Place, what: &str) -> String {
    let digest = secrets::sha256(format!("{what}\n{}\n{}", place.address(), place.user()).as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = secrets::hex(&bytes).to_uppercase();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_says_where_and_who() {
        let place = Place::new("anna", "https://example.org:8443/cal");
        let profile = write(&place, "Änna <\"Muster\"> & Co\u{1}", None);
        for expect in [
            "<key>CalDAVHostName</key>\n<string>example.org</string>",
            "<key>CalDAVPort</key>\n<integer>8443</integer>",
            "<key>CalDAVPrincipalURL</key>\n<string>/cal/dav/principals/anna/</string>",
            "<key>CalDAVUseSSL</key>\n<true/>",
            "<key>CalDAVUsername</key>\n<string>anna</string>",
            "<key>PayloadIdentifier</key>\n<string>org.calgate.org.example.anna</string>",
            "Änna &lt;\"Muster\"&gt; &amp; Co (anna)",
        ] {
            assert!(profile.contains(expect), "{expect}\n{profile}");
        }
        assert!(!profile.contains("CalDAVPassword"), "{profile}");
        let mut reader = quick_xml::Reader::from_str(&profile);
        loop {
            match reader.read_event().expect("well-formed") {
                quick_xml::events::Event::Eof => break,
                _ => continue,
            }
        }
        let with = write(&place, "", Some(&Secret::new("abcd-<efgh>")));
        assert!(with.contains("<key>CalDAVPassword</key>\n<string>abcd-&lt;efgh&gt;</string>"), "{with}");
    }

    #[test]
    fn identifiers_stay_and_differ() {
        let ids = |user: &str, url: &str| {
            let profile = write(&Place::new(user, url), "", None);
            let ids: Vec<String> = (profile.split("<key>PayloadUUID</key>\n<string>").skip(1))
                .map(|rest| rest.split('<').next().unwrap_or_default().to_owned())
                .collect();
            assert_eq!(ids.len(), 2);
            assert!(
                ids.iter().all(|id| id.len() == 36 && &id[14..15] == "8" && "89AB".contains(&id[19..20])),
                "{ids:?}"
            );
            ids
        };
        let anna = ids("anna", "https://cal.example.org");
        assert_ne!(anna[0], anna[1]);
        assert_eq!(anna, ids("anna", "https://cal.example.org"));
        assert_ne!(anna, ids("bert", "https://cal.example.org"));
        assert_ne!(anna, ids("anna", "https://cal.example.net"));
    }
}
