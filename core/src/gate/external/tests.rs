//! Every answer against every kind of check; every comparison against every type.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::outcome::Fault;

fn number(text: &str) -> Value {
    Value::Number(text.parse().unwrap())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn check(question: Question, stops: bool) -> Check {
    Check { question, headers: BTreeMap::new(), timeout: TIMEOUT, every: EVERY, stops }
}

fn url() -> Url {
    "https://status.example/till".parse().unwrap()
}

fn http(wanted: Option<Test>, stops: bool) -> Check {
    let wanted = wanted.map(|test| Wanted { pointer: "/level".to_owned(), test });
    check(Question::Http { url: url(), status: 200, wanted }, stops)
}

fn prometheus(stops: bool) -> Check {
    let test = Test::new(Op::Lt, number("0.01")).unwrap();
    check(Question::Prometheus { url: url(), query: "errors".to_owned(), test }, stops)
}

/// Every operator against every pair of types, of equal and of other values.
#[test]
fn every_comparison_of_every_type() {
    let values = [number("2"), number("10"), text("2"), text("ok"), Value::Bool(true)];
    let mut table = String::new();
    for op in Op::ALL {
        for wanted in &values {
            let Ok(test) = Test::new(op, wanted.clone()) else {
                let _ = writeln!(table, "{:>2} {wanted:<5} refused", op.as_str());
                continue;
            };
            let said = values.iter().map(|is| match test.holds(is) {
                Some(true) => format!("{is}: true"),
                Some(false) => format!("{is}: false"),
                None => format!("{is}: -"),
            });
            let said: Vec<String> = said.collect();
            let _ = writeln!(table, "{:>2} {wanted:<5} {}", op.as_str(), said.join("  "));
        }
    }
    insta::assert_snapshot!(table);
}

/// Every kind of answer to every kind of check: nothing but a whole answer that can be compared
/// says go or stop.
#[test]
fn every_answer_to_every_check() {
    let is_ok = || Some(Test::new(Op::Eq, text("ok")).unwrap());
    let checks = [
        ("status", http(None, false)),
        ("level == ok", http(is_ok(), false)),
        ("level == ok or stop", http(is_ok(), true)),
        ("errors < 0.01", prometheus(false)),
        ("errors < 0.01 or stop", prometheus(true)),
    ];
    let mut answers = vec![
        Answer::Status(200),
        Answer::Status(204),
        Answer::Status(503),
        Answer::Value(200, text("ok")),
        Answer::Value(200, text("bad")),
        Answer::Value(500, text("ok")),
        Answer::Value(200, Value::Bool(true)),
        Answer::Value(200, number("0.0099999999999999999999")),
        Answer::Value(200, number("0.01")),
        Answer::Value(503, number("0")),
        Answer::NoSecret("Authorization".to_owned()),
    ];
    answers.extend([Fault::ConnectRefused, Fault::AttemptTimeout].map(Answer::Silent));
    let unread = [
        Unread::NotJson,
        Unread::Missing,
        Unread::Kind(Kind::Null),
        Unread::Kind(Kind::List),
        Unread::Kind(Kind::Object),
        Unread::Text,
        Unread::Number,
        Unread::NotPrometheus,
        Unread::Empty,
        Unread::Several(2),
    ];
    answers.extend(unread.map(|why| Answer::Unreadable(200, why)));
    let mut table = String::new();
    for (name, check) in &checks {
        let _ = writeln!(table, "{name} ({check}, {} wanted)", check.wants());
        for answer in &answers {
            let opinion = format!("{:?}", check.judge(answer));
            let _ = writeln!(table, "  {opinion:<7} {answer}");
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn urls_that_can_be_asked() {
    for (text, target, server) in [
        ("https://a.example", "/", "https://a.example"),
        ("http://a.example:9090/x/y?q=1&r=%22", "/x/y?q=1&r=%22", "http://a.example:9090"),
        ("HTTPS://A.example/?", "/?", "https://a.example"),
        ("http://[::1]:8080/", "/", "http://[::1]:8080"),
    ] {
        let url: Url = text.parse().unwrap();
        assert_eq!((url.target(), url.server().as_str()), (target, server), "{text}");
        assert_eq!(url.as_str(), text);
    }
    for text in [
        "",
        "a.example",
        "ftp://a.example/",
        "http://",
        "http://a.example?q=1",
        "http://a.example/#top",
        "http://a.example/a b",
        "http://a.example/\"",
        "http://a.example:0/",
    ] {
        assert!(text.parse::<Url>().is_err(), "{text}");
    }
    let long = format!("http://a.example/?{}", "q".repeat(URL_BYTES_MAX));
    assert!(matches!(long.parse::<Url>(), Err(UrlError::TooLong(_))));
    let secret = "https://bob:hunter2@a.example/".parse::<Url>().unwrap_err().to_string();
    assert!(!secret.contains("hunter2"), "{secret}");
}

#[test]
fn secrets_are_named_and_never_written() {
    for text in ["env:TOKEN", "file:/run/secrets/token"] {
        assert_eq!(text.parse::<SecretSource>().unwrap().to_string(), text);
    }
    for text in ["Bearer hunter2", "env:", "file: ", "env:A=b", "vault:x", ""] {
        let error = text.parse::<SecretSource>().unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn gates_that_cannot_be() {
    let of = |by, waves: &[usize]| External { by, waves: waves.to_vec() };
    let ask = |check: Check| of(By::Check(Box::new(check)), &[]);
    let with = |change: &dyn Fn(&mut Check)| {
        let mut check = prometheus(false);
        change(&mut check);
        ask(check)
    };
    let header = |name: &str| {
        with(&|check| {
            let source = SecretSource::Env("TOKEN".to_owned());
            check.headers.insert(name.to_owned(), source);
        })
    };
    let question = |query: &str, value| {
        let (query, test) = (query.to_owned(), Test::new(Op::Eq, value).unwrap());
        ask(check(Question::Prometheus { url: url(), query, test }, false))
    };
    let status = |status| ask(check(Question::Http { url: url(), status, wanted: None }, false));
    let pointer = |pointer: &str| {
        let test = Test::new(Op::Eq, Value::Bool(true)).unwrap();
        let wanted = Some(Wanted { pointer: pointer.to_owned(), test });
        ask(check(Question::Http { url: url(), status: 200, wanted }, false))
    };
    let cases = [
        (vec![of(By::Approval, &[])], 1),
        (vec![of(By::Approval, &[2])], 3),
        (vec![of(By::Approval, &[1, 0])], 3),
        (vec![of(By::Approval, &[0]), of(By::Approval, &[])], 3),
        (vec![of(By::Approval, &[0]), of(By::Approval, &[1])], 3),
        (vec![of(By::Approval, &[]); 9], 3),
        (vec![ask(http(None, true))], 3),
        (vec![status(99)], 3),
        (vec![pointer("level")], 3),
        (vec![pointer("")], 3),
        (vec![pointer(&"/a".repeat(200))], 3),
        (vec![question(" ", number("1"))], 3),
        (vec![question(&"x".repeat(2_001), number("1"))], 3),
        (vec![question("up", text("1"))], 3),
        (vec![with(&|check| check.timeout = Duration::from_secs(61))], 3),
        (vec![with(&|check| check.every = Duration::from_millis(999))], 3),
        (vec![header("Authorization")], 3),
        (vec![header("Host")], 3),
        (vec![header("X: y")], 3),
        (vec![header("")], 3),
    ];
    let mut told = String::new();
    for (gates, waves) in cases {
        let faults: Vec<String> =
            gate_faults(&gates, waves).iter().map(ToString::to_string).collect();
        let said = if faults.is_empty() { "fine".to_owned() } else { faults.join(" | ") };
        let _ = writeln!(told, "{said}");
    }
    insta::assert_snapshot!(told);
}

proptest! {
    /// Against whole numbers of hundredths, which no rounding touches.
    #[test]
    fn a_threshold_is_what_it_says(is in -500_i64..500, than in -500_i64..500, at in 0_usize..6) {
        let hundredths = |n: i64| number(&format!("{n}e-2"));
        let op = Op::ALL[at];
        let naive = match op {
            Op::Eq => is == than,
            Op::Ne => is != than,
            Op::Lt => is < than,
            Op::Le => is <= than,
            Op::Gt => is > than,
            Op::Ge => is >= than,
        };
        let test = Test::new(op, hundredths(than)).unwrap();
        prop_assert_eq!(test.holds(&hundredths(is)), Some(naive));
    }
}
