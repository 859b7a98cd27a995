//! The addresses of one user, in every form that a client or a name server takes.

use url::Url;

/// Where one user's calendars are.
pub struct Place {
    user: String,
    /// Without a final slash.
    public_url: String,
    url: Url,
}

impl Place {
    pub fn new(user: &str, public_url: &str) -> Place {
        // The configuration has checked it.
        let url = Url::parse(public_url).unwrap_or_else(|_| Url::parse("http://localhost").expect("it is a URL"));
        Place { user: user.to_owned(), public_url: public_url.to_owned(), url }
    }

    pub fn user(&self) -> &str {
        &self.user
    }

    /// What a person types.
    pub fn address(&self) -> String {
        format!("{}/dav/", self.public_url)
    }

    /// The page that a phone opens.
    pub fn page(&self) -> String {
        format!("{}/setup/", self.public_url)
    }

    pub fn calendar(&self, slug: &str) -> String {
        format!("{}/dav/{}/{slug}/", self.public_url, self.user)
    }

    /// A path on the host.
    pub fn principal(&self) -> String {
        format!("{}/dav/principals/{}/", self.url.path().trim_end_matches('/'), self.user)
    }

    /// A name, or an address without brackets.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or("localhost").trim_matches(['[', ']'])
    }

    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(443)
    }

    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Only programs on the same machine find it.
    pub fn is_loopback(&self) -> bool {
        match self.url.host() {
            Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(url::Host::Ipv4(v4)) => v4.is_loopback(),
            Some(url::Host::Ipv6(v6)) => v6.is_loopback(),
            None => false,
        }
    }

    /// What opens DAVx5 on the phone that it is shown to, with all but the password typed in. With one, that too.
    pub fn davx5(&self, password: Option<&str>) -> String {
        // Its own scheme means https.
        let scheme = if self.is_secure() { "davx5" } else { "caldav" };
        let rest = self.public_url.split_once("://").map_or("", |(_, rest)| rest);
        let login = match password {
            Some(password) => format!("{}:{password}", self.user),
            None => self.user.clone(),
        };
        format!("{scheme}://{login}@{rest}/dav/")
    }

    /// Records by which a client finds this server from a mail address of `domain` (RFC 6764). Empty: the server has no
    /// name, and records lead to names.
    pub fn records(&self, domain: &str) -> Vec<String> {
        let Some(url::Host::Domain(host)) = self.url.host() else { return Vec::new() };
        if self.is_loopback() {
            return Vec::new();
        }
        let service = if self.is_secure() { "_caldavs" } else { "_caldav" };
        let path = format!("{}/dav/", self.url.path().trim_end_matches('/'));
        vec![
            format!("{service}._tcp.{domain}. 3600 IN SRV 0 1 {} {host}.", self.port()),
            format!("{service}._tcp.{domain}. 3600 IN TXT \"path={path}\""),
        ]
    }

    /// What lets an existing web server of the domain lead here, by the name of the web server.
    pub fn redirects(&self) -> [(&'static str, String); 3] {
        let to = self.address();
        [
            ("nginx", format!("location = /.well-known/caldav {{ return 301 {to}; }}")),
            ("Caddy", format!("redir /.well-known/caldav {to} permanent")),
            ("Apache", format!("Redirect permanent /.well-known/caldav {to}")),
        ]
    }

    /// A text that was written for anna at cal.example.org, for this user. What is put in is not looked at again.
    pub fn fill(&self, text: &str) -> String {
        let rest = self.public_url.split_once("://").map_or("", |(_, rest)| rest);
        let address = self.address();
        let meant = [
            ("https://cal.example.org/dav/", address.as_str()),
            ("https://cal.example.org", &self.public_url),
            ("cal.example.org", rest),
            ("anna", &self.user),
        ];
        let mut filled = String::with_capacity(text.len());
        let mut left = text;
        while let Some(first) = left.chars().next() {
            match meant.iter().find(|(written, _)| left.starts_with(written)) {
                Some((written, ours)) => {
                    filled.push_str(ours);
                    left = &left[written.len()..];
                }
                None => {
                    filled.push(first);
                    left = &left[first.len_utf8()..];
                }
            }
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address() {
        let check = |url: &str, principal: &str, place: (&str, u16), davx5: &str, records: &[&str]| {
            let p = Place::new("anna", url);
            assert_eq!((p.principal().as_str(), (p.host(), p.port())), (principal, place), "{url}");
            assert_eq!(p.davx5(None), davx5, "{url}");
            assert_eq!(p.records("example.org"), records, "{url}");
        };
        check(
            "https://cal.example.org",
            "/dav/principals/anna/",
            ("cal.example.org", 443),
            "davx5://anna@cal.example.org/dav/",
            &[
                "_caldavs._tcp.example.org. 3600 IN SRV 0 1 443 cal.example.org.",
                "_caldavs._tcp.example.org. 3600 IN TXT \"path=/dav/\"",
            ],
        );
        check(
            "https://example.net:8443/our/cal",
            "/our/cal/dav/principals/anna/",
            ("example.net", 8443),
            "davx5://anna@example.net:8443/our/cal/dav/",
            &[
                "_caldavs._tcp.example.org. 3600 IN SRV 0 1 8443 example.net.",
                "_caldavs._tcp.example.org. 3600 IN TXT \"path=/our/cal/dav/\"",
            ],
        );
        check(
            "http://nas.example.net:5232",
            "/dav/principals/anna/",
            ("nas.example.net", 5232),
            "caldav://anna@nas.example.net:5232/dav/",
            &[
                "_caldav._tcp.example.org. 3600 IN SRV 0 1 5232 nas.example.net.",
                "_caldav._tcp.example.org. 3600 IN TXT \"path=/dav/\"",
            ],
        );
        check(
            "https://[2001:db8::1]",
            "/dav/principals/anna/",
            ("2001:db8::1", 443),
            "davx5://anna@[2001:db8::1]/dav/",
            &[],
        );
        check(
            "http://localhost:5232",
            "/dav/principals/anna/",
            ("localhost", 5232),
            "caldav://anna@localhost:5232/dav/",
            &[],
        );
        let with = Place::new("anna", "https://cal.example.org").davx5(Some("abcd-efgh"));
        assert_eq!(with, "davx5://anna:abcd-efgh@cal.example.org/dav/");
    }

    #[test]
    fn a_text_is_filled_once() {
        // The name of the host holds the name of the example's user.
        let place = Place::new("bert", "https://anna.example.net:8443/x");
        let check = |text: &str, expect: &str| assert_eq!(place.fill(text), expect);
        check("`https://cal.example.org/dav/`", "`https://anna.example.net:8443/x/dav/`");
        check("https://cal.example.org/feed/", "https://anna.example.net:8443/x/feed/");
        check("at cal.example.org as anna", "at anna.example.net:8443/x as bert");
        check("nothing ö", "nothing ö");
    }
}
