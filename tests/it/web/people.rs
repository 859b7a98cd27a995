//! What people and their programs do before the first sync: the login flow as a program and a browser walk through it.

use serde_json::Value;

use super::*;

const DAVX5: &str = "User-Agent: DAVx5/4.5.3-ose (at.bitfire.davdroid) Android/15\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

async fn post(gateway: &Gateway, path: &str, headers: &str, body: &str) -> Answer {
    let mut wire = wire(gateway).await;
    let length = body.len();
    wire.send(format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n{body}")).await;
    wire.answer().await.expect("an answer")
}

/// A program that asked.
struct Asked {
    poll: String,
    /// The path of the page.
    page: String,
}

async fn asks(gateway: &Gateway, headers: &str) -> Asked {
    let answer = post(gateway, "/index.php/login/v2", headers, "").await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.body);
    assert!(answer.header("content-type").starts_with("application/json"));
    let told: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(told["poll"]["endpoint"], "https://cal.example.org/index.php/login/v2/poll");
    let login = told["login"].as_str().unwrap();
    let page = login.strip_prefix("https://cal.example.org").expect("by public_url, not by Host").to_owned();
    let poll = told["poll"]["token"].as_str().unwrap().to_owned();
    assert!(poll.len() >= 32 && !page.contains(&poll), "two secrets, and neither tells the other");
    Asked { poll, page }
}

async fn polls(gateway: &Gateway, asked: &Asked) -> Answer {
    post(gateway, "/index.php/login/v2/poll", FORM, &format!("token={}", asked.poll)).await
}

/// The hidden field of the form.
fn seal(page: &Answer) -> String {
    let (_, rest) = page.body.split_once("name=\"seal\" value=\"").expect("a form");
    rest.split('"').next().unwrap().to_owned()
}

async fn fills_in(gateway: &Gateway, asked: &Asked, name: &str, password: &str) -> Answer {
    let page = ask(gateway, "GET", &asked.page, "").await;
    let seal = seal(&page);
    let typed = [("seal", seal.as_str()), ("name", name), ("password", password)];
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(typed).finish();
    post(gateway, &asked.page, &format!("{FORM}Sec-Fetch-Site: same-origin\r\n"), &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_let_in_by_its_user_and_gets_one_password() {
    let gateway = start().await;
    let asked = asks(&gateway, DAVX5).await;
    assert_eq!(polls(&gateway, &asked).await.status, 404);

    let page = ask(&gateway, "GET", &asked.page, "").await;
    assert_eq!((page.status, page.header("cache-control")), (200, "no-store"));
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.body.contains("Let DAVx⁵ use your calendars?"), "{}", page.body);
    assert!(page.body.contains("DAVx5/4.5.3-ose (at.bitfire.davdroid) Android/15"));
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"), "{policy}");
    assert!(!page.body.contains("<script"));
    // The browser takes the style by this hash alone.
    let style = page.body.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let hash = STANDARD.encode(secrets::sha256(style.as_bytes()));
    assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");

    let wrong = fills_in(&gateway, &asked, "anna", "wrong").await;
    assert_eq!(wrong.status, 403);
    assert!(wrong.body.contains("role=\"alert\">The user name or the password is wrong."), "{}", wrong.body);
    assert!(wrong.body.contains("value=\"anna\""), "the name need not be typed again");
    assert_eq!(polls(&gateway, &asked).await.status, 404);

    let right = fills_in(&gateway, &asked, " Anna ", PASSWORD).await;
    assert_eq!(right.status, 200);
    assert!(right.body.contains("You can close this window."), "{}", right.body);

    let got = polls(&gateway, &asked).await;
    assert_eq!(got.status, 200);
    let got: Value = serde_json::from_str(&got.body).unwrap();
    assert_eq!((&got["server"], &got["loginName"]), (&"https://cal.example.org".into(), &"anna".into()));
    assert_eq!(polls(&gateway, &asked).await.status, 404, "once");
    assert_eq!(ask(&gateway, "GET", &asked.page, "").await.status, 404);

    let password = got["appPassword"].as_str().unwrap();
    assert_eq!(login(&gateway, &basic("anna", password)).await.status, 207);
    let made = change(&gateway, |tx| {
        let anna = users::by_name(tx, "anna")?.unwrap();
        app_passwords::list(tx, anna.id)
    })
    .await;
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].label, "DAVx5/4.5.3-ose (at.bitfire.davdroid) Android/15");
}

