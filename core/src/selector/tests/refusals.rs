//! Why an expression is refused: whole texts, as an operator reads them.

use super::*;

fn refusals(texts: &[&str]) -> String {
    texts.iter().map(|text| refusal(text) + "\n").collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_no_field() {
    let texts = [
        "tag.store==1 and regoin==northeast",
        "versoin<2.2",
        "Metadata.Region==x",
        "firmware_version==1",
        "not id==a",
        "!(id==a)",
        "'id'==a",
        "tag.==a",
        "tag.'a*'==a",
        "id==a and ",
    ];
    insta::assert_snapshot!(refusals(&texts), @r#"
    unknown field `regoin`: a tag is written `tag.regoin`; the fields are id, name, version, location, status, time_zone, last_seen, address
      tag.store==1 and regoin==northeast
                       ^^^^^^

    unknown field `versoin`: did you mean `version`?
      versoin<2.2
      ^^^^^^^

    unknown field `Metadata.Region`: did you mean `tag.Region`?
      Metadata.Region==x
      ^^^^^^^^^^^^^^^

    unknown field `firmware_version`: did you mean `version`?
      firmware_version==1
      ^^^^^^^^^^^^^^^^

    expected a field such as id, version or tag.region, found `not`; there is no `not`, use != or =out=
      not id==a
      ^^^

    expected a field such as id, version or tag.region, found `!`; there is no `not`, use != or =out=
      !(id==a)
      ^

    expected a field such as id, version or tag.region, found `'`; only values and tag keys go in quotes
      'id'==a
      ^

    a tag needs a key, such as tag.region
      tag.==a
      ^^^^

    a tag key takes no wildcards; write \* for the character itself
      tag.'a*'==a
          ^^^^

    expected a field such as id, version or tag.region, found the end
      id==a and
                ^
    "#);
}

#[test]
fn what_is_no_value_of_the_field() {
    let texts = [
        "id<a*",
        "id=in=(a*,b)",
        "last_seen<3m",
        "last_seen<-3",
        "last_seen==never",
        "last_seen==2026*",
        "status==ofline",
        "status=in=(online,'never seen')",
        "status!=Online",
        "status<busy",
    ];
    insta::assert_snapshot!(refusals(&texts), @r#"
    < takes no wildcards, only == and != do; write \* for the character itself
      id<a*
         ^^

    =in= takes no wildcards, only == and != do; write \* for the character itself
      id=in=(a*,b)
             ^^

    last_seen: a time is written as 2026-11-24T02:00:00Z (RFC 3339), or as an age such as -3m
      last_seen<3m
                ^^

    last_seen: an age is written as -30s, -3m, -12h, -7d or -1d12h
      last_seen<-3
                ^^

    last_seen: a device that was never seen is chosen by last_seen!=*
      last_seen==never
                 ^^^^^

    a time takes no wildcards, except last_seen==* (was ever seen) and last_seen!=* (never)
      last_seen==2026*
                 ^^^^^

    status: `ofline` is none of online, offline, unknown, never_seen; did you mean `offline`?
      status==ofline
              ^^^^^^

    status: `never seen` is none of online, offline, unknown, never_seen; did you mean `never_seen`?
      status=in=(online,'never seen')
                        ^^^^^^^^^^^^

    status: `Online` is none of online, offline, unknown, never_seen; did you mean `online`?
      status!=Online
              ^^^^^^

    status: `busy` is none of online, offline, unknown, never_seen
      status<busy
             ^^^^
    "#);
}

#[test]
fn what_has_no_place_in_the_order_of_versions() {
    let texts = [
        "version<abc",
        "version>=latest and id==a",
        "version<2.x",
        "version>v2..1",
        "version<''",
        "version<='  '",
        "version>-1",
        "version<\"2.1 beta\"",
    ];
    insta::assert_snapshot!(refusals(&texts), @r#"
    version: `abc` is no version; write one such as 2.1.0
      version<abc
              ^^^

    version: `latest` is no version; write one such as 2.1.0
      version>=latest and id==a
               ^^^^^^

    version: `2.x` is no version; write one such as 2.1.0
      version<2.x
              ^^^

    version: `v2..1` is no version; write one such as 2.1.0
      version>v2..1
              ^^^^^

    version: `` is no version; write one such as 2.1.0
      version<''
              ^^

    version: `  ` is no version; write one such as 2.1.0
      version<='  '
               ^^^^

    version: `-1` is no version; write one such as 2.1.0
      version>-1
              ^^

    version: `2.1 beta` is no version; write one such as 2.1.0
      version<"2.1 beta"
              ^^^^^^^^^^
    "#);
}

#[test]
fn what_is_no_expression() {
    let texts = [
        "id=x",
        "id like x",
        "id==",
        "id==a b",
        "name==O'Hare",
        "(id==a",
        "id==a)",
        "id==a && id==b",
        "id=='a",
        "id==a\\",
        "id=in=a",
        "id=in=(a b)",
        "id==(a,b)",
        "id==a\r\nand \u{1b}[31m==b",
        " ",
    ];
    insta::assert_snapshot!(refusals(&texts), @r#"
    expected one of == != < <= > >= =in= =out=, found `=`; equals is written ==
      id=x
        ^

    expected one of == != < <= > >= =in= =out=, found `like`
      id like x
         ^^^^

    expected a value, found the end
      id==
          ^

    expected `and`, `or` or the end, found `b`; a value with blanks or one of " ' ( ) ; , = ! < > goes in quotes
      id==a b
            ^

    expected `and`, `or` or the end, found `'`; a value with blanks or one of " ' ( ) ; , = ! < > goes in quotes
      name==O'Hare
             ^

    expected `and`, `or` or `)`, found the end
      (id==a
            ^

    expected `and`, `or` or the end, found `)`; no ( belongs to it
      id==a)
           ^

    expected `and`, `or` or the end, found `&`; both is written `and` or ;
      id==a && id==b
            ^

    the value is not closed: a ' is missing
      id=='a
          ^

    a \ at the end takes no character as itself
      id==a\
           ^

    expected a list of values, such as (a,b), found `a`
      id=in=a
            ^

    expected `,` or `)`, found `b`; a value with blanks or one of " ' ( ) ; , = ! < > goes in quotes
      id=in=(a b)
               ^

    expected a value, found `(`; lists go with =in= and =out=
      id==(a,b)
          ^

    expected a field such as id, version or tag.region, found `�`
      id==a  and �[31m==b
                 ^

    the expression is empty; leave it out to choose every device
    "#);
}

#[test]
fn a_suggestion_may_come_from_the_tags_there_are() {
    let error = Selector::parse("regoin==northeast").unwrap_err();
    insta::assert_snapshot!(error.with_tags(["store", "region"]), @"
    unknown field `regoin`: did you mean `tag.region`?
      regoin==northeast
      ^^^^^^
    ");
}

#[test]
fn long_expressions_are_shown_around_the_place() {
    let text = format!("{} and regoin==x and {}", "id==abcdef or ".repeat(20) + "id==a", "id==a");
    insta::assert_snapshot!(refusal(&text), @"
    unknown field `regoin`: a tag is written `tag.regoin`; the fields are id, name, version, location, status, time_zone, last_seen, address
      ...==abcdef or id==abcdef or id==a and regoin==x and id==a
                                             ^^^^^^
    ");
}

#[test]
fn limits() {
    let nested = |depth: usize| format!("{}id==a{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(canonical(&nested(DEPTH_MAX)), "id==a");
    assert!(refusal(&nested(DEPTH_MAX + 1)).starts_with("more than 32 parentheses"));

    let many = |count: usize| vec!["id==a"; count].join(";");
    assert!(Selector::parse(&many(COMPARISONS_MAX)).is_ok());
    assert!(refusal(&many(COMPARISONS_MAX + 1)).starts_with("more than 256 comparisons"));
    let list = format!("id=in=({})", vec!["a"; COMPARISONS_MAX + 1].join(","));
    assert!(refusal(&list).starts_with("more than 256 comparisons"));

    let long = |bytes: usize| format!("id=={}", "a".repeat(bytes - 4));
    assert!(Selector::parse(&long(TEXT_BYTES_MAX)).is_ok());
    assert_eq!(
        refusal(&long(TEXT_BYTES_MAX + 1)),
        "the expression is 4097 bytes long, the most is 4096"
    );
    let grows = format!("id=='{}'", "\"".repeat(TEXT_BYTES_MAX - 6));
    assert!(refusal(&grows).starts_with("the expression is 8186 bytes long in its canonical form"));
}

#[test]
fn a_long_name_is_not_repeated_whole() {
    let long = "x".repeat(2_000);
    for text in [format!("{long}==a"), format!("tags.{long}==a"), format!("{long}.{long}==a")] {
        let reason = Selector::parse(&text).unwrap_err().reason();
        assert!(reason.len() < 400 && reason.contains("xxx...`"), "{reason}");
    }
}
