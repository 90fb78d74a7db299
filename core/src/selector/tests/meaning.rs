//! What an expression chooses, and its canonical text.

use super::*;

#[test]
fn comparisons() {
    let table = [
        ("id==pos-nyc-01", true),
        ("id==POS-NYC-01", false),
        ("id!=pos-nyc-01", false),
        ("id==pos-*", true),
        ("id==*-01", true),
        ("id==pos*01", true),
        ("id==*nyc*", true),
        ("id==pos-nyc-01*01", false),
        ("id!=pos-*", false),
        ("id==p*o*s*n*y*c*0*1", true),
        ("id==p*c*y*1", false),
        ("id==*nyc*nyc*", false),
        (r"id==pos\*", false),
        ("name=='Times Square, lane 1'", true),
        ("name==\"Times Square*\"", true),
        (r"name==Times\ Square\,\ lane\ 1", true),
        ("id=in=(pos-nyc-02,'pos-nyc-01')", true),
        ("id=in=(pos-nyc-02)", false),
        ("id=out=(pos-nyc-02, pos-nyc-03)", true),
        ("id=out=(pos-nyc-01)", false),
        ("id<pos-nyc-02", true),
        ("id=lt=pos-nyc-01", false),
        ("id<=pos-nyc-01", true),
        ("id=gt=pos", true),
        ("id=GE=q", false),
        ("address==10.4.0.11:8080", true),
        ("address==HTTP://10.4.0.11:8080/", true),
        ("address=in=(10.4.0.12:8080,10.4.0.11:8080)", true),
        ("address==*10.4.*", true),
        ("tag.region==northeast", true),
        ("tag.\"opened in\"=='O\\'Hare \"T2\" (100%) \\* \\\\'", true),
        ("tag.'opened in'==O*T2*", true),
        ("tag.lane<2", true),
        ("tag.lane<10", true),
        ("tag.lane>=10", false),
    ];
    for (text, expected) in table {
        assert_eq!(chosen(text, &sample()), expected, "{text}");
    }
}

#[test]
fn versions_have_their_own_order() {
    for (installed, text, expected) in [
        ("1.10.0", "version>1.9.0", true),
        ("1.10.0", "version<1.9.0", false),
        ("1.10.0", "version>1.9", true),
        ("v1.10", "version>=1.10.0", true),
        ("2.0.0-rc.2", "version<2.0.0", true),
        ("2.0.0-rc.10", "version>2.0.0-rc.2", true),
        ("2.0.0+build7", "version<=2.0.0", true),
        ("unknown", "version<0.0.1", true),
        ("unknown", "version>0.0.1", false),
        ("build-18", "version>build-17", true),
        // Equality is of the text, so that a pattern and a plain value mean the same.
        ("v1.10.0", "version==1.10.0", false),
        ("1.10.0", "version==1.10.*", true),
        ("1.10.0", "version=in=(1.10,1.10.0)", true),
    ] {
        let device = Device { version: Some(installed.to_owned()), ..sample() };
        assert_eq!(chosen(text, &device), expected, "{installed}: {text}");
    }
}

#[test]
fn times_and_ages() {
    for (text, expected) in [
        ("last_seen>-3m", true),
        ("last_seen<-3m", false),
        ("last_seen>=-2m", true),
        ("last_seen==-2m", true),
        ("last_seen!=-2m", false),
        ("last_seen=out=(-1m,-3m)", true),
        ("last_seen<2027-01-15T08:00:00Z", true),
        ("last_seen>2027-01-15T07:57:59.999+00:00", true),
        ("last_seen=='2027-01-15T00:58:00-07:00'", true),
    ] {
        assert_eq!(chosen(text, &sample()), expected, "{text}");
    }
    assert!(Selector::parse("id==a or last_seen<-3m").unwrap().depends_on_now());
    assert!(Selector::parse("id==a or status!=offline").unwrap().depends_on_now());
    assert!(!Selector::parse("last_seen<2027-01-15T08:00:00Z").unwrap().depends_on_now());
}

#[test]
fn status_is_the_presence() {
    let minute = Some(Duration::from_mins(1));
    for (check_in, seen_secs_ago, word) in [
        (minute, Some(180), "online"),
        (minute, Some(181), "offline"),
        (minute, None, "never_seen"),
        (None, Some(0), "unknown"),
        (None, None, "never_seen"),
    ] {
        let last_seen = seen_secs_ago.map(|secs| NOW - Duration::from_secs(secs));
        let device = Device { check_in, last_seen, ..sample() };
        for asked in ["online", "offline", "unknown", "never_seen"] {
            assert_eq!(chosen(&format!("status=={asked}"), &device), asked == word, "{word}");
            assert_eq!(chosen(&format!("status!={asked}"), &device), asked != word, "{word}");
        }
        assert!(chosen("status==*", &device));
        assert!(!chosen("status!=*", &device));
        assert_eq!(chosen("status==*line", &device), word.ends_with("line"), "{word}");
        assert_eq!(
            chosen("status=in=(offline,never_seen)", &device),
            matches!(word, "offline" | "never_seen")
        );
        assert_eq!(chosen("status<=offline", &device), word <= "offline");
    }
}