/// GNOME Online Accounts looks at OPTIONS of that server's path, before and after the login, and needs 200.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_us_for_that_server_hears_what_we_can_do() {
    let gateway = start().await;
    for path in ["/remote.php/dav", "/remote.php/dav/", "/remote.php/webdav", "/dav/"] {
        let answer = ask(&gateway, "OPTIONS", path, "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("dav").contains("calendar-access"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_from_elsewhere_grants_nothing() {
    let gateway = start().await;
    let asked = asks(&gateway, DAVX5).await;
    let other = asks(&gateway, DAVX5).await;
    let seal_of = async |asked: &Asked| seal(&ask(&gateway, "GET", &asked.page, "").await);
    let (mine, others) = (seal_of(&asked).await, seal_of(&other).await);
    let check = async |headers: &str, seal: &str, status: u16| {
        let body = format!("seal={seal}&name=anna&password={}", PASSWORD.replace(' ', "+"));
        let answer = post(&gateway, &asked.page, &format!("{FORM}{headers}"), &body).await;
        assert_eq!(answer.status, status, "{headers} {seal}: {}", answer.body);
    };
    check("", "", 403).await;
    check("", "0", 403).await;
    check("", &others, 403).await;
    check("Sec-Fetch-Site: cross-site\r\n", &mine, 403).await;
    check("Sec-Fetch-Site: same-site\r\n", &mine, 403).await;
    check("Origin: https://evil.example\r\n", &mine, 403).await;
    check("Origin: https://cal.example.org.evil.example\r\n", &mine, 403).await;
    assert_eq!(polls(&gateway, &asked).await.status, 404);
    check("Origin: https://cal.example.org\r\n", &mine, 200).await;
    assert_eq!(polls(&gateway, &asked).await.status, 200);
    assert_eq!(polls(&gateway, &other).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_password_lets_no_other_program_in() {
    let gateway = start().await;
    let (_, password) = device(&gateway, "anna", false).await;
    let asked = asks(&gateway, DAVX5).await;
    let answer = fills_in(&gateway, &asked, "anna", password.reveal()).await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("An app password does not do here"));
    // One without a password of their own lets nobody in either.
    assert_eq!(fills_in(&gateway, &asked, "bert", "").await.status, 403);
    assert_eq!(polls(&gateway, &asked).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_hears_nothing_and_waits_for_twenty_minutes_at_most() {
    let gateway = start().await;
    let asked = asks(&gateway, DAVX5).await;
    let seal = seal(&ask(&gateway, "GET", &asked.page, "").await);
    let answer = post(&gateway, &asked.page, FORM, &format!("seal={seal}&name=&password=&deny=yes")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("The program got nothing."));
    assert_eq!(polls(&gateway, &asked).await.status, 404);
    assert_eq!(ask(&gateway, "GET", &asked.page, "").await.status, 404);

    let late = asks(&gateway, "").await;
    assert_eq!(fills_in(&gateway, &late, "anna", PASSWORD).await.status, 200);
    let shown = ask(&gateway, "GET", &late.page, "").await;
    assert!(shown.body.contains("Access granted"), "a page that is loaded again: {}", shown.body);
    gateway.app.clock.advance(20 * 60);
    assert_eq!(polls(&gateway, &late).await.status, 404);
    assert_eq!(ask(&gateway, "GET", &late.page, "").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_counted_with_those_at_the_other_door() {
    let gateway = start().await;
    let asked = asks(&gateway, DAVX5).await;
    for n in 0..5 {
        assert_eq!(fills_in(&gateway, &asked, "anna", &format!("wrong {n}")).await.status, 403);
        assert_eq!(login(&gateway, &basic("anna", &format!("wrong {n}"))).await.status, 401);
    }
    let answer = fills_in(&gateway, &asked, "anna", PASSWORD).await;
    assert_eq!(answer.status, 429);
    assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
    assert!(answer.body.contains("There were too many wrong passwords."), "{}", answer.body);
    assert_eq!(login(&gateway, &basic("anna", PASSWORD)).await.status, 429);
    gateway.app.clock.advance(300);
    assert_eq!(fills_in(&gateway, &asked, "anna", PASSWORD).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_flow_is_bounded_and_tolerates_anything() {
    let gateway = start().await;
    // What a program calls itself is text, whatever it is.
    let hostile = "User-Agent: <script>alert(1)</script>\"'&\r\n";
    let asked = asks(&gateway, hostile).await;
    let page = ask(&gateway, "GET", &asked.page, "").await;
    assert!(!page.body.contains("<script>"), "{}", page.body);
    let answer = fills_in(&gateway, &asked, "\"><script>alert(1)</script>", "x").await;
    assert!(answer.status == 403 && !answer.body.contains("<script>"), "{}", answer.body);
    for body in ["", "token", "token=", "token=%ff", "token=x&token=y", "{\"token\":\"x\"}"] {
        let answer = post(&gateway, "/index.php/login/v2/poll", FORM, body).await;
        assert_eq!((answer.status, answer.body.as_str()), (404, "[]"), "{body}");
    }
    assert_eq!(post(&gateway, &asked.page, FORM, &"x".repeat(20_000)).await.status, 413);
    assert_eq!(post(&gateway, "/index.php/login/v2/flow/nothing", FORM, "seal=x").await.status, 403);
    for (method, path, allow) in [
        ("GET", "/index.php/login/v2", "POST, OPTIONS"),
        ("GET", "/index.php/login/v2/poll", "POST, OPTIONS"),
        ("PUT", asked.page.as_str(), "GET, HEAD, POST, OPTIONS"),
    ] {
        let answer = ask(&gateway, method, path, "Content-Length: 0\r\n").await;
        assert_eq!((answer.status, answer.header("allow")), (405, allow), "{method} {path}");
    }
    // We are no Nextcloud to who asks for one.
    for path in ["/status.php", "/index.php/login/flow", "/ocs/v2.php/cloud/capabilities", "/index.php/login/v2/x"] {
        assert_eq!(ask(&gateway, "GET", path, "").await.status, 404, "{path}");
    }
    for _ in 0..9 {
        asks(&gateway, DAVX5).await;
    }
    let answer = post(&gateway, "/index.php/login/v2", DAVX5, "").await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "1200"));
    gateway.app.clock.advance(1200);
    asks(&gateway, DAVX5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_setting_up_is_for_who_is_logged_in() {
    let gateway = start().await;
    for path in ["/setup", "/setup/", "/setup/apple.mobileconfig"] {
        let answer = ask(&gateway, "GET", path, "").await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.header("www-authenticate").starts_with("Basic "), "{path}");
        assert_eq!(ask(&gateway, "POST", path, "Content-Length: 0\r\n").await.status, 405, "{path}");
    }
    let anna = basic("anna", PASSWORD);
    let page = ask(&gateway, "GET", "/setup/", &anna).await;
    assert_eq!(page.status, 200, "{}", page.body);
    for expect in [
        "<code class=\"whole\">https://cal.example.org/dav/</code>",
        "<code class=\"whole\">https://cal.example.org/dav/anna/private/</code>",
        "href=\"/setup/apple.mobileconfig\"",
        "href=\"davx5://anna@cal.example.org/dav/\"",
        "<svg class=\"qr\"",
        "<summary>Thunderbird</summary>",
        "Private, and more",
    ] {
        assert!(page.body.contains(expect), "{expect}\n{}", page.body);
    }
    assert!(!page.body.contains("<script") && !page.body.contains(" style="), "{}", page.body);
    let head = ask(&gateway, "HEAD", "/setup/", &anna).await;
    assert_eq!((head.status, head.header("content-length")), (200, page.body.len().to_string().as_str()));

    let (_, password) = device(&gateway, "anna", true).await;
    let by_device = basic("anna", password.reveal());
    let profile = ask(&gateway, "GET", "/setup/apple.mobileconfig", &by_device).await;
    assert_eq!((profile.status, profile.header("content-type")), (200, "application/x-apple-aspen-config"));
    assert_eq!(profile.header("cache-control"), "no-store");
    assert!(profile.body.starts_with("<?xml"), "{}", profile.body);
    assert!(profile.body.contains("<string>cal.example.org</string>"), "{}", profile.body);
    assert!(!profile.body.contains("CalDAVPassword") && !profile.body.contains(password.reveal()), "{}", profile.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_encryption_the_page_offers_no_profile() {
    let gateway = start().await;
    let mut config = configuration(&gateway.folder, "", "");
    config.server.public_url = config::values::public_url("http://cal.example.org:8080/our").unwrap();
    gateway.app.apply(config).await.unwrap();
    let page = ask(&gateway, "GET", "/our/setup/", &basic("anna", PASSWORD)).await;
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("mobileconfig") && page.body.contains("without encryption"), "{}", page.body);
    assert!(page.body.contains("caldav://anna@cal.example.org:8080/our/dav/"), "{}", page.body);
}

fn tls_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls").join(name)
}

/// What was signed, as a second reader takes it out of the message: OpenSSL, which also checks the signature and that
/// `root` stands behind it. Without OpenSSL: as the message holds it.
fn opened(message: &[u8], root: &str, folder: &Path) -> Vec<u8> {
    use cms::cert::x509::der::Decode;
    use cms::cert::x509::der::asn1::OctetString;
    let info = cms::content_info::ContentInfo::from_der(message).expect("CMS");
    let signed: cms::signed_data::SignedData = info.content.decode_as().expect("SignedData");
    let held: OctetString = signed.encap_content_info.econtent.expect("the file is inside").decode_as().unwrap();
    let file = folder.join("signed.der");
    std::fs::write(&file, message).unwrap();
    let checked = std::process::Command::new("openssl")
        .args(["cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any", "-in"])
        .arg(&file)
        .arg("-CAfile")
        .arg(tls_file(root))
        .output();
    if let Ok(checked) = checked {
        assert!(checked.status.success(), "{root}: {}", String::from_utf8_lossy(&checked.stderr));
        assert_eq!(checked.stdout, held.as_bytes());
    }
    held.as_bytes().to_vec()
}

#[tokio::test]
async fn a_profile_is_signed_by_every_kind_of_key_and_checked_by_another_program() {
    use calgate::web::setup::sign::Signer;
    let folder = std::env::temp_dir().join(format!("calgate-sign-{}", secrets::hex(&secrets::random::<8>())));
    std::fs::create_dir(&folder).unwrap();
    let open = |certificate: &str, key: &str| Signer::open(&tls_file(certificate), &tls_file(key));
    let content = "<plist>ä &amp; b\n</plist>\r\n".repeat(100);
    for (certificate, key, root) in [
        ("first.crt", "first.key", "first.crt"),
        ("rsa.crt", "rsa.key", "rsa.crt"),
        // P-384, and a chain of two.
        ("chain.crt", "chain.key", "chain-root.crt"),
    ] {
        let signer = open(certificate, key).unwrap_or_else(|why| panic!("{certificate}: {why}"));
        let message = signer.sign(content.as_bytes(), NOW).unwrap();
        assert_eq!(opened(&message, root, &folder), content.as_bytes());
    }
    let check = |certificate: &str, key: &str, says: &str| {
        let why = open(certificate, key).err().expect("refused");
        assert!(why.contains(says), "{why}");
    };
    check("first.crt", "second.key", "does not belong to the key");
    check("ed25519.crt", "ed25519.key", "take RSA or ECDSA");
    check("missing.crt", "first.key", "can not be read");
    check("first.key", "first.key", "holds no certificate");
    let _ = std::fs::remove_dir_all(&folder);
}

/// What `docs/clients.md` says is held by an exchange or a replay is held by one that is there.
#[test]
fn the_exchanges_that_the_page_of_clients_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/clients.md")).unwrap();
    for (folder, ending) in [("fixtures/dav", ".http"), ("fixtures/client", ".replay")] {
        let named: Vec<&str> = text.split('`').filter(|word| word.len() > 8 && word.ends_with(ending)).collect();
        assert!(named.len() > 10, "{named:?}");
        for name in named {
            assert!(root.join(folder).join(name).exists(), "{name}");
        }
    }
}
