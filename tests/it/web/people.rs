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