#[test]
fn a_missing_value_only_differs() {
    let device = Device { id: "a".to_owned(), ..Device::default() };
    for field in ["version", "location", "time_zone", "address", "tag.x"] {
        for (asked, expected) in [
            ("==1", false),
            ("==1*", false),
            ("==*", false),
            ("<1", false),
            ("<=1", false),
            (">1", false),
            (">=1", false),
            ("=in=(1,2)", false),
            ("!=1", true),
            ("!=1*", true),
            ("!=*", true),
            ("=out=(1,2)", true),
        ] {
            assert_eq!(chosen(&format!("{field}{asked}"), &device), expected, "{field}{asked}");
        }
    }
    for (text, expected) in
        [("last_seen<-1s", false), ("last_seen!=*", true), ("last_seen=out=(-1s)", true)]
    {
        assert_eq!(chosen(text, &device), expected, "{text}");
    }
}

#[test]
fn and_binds_tighter_than_or() {
    for (text, expected) in [
        ("id==x and id==x or status==online", true),
        ("id==x;id==x,status==online", true),
        ("id==x;(id==x,status==online)", false),
        ("status==online or id==x and id==x", true),
        ("(status==online or id==x) and id==x", false),
        ("  ( ( id == pos-nyc-01 ) )  AND  status  ==  'online'  ", true),
        ("(id==x)or(status==online)", true),
        ("id=='x'or status==online", true),
        ("id==and or id==or or status==online", true),
    ] {
        assert_eq!(chosen(text, &sample()), expected, "{text}");
    }
}

#[test]
fn canonical_text() {
    for (text, expected) in [
        ("id == a ; id == b , id == c", "id==a and id==b or id==c"),
        ("(id==a,(id==b or id==c));id==d", "(id==a or id==b or id==c) and id==d"),
        ("(id==a and (id==b and id==c))", "id==a and id==b and id==c"),
        ("id=in=(a)", "id==a"),
        ("id=OUT=( a , 'b c' )", "id=out=(a,\"b c\")"),
        ("version=lt=2.2", "version<2.2"),
        ("id==a**b", "id==a*b"),
        ("id==**", "id==*"),
        (r"id==a\*b*", r#"id=="a\*b*""#),
        (r"id=='\'\\'", r#"id=="'\\""#),
        ("id==''", "id==\"\""),
        ("id=='*'", "id==*"),
        ("tag.'a b'==c", "tag.\"a b\"==c"),
        ("tag.'a.b'==c", "tag.a.b==c"),
        ("last_seen<-90s", "last_seen<-1m30s"),
        ("last_seen<'2027-01-15T08:00:00+01:00'", "last_seen<2027-01-15T07:00:00.000Z"),
        ("address==Gw.example:80", "address==http://gw.example"),
    ] {
        assert_eq!(canonical(text), expected, "{text}");
    }
}

#[test]
fn tag_keys_are_told() {
    let selector = Selector::parse("tag.b==1 or id==x and tag.a!=* or tag.b==2").unwrap();
    assert_eq!(Vec::from_iter(selector.tag_keys()), ["a", "b"]);
}

#[test]
fn travels_as_its_text() {
    let selector = Selector::parse("tag.region == northeast ; version < 2.2.0").unwrap();
    let json = serde_json::to_string(&selector).unwrap();
    assert_eq!(json, r#""tag.region==northeast and version<2.2.0""#);
    assert_eq!(serde_json::from_str::<Selector>(&json).unwrap(), selector);
    assert!(serde_json::from_str::<Selector>(r#""nope""#).is_err());
}

#[test]
fn the_examples_of_the_guide_hold() {
    let guide = include_str!("../../../../docs/selector.md");
    let device = Device {
        tags: [("region", "northeast"), ("lane", "1"), ("opened in", "2024")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..sample()
    };
    let mut count = 0;
    for line in guide.lines() {
        let row = line.strip_prefix("| `").and_then(|line| line.strip_suffix(" |"));
        let Some((text, answer)) = row.and_then(|row| row.rsplit_once("` | ")) else { continue };
        let expected = match answer {
            "yes" => true,
            "no" => false,
            _ => continue,
        };
        assert_eq!(chosen(text, &device), expected, "{text}");
        count += 1;
    }
    assert!(count > 30, "only {count} examples found");
    let shown = refusal("tag.region==northeast and versoin<2.2");
    let indented = format!("    {}\n", shown.replace('\n', "\n    "));
    assert!(guide.contains(&indented), "{shown}");
}
