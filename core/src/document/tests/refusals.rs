//! What is said of mistakes.

use super::*;
use crate::time::Time;

/// Each document and what is said of it.
pub(super) fn told(documents: impl IntoIterator<Item = Value>) -> String {
    let lines = documents.into_iter().flat_map(|document| {
        let faults = refused(document.clone()).replace('\n', "\n  ");
        [document.to_string(), format!("  {faults}")]
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn all_mistakes_at_once() {
    let document = json!({
        "release": "pos-app",
        "windws": ["02:00-04:00"],
        "start_at": "tomorrow",
        "waves": [
            {"percent": 10, "soak": "30 parrots"},
            {"percent": 50, "min_success": 0.95},
            {"percent": 100, "min_succes": 95},
        ],
        "limits": {"max_in_flight": 0, "max_inflight": 5},
        "offline": "wiat",
    });
    insta::assert_snapshot!(refused(document), @r#"
    unknown field "windws"; did you mean "windows"?
    limits: unknown field "max_inflight"; did you mean "max_in_flight"?
    limits.max_in_flight: must be a whole number from 1 to 10000, not 0
    release: must be a name and a version, not "pos-app"; write one such as "pos-app 2.3.0", or a table of name and version where either has blanks
    start_at: must be a time with its offset from UTC, not "tomorrow"; write one such as "2026-11-24T02:00:00-05:00" or "2026-11-24T07:00:00Z" (RFC 3339)
    waves[1].soak: `30 parrots` has no unit that is known; write for example 500ms, 1.5s, 2m or 1h
    waves[2].min_success: must be a whole percentage from 0 to 100, not 0.95; write 95
    waves[3]: unknown field "min_succes"; did you mean "min_success"?
    offline: must be one of skip, wait and try, not "wiat"; write "wait"
    "#);
}

#[test]
fn names() {
    insta::assert_snapshot!(told([
        json!({"windws": []}),
        json!({"Release": "pos-app 2.3.0", "time-zone": "UTC"}),
        json!({"max_in_flight": 5}),
        json!({"min_success": 5}),
        json!({"filter": "id==a"}),
        json!({"xyzzy": true, "a\nb": 1}),
        json!({"limits": {"priority": 5, "max_inflight": 5, "rate": 5, "color": "red"}}),
        json!({"waves": [{"percent": 100, "soack": "1m"}]}),
        json!({"time_zone": {"fix": "UTC"}}),
        json!({"freezes": [{"from": "2026-12-20", "until": "2026-12-21"}]}),
    ]), @r#"
    {"windws":[]}
      unknown field "windws"; did you mean "windows"?
    {"Release":"pos-app 2.3.0","time-zone":"UTC"}
      unknown field "Release"; did you mean "release"?
      unknown field "time-zone"; did you mean "time_zone"?
    {"max_in_flight":5}
      unknown field "max_in_flight"; it belongs to "limits"
    {"min_success":5}
      unknown field "min_success"; it belongs to "waves"
    {"filter":"id==a"}
      unknown field "filter"; did you mean "select"?
    {"a\nb":1,"xyzzy":true}
      unknown field "a\nb"; the fields are release, select, strategy, start_at, deadline, windows, freezes, time_zone, when_closed, waves, gates, limits, budgets, retry, verify, timeouts, membership, salt, offline, wait_absent, max_failures, regression, health, on_failure, unreachable, quarantine_after, priority and allow_downgrade
      unknown field "xyzzy"; the fields are release, select, strategy, start_at, deadline, windows, freezes, time_zone, when_closed, waves, gates, limits, budgets, retry, verify, timeouts, membership, salt, offline, wait_absent, max_failures, regression, health, on_failure, unreachable, quarantine_after, priority and allow_downgrade
    {"limits":{"color":"red","max_inflight":5,"priority":5,"rate":5}}
      limits: unknown field "color"; the fields are max_in_flight, max_unverified, max_per_host and per_minute
      limits: unknown field "max_inflight"; did you mean "max_in_flight"?
      limits: unknown field "priority"; it belongs to the document itself; in TOML write it above the first [table]
      limits: unknown field "rate"; did you mean "limits.per_minute"?
    {"waves":[{"percent":100,"soack":"1m"}]}
      waves[1]: unknown field "soack"; did you mean "soak"?
    {"time_zone":{"fix":"UTC"}}
      time_zone: unknown field "fix"; the only field is fixed
      time_zone.fixed: is missing; write one such as "Europe/Berlin"
    {"freezes":[{"from":"2026-12-20","until":"2026-12-21"}]}
      freezes[1]: unknown field "until"; the fields are from, to and reason
      freezes[1].to: is missing; write one such as "2027-01-02"
    "#);
}

#[test]
fn kinds() {
    insta::assert_snapshot!(told([
        json!({"select": 5}),
        json!({"strategy": ["immediate"]}),
        json!({"windows": "02:00-04:00"}),
        json!({"waves": {"percent": 100}}),
        json!({"limits": 5}),
        json!({"limits": {"max_in_flight": "100"}}),
        json!({"limits": {"per_minute": 2.5}}),
        json!({"allow_downgrade": "yes"}),
        json!({"priority": 3_000_000_000_i64}),
        json!({"wait_absent": 30}),
        json!({"retry": {"multiplier": "2"}}),
        json!({"max_failures": 0.1}),
        json!({"max_failures": "10"}),
        json!({"verify": "none"}),
    ]), @r#"
    {"select":5}
      select: must be a text in quotes, not 5; write one such as "tag.region==northeast"
    {"strategy":["immediate"]}
      strategy: must be one of immediate, scheduled, progressive and on_connect, not a list
    {"windows":"02:00-04:00"}
      windows: must be a list, not "02:00-04:00"; write ["02:00-04:00"]
    {"waves":{"percent":100}}
      waves: must be a list, not a table; write [[waves]] in TOML, [{...}] in JSON
    {"limits":5}
      limits: must be a table of max_in_flight, max_unverified, max_per_host and per_minute, not 5
    {"limits":{"max_in_flight":"100"}}
      limits.max_in_flight: must be a whole number from 1 to 10000, not "100"; write 100
    {"limits":{"per_minute":2.5}}
      limits.per_minute: must be a whole number from 1 to 6000000, not 2.5
    {"allow_downgrade":"yes"}
      allow_downgrade: must be true or false, without quotes, not "yes"
    {"priority":3000000000}
      priority: must be a whole number from -2147483648 to 2147483647, not 3000000000
    {"wait_absent":30}
      wait_absent: must be a duration in quotes, not 30; write one such as "24h"
    {"retry":{"multiplier":"2"}}
      retry.multiplier: must be a number, not "2"; write one such as 1.5, without quotes
    {"max_failures":0.1}
      max_failures: must be a number of devices or a percentage in quotes, not 0.1; write 5 or "10%"
    {"max_failures":"10"}
      max_failures: must be a number of devices or a percentage in quotes, not "10"; write 10, or "10%" for a percentage
    {"verify":"none"}
      verify: must be a table of mode and first, not "none"
    "#);
}

#[test]
fn releases() {
    insta::assert_snapshot!(told([
        json!({"release": null}),
        json!({"release": "pos-app"}),
        json!({"release": "pos app 2.3.0"}),
        json!({"release": ""}),
        json!({"release": {"name": "pos-app"}}),
        json!({"release": {"name": "pos-app", "version": 2.3}}),
        json!({"release": {"name": "pos\u{1b}app", "version": "2.3.0"}}),
    ]), @r#"
    {"release":null}
      release: is missing; write one such as "pos-app 2.3.0"
    {"release":"pos-app"}
      release: must be a name and a version, not "pos-app"; write one such as "pos-app 2.3.0", or a table of name and version where either has blanks
    {"release":"pos app 2.3.0"}
      release: must be a name and a version, not "pos app 2.3.0"; write one such as "pos-app 2.3.0", or a table of name and version where either has blanks
    {"release":""}
      release: the text is empty; write one such as "pos-app 2.3.0"
    {"release":{"name":"pos-app"}}
      release.version: is missing; write one such as "2.3.0"
    {"release":{"name":"pos-app","version":2.3}}
      release.version: must be a text in quotes, not 2.3; write one such as "2.3.0"
    {"release":{"name":"pos\u001bapp","version":"2.3.0"}}
      release.name: the text has a control character at byte 3; write one such as "pos-app"
    "#);
}

#[test]
fn selectors() {
    insta::assert_snapshot!(told([
        json!({"select": "tag.region==northeast and versoin<2.2"}),
        json!({"select": ""}),
        json!({"waves": [{"select": "id=="}, {"percent": 100}]}),
    ]), @r#"
    {"select":"tag.region==northeast and versoin<2.2"}
      select: unknown field `versoin`: did you mean `version`?
        tag.region==northeast and versoin<2.2
                                  ^^^^^^^
    {"select":""}
      select: the expression is empty; leave it out to choose every device
    {"waves":[{"select":"id=="},{"percent":100}]}
      waves[1].select: expected a value, found the end
        id==
            ^
    "#);
}

#[test]
fn strategies() {
    insta::assert_snapshot!(told([
        json!({"strategy": "Progresive"}),
        json!({"strategy": "progressive"}),
        json!({"strategy": "progressive", "waves": []}),
        json!({"strategy": "immediate", "waves": [{"percent": 100}]}),
        json!({"strategy": "scheduled"}),
        json!({"strategy": "on_connect", "offline": "skip"}),
        json!({"strategy": "on_connect", "offline": "try"}),
        json!({"membership": "live"}),
    ]), @r#"
    {"strategy":"Progresive"}
      strategy: must be one of immediate, scheduled, progressive and on_connect, not "Progresive"; write "progressive"
    {"strategy":"progressive"}
      strategy: progressive goes by waves, and there are none; write [[waves]], the last with percent = 100, or strategy = "immediate"
    {"strategy":"progressive","waves":[]}
      strategy: progressive goes by waves, and there are none; write [[waves]], the last with percent = 100, or strategy = "immediate"
    {"strategy":"immediate","waves":[{"percent":100}]}
      waves: strategy = "immediate" has no waves; write strategy = "progressive", or leave the waves out
    {"strategy":"scheduled"}
      strategy: scheduled goes by start_at or windows, and there is neither; write one, or strategy = "immediate"
    {"offline":"skip","strategy":"on_connect"}
      offline: strategy = "on_connect" waits for devices that are away; write "wait", or leave it out
    {"offline":"try","strategy":"on_connect"}
      offline: strategy = "on_connect" waits for devices that are away; write "wait", or leave it out
    {"membership":"live"}
      membership: must be one of snapshot and dynamic, not "live"
    "#);
}

#[test]
fn times() {
    insta::assert_snapshot!(told([
        json!({"start_at": "2026-11-24T02:00:00"}),
        json!({"start_at": "-3m"}),
        json!({"deadline": "soon"}),
        json!({"deadline": "0s"}),
        json!({"deadline": "2026-11-24"}),
        json!({"deadline": "400d"}),
        json!({"start_at": "2026-11-24T02:00:00Z", "deadline": "2026-11-24T01:00:00Z"}),
        json!({"wait_absent": "1"}),
        json!({"wait_absent": "9".repeat(100)}),
        json!({"wait_absent": "\u{1b}[31m"}),
    ]), @r#"
    {"start_at":"2026-11-24T02:00:00"}
      start_at: must be a time with its offset from UTC, not "2026-11-24T02:00:00"; write one such as "2026-11-24T02:00:00-05:00" or "2026-11-24T07:00:00Z" (RFC 3339)
    {"start_at":"-3m"}
      start_at: must be a time with its offset from UTC, not "-3m"; write one such as "2026-11-24T02:00:00-05:00" or "2026-11-24T07:00:00Z" (RFC 3339)
    {"deadline":"soon"}
      deadline: must be a time with its offset from UTC, or a duration after the start, not "soon"; write one such as "2026-11-24T02:00:00-05:00" or "14d"
    {"deadline":"0s"}
      deadline: must be from 1ms to 365d, not 0s
    {"deadline":"2026-11-24"}
      deadline: must be a time with its offset from UTC, or a duration after the start, not "2026-11-24"; write one such as "2026-11-24T02:00:00-05:00" or "14d"
    {"deadline":"400d"}
      deadline: must be from 1ms to 365d, not 400d
    {"deadline":"2026-11-24T01:00:00Z","start_at":"2026-11-24T02:00:00Z"}
      deadline: is not after start_at: nothing would ever be begun
    {"wait_absent":"1"}
      wait_absent: `1` has no unit that is known; write for example 500ms, 1.5s, 2m or 1h
    {"wait_absent":"9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999"}
      wait_absent: must be a duration in quotes, not "9999999999999999999999999999999999999999999999999999999999999999..."; write one such as "24h"
    {"wait_absent":"\u001b[31m"}
      wait_absent: must be a duration in quotes, not "\u{1b}[31m"; write one such as "24h"
    "#);
}

#[test]
fn windows_and_zones() {
    insta::assert_snapshot!(told([
        json!({"windows": ["02:00-04:00", "25:00-26:00", "Sut 01:00-02:00"]}),
        json!({"freezes": ["2026-12-20", {"from": "2026-12-20", "to": "2026-12-19"}, {"from": "12/20"}]}),
        json!({"windows": vec!["02:00-04:00"; 65]}),
        json!({"time_zone": "America/NewYork"}),
        json!({"time_zone": {"fixed": "Berlin"}}),
        json!({"time_zone": {}}),
        json!({"when_closed": "stop"}),
    ]).replace(&"\"02:00-04:00\",".repeat(64), "(64 times)"), @r#"
    {"windows":["02:00-04:00","25:00-26:00","Sut 01:00-02:00"]}
      windows[2]: `25:00` is no time of day; write hours and minutes from 00:00 to 24:00, as in 02:00-04:00
      windows[3]: `Sut` is no day of the week; write Mon, Tue, Wed, Thu, Fri, Sat or Sun, as in Mon-Fri 22:00-06:00
    {"freezes":["2026-12-20",{"from":"2026-12-20","to":"2026-12-19"},{"from":"12/20"}]}
      freezes[1]: `2026-12-20` is no freeze; write 2026-12-20..2027-01-02 (both dates are frozen whole) or 2026-12-24T12:00..2026-12-27T06:00
      freezes[2]: a freeze from 2026-12-20 to 2026-12-19 would be over as it begins, or before; the earlier one comes first
      freezes[3].from: `12/20` is no local date; write 2026-12-24 or 2026-12-24T12:00, without an offset: every device judges it by its own clock
      freezes[3].to: is missing; write one such as "2027-01-02"
    {"windows":[(64 times)"02:00-04:00"]}
      windows: 65 windows are more than the 64 there may be
    {"time_zone":"America/NewYork"}
      time_zone: `America/NewYork` is no time zone; did you mean America/New_York?
    {"time_zone":{"fixed":"Berlin"}}
      time_zone.fixed: `Berlin` is no time zone; did you mean Europe/Berlin?
    {"time_zone":{}}
      time_zone.fixed: is missing; write one such as "Europe/Berlin"
    {"when_closed":"stop"}
      when_closed: must be one of wait and end, not "stop"
    "#);
}

#[test]
fn waves() {
    insta::assert_snapshot!(told([
        json!({"waves": [{"soak": "1m"}, {"percent": 100}]}),
        json!({"waves": [{"percent": 10, "count": 5}, {"percent": 100}]}),
        json!({"waves": [{"percent": 0}, {"percent": 101}, {"percent": "50%"}]}),
        json!({"waves": [{"count": 0}, {"count": 1.5}, {"percent": 100}]}),
        json!({"waves": [{"percent": 50}, {"percent": 50}, {"percent": 10}, {"percent": 100}]}),
        json!({"waves": [{"percent": 50}]}),
        json!({"waves": [{"percent": 100}, {"count": 5}]}),
        json!({"waves": [{"count": 5}, {"percent": 100}], "membership": "dynamic"}),
        json!({"waves": [{"percent": 10, "min_success": 101}, {"percent": 100, "min_success": "95%"}]}),
        json!({"waves": [{"percent": 100, "soak": "366d"}]}),
        json!({"waves": (0..101).map(|_| json!({"count": 1})).collect::<Vec<_>>()}),
    ]).replace(&"{\"count\":1},".repeat(100), "(100 times)"), @r#"
    {"waves":[{"soak":"1m"},{"percent":100}]}
      waves[1]: says no devices; write one of percent, count and select
    {"waves":[{"count":5,"percent":10},{"percent":100}]}
      waves[1]: has more than one of percent, count and select; keep one
    {"waves":[{"percent":0},{"percent":101},{"percent":"50%"}]}
      waves[1].percent: must be a whole percentage from 1 to 100, not 0
      waves[2].percent: must be a whole percentage from 1 to 100, not 101
      waves[3].percent: must be a whole percentage from 1 to 100, not "50%"; write 50
    {"waves":[{"count":0},{"count":1.5},{"percent":100}]}
      waves[1].count: must be a whole number from 1 to 4294967295, not 0
      waves[2].count: must be a whole number from 1 to 4294967295, not 1.5
    {"waves":[{"percent":50},{"percent":50},{"percent":10},{"percent":100}]}
      waves[2].percent: is cumulative: it must be more than in the waves before
      waves[3].percent: is cumulative: it must be more than in the waves before
    {"waves":[{"percent":50}]}
      waves[1].percent: the last wave takes what is left: give it percent = 100
    {"waves":[{"percent":100},{"count":5}]}
      waves[2].count: no wave may follow percent = 100: nothing is left for it
    {"membership":"dynamic","waves":[{"count":5},{"percent":100}]}
      waves[1].count: with dynamic membership every wave has a percent: nobody knows yet who joins
    {"waves":[{"min_success":101,"percent":10},{"min_success":"95%","percent":100}]}
      waves[1].min_success: must be a whole percentage from 0 to 100, not 101
      waves[2].min_success: must be a whole percentage from 0 to 100, not "95%"; write 95
    {"waves":[{"percent":100,"soak":"366d"}]}
      waves[1].soak: must be from 0s to 365d, not 366d
    {"waves":[(100 times){"count":1}]}
      waves: there are 101, the most is 100
    "#);
}

#[test]
fn budgets() {
    let many = || (0..17).map(|n| json!({"per": format!("tag.t{n}"), "max": 1}));
    insta::assert_snapshot!(told([
        json!({"budgets": {"per": "tag.store", "max": 1}}),
        json!({"budgets": "tag.store"}),
        json!({"budgets": [{"max": 1}, {"per": "tag.store"}, {"per": 5, "max": 1, "max_percent": 2}]}),
        json!({"budgets": [{"per": "tag.a", "max": 0}, {"per": "tag.b", "max_percent": 101},
            {"per": "tag.c", "max_percent": "2%"}, {"per": "tag.d", "max": -1}]}),
        json!({"budgets": [{"per": "store", "max": 1}, {"per": "tag.", "max": 1},
            {"per": "tag.a==*", "max": 1}, {"per": "tag.sales region", "max": 1},
            {"per": "tag.\"a*\"", "max": 1}, {"per": "tag.\"a\nb\"", "max": 1}, {"per": "", "max": 1}]}),
        json!({"budgets": [{"per": "tag.store", "max": 0}, {"per": "tag.region", "max": 1},
            {"per": "tag.\"store\"", "max": 2}, {"per": "tag.store", "maximum": 2}]}),
        json!({"budgets": [{"per": "tag.store", "max": 1, "count_down": "yes", "max_percents": 1}]}),
        json!({"budgets": many().collect::<Vec<_>>()}),
        json!({"max_percent": 5, "max_unavailable": 1}),
    ]).replace(&many().map(|budget| budget.to_string()).collect::<Vec<_>>().join(","), "(17)"), @r#"
    {"budgets":{"max":1,"per":"tag.store"}}
      budgets: must be a list, not a table; write [[budgets]] in TOML, [{...}] in JSON
    {"budgets":"tag.store"}
      budgets: must be a list, not "tag.store"; write [{ per = "tag.store", max = 1 }]
    {"budgets":[{"max":1},{"per":"tag.store"},{"max":1,"max_percent":2,"per":5}]}
      budgets[1].per: is missing; write one such as "tag.store"
      budgets[2]: says no limit; write max = 1, or max_percent = 2
      budgets[3].per: must be a text in quotes, not 5; write one such as "tag.store"
      budgets[3]: has both max and max_percent; keep one
    {"budgets":[{"max":0,"per":"tag.a"},{"max_percent":101,"per":"tag.b"},{"max_percent":"2%","per":"tag.c"},{"max":-1,"per":"tag.d"}]}
      budgets[1].max: must be a whole number from 1 to 4294967295, not 0
      budgets[2].max_percent: must be a whole percentage from 1 to 100, not 101
      budgets[3].max_percent: must be a whole percentage from 1 to 100, not "2%"; write 2
      budgets[4].max: must be a whole number from 1 to 4294967295, not -1
    {"budgets":[{"max":1,"per":"store"},{"max":1,"per":"tag."},{"max":1,"per":"tag.a==*"},{"max":1,"per":"tag.sales region"},{"max":1,"per":"tag.\"a*\""},{"max":1,"per":"tag.\"a\nb\""},{"max":1,"per":""}]}
      budgets[1].per: `store` is no tag; did you mean tag.store?
      budgets[2].per: `tag.` is no tag; write tag. and the key of one, such as tag.store, or tag."opened in" if the key has blanks
      budgets[3].per: `tag.a==*` is no tag; write tag. and the key of one, such as tag.store, or tag."opened in" if the key has blanks
      budgets[4].per: `tag.sales region` is no tag; write tag. and the key of one, such as tag.store, or tag."opened in" if the key has blanks
      budgets[5].per: `tag.\"a*\"` is no tag; write tag. and the key of one, such as tag.store, or tag."opened in" if the key has blanks
      budgets[6].per: the key has a control character at byte 1
      budgets[7].per: `` is no tag; write tag. and the key of one, such as tag.store, or tag."opened in" if the key has blanks
    {"budgets":[{"max":0,"per":"tag.store"},{"max":1,"per":"tag.region"},{"max":2,"per":"tag.\"store\""},{"maximum":2,"per":"tag.store"}]}
      budgets[1].max: must be a whole number from 1 to 4294967295, not 0
      budgets[4]: unknown field "maximum"; the fields are per, max, max_percent and count_down
      budgets[4]: says no limit; write max = 1, or max_percent = 2
      budgets[3].per: budgets[1] has tag.store already; keep the one that is meant, or write another tag
      budgets[4].per: budgets[1] has tag.store already; keep the one that is meant, or write another tag
    {"budgets":[{"count_down":"yes","max":1,"max_percents":1,"per":"tag.store"}]}
      budgets[1]: unknown field "max_percents"; did you mean "max_percent"?
      budgets[1].count_down: must be true or false, without quotes, not "yes"
    {"budgets":[(17)]}
      budgets: there are 17, the most is 16
    {"max_percent":5,"max_unavailable":1}
      unknown field "max_percent"; it belongs to "budgets"
      unknown field "max_unavailable"; did you mean "budgets.max"?
    "#);
}

#[test]
fn pace_and_proof() {
    insta::assert_snapshot!(told([
        json!({"limits": {"max_in_flight": 0, "max_unverified": -1, "max_per_host": 10_001, "per_minute": 0}}),
        json!({"retry": {"attempts": 0, "multiplier": 0.5, "jitter_percent": 101}}),
        json!({"retry": {"backoff": "2m", "max_backoff": "1m"}}),
        json!({"retry": {"max_backoff": "500ms"}}),
        json!({"retry": {"backoff": "25h"}}),
        json!({"verify": {"mode": "ping", "first": 1}}),
        json!({"timeouts": {"delivering": "0s", "verifying": "8d"}}),
        json!({"timeouts": {"verifying": "0s"}}),
        json!({"max_failures": -1}),
        json!({"max_failures": "101%"}),
        json!({"on_failure": "revert"}),
        json!({"salt": " "}),
    ]), @r#"
    {"limits":{"max_in_flight":0,"max_per_host":10001,"max_unverified":-1,"per_minute":0}}
      limits.max_in_flight: must be a whole number from 1 to 10000, not 0
      limits.max_unverified: must be a whole number from 1 to 1000000, not -1
      limits.max_per_host: must be a whole number from 1 to 10000, not 10001
      limits.per_minute: must be a whole number from 1 to 6000000, not 0
    {"retry":{"attempts":0,"jitter_percent":101,"multiplier":0.5}}
      retry.attempts: must be a whole number from 1 to 100, not 0
      retry.jitter_percent: must be a whole percentage from 0 to 100, not 101
      retry.multiplier: must be a number from 1 to 100, not 0.5
    {"retry":{"backoff":"2m","max_backoff":"1m"}}
      retry.backoff: 2m is longer than max_backoff, 1m; write max_backoff as well, or a shorter one
    {"retry":{"max_backoff":"500ms"}}
      retry: 1s is longer than max_backoff, 500ms; write max_backoff as well, or a shorter one
    {"retry":{"backoff":"25h"}}
      retry.backoff: must be from 0s to 1d, not 25h
    {"verify":{"first":1,"mode":"ping"}}
      verify.mode: must be one of version, reachable and none, not "ping"
      verify.first: must be true or false, without quotes, not 1
    {"timeouts":{"delivering":"0s","verifying":"8d"}}
      timeouts.delivering: must be from 1ms to 7d, not 0s
      timeouts.verifying: must be from 1ms to 7d, not 8d
    {"timeouts":{"verifying":"0s"}}
      timeouts.verifying: must be from 1ms to 7d, not 0s
    {"max_failures":-1}
      max_failures: must be a whole number from 0 to 4294967295, not -1
    {"max_failures":"101%"}
      max_failures: "101%" is neither a number of devices (5) nor a whole percentage from 0% to 100% (10%)
    {"on_failure":"revert"}
      on_failure: must be one of pause, abort and rollback, not "revert"
    {"salt":" "}
      salt: the text is empty; write one such as "pilot-2026"
    "#);
}

#[test]
fn health() {
    let waves = json!([{"percent": 10, "soak": "3m"}, {"percent": 100}]);
    let with = |health: serde_json::Value| json!({"waves": waves, "health": health});
    insta::assert_snapshot!(told([
        with(json!("version")),
        with(json!({})),
        with(json!({"check": "ping"})),
        with(json!({"check": "version", "path": "/healthz"})),
        with(json!({"check": "url", "path": "healthz"})),
        with(json!({"check": "url", "every": "0s", "failures": 0})),
        with(json!({"check": "url", "every": "2m"})),
        with(json!({"check": "url", "interval": "2m"})),
        json!({"waves": [{"percent": 100}], "health": {"check": "version"}}),
        json!({"health": {"check": "version"}}),
    ]), @r#"
    {"health":"version","waves":[{"percent":10,"soak":"3m"},{"percent":100}]}
      health: must be a table of check, path, every and failures, not "version"
    {"health":{},"waves":[{"percent":10,"soak":"3m"},{"percent":100}]}
      health.check: is missing; write one such as "url"
    {"health":{"check":"ping"},"waves":[{"percent":10,"soak":"3m"},{"percent":100}]}
      health.check: must be one of version and url, not "ping"
    {"health":{"check":"version","path":"/healthz"},"waves":[{"percent":10,"soak":"3m"},{"percent":100}]}
      health.path: check = "version" asks where devices tell their version; leave it out, or write check = "url"
    {"health":{"check":"url","path":"healthz"},"waves":[{"percent":10,"soak":"3m"},{"percent":100}]}
      health.path: path "healthz": it must start with /
    {"health":{"check":"url","every":"0s","failures":0},"waves":[{"percent":10,"soak":"3m"},{"percent":100}]}
      health.every: must be from 1s to 365d, not 0s
      health.failures: must be a whole number from 1 to 100, not 0
    {"health":{"check":"url","every":"2m"},"waves":[{"percent":10,"soak":"3m"},{"percent":100}]}
      health.every: 3 failures in a row, asked every 2m, take 6m, and the longest soak is 3m; write a longer soak, or ask more often
    {"health":{"check":"url","interval":"2m"},"waves":[{"percent":10,"soak":"3m"},{"percent":100}]}
      health: unknown field "interval"; the fields are check, path, every and failures
    {"health":{"check":"version"},"waves":[{"percent":100}]}
      health.check: devices are asked while their wave soaks, and no wave does; write soak in [[waves]], or leave health out
    {"health":{"check":"version"}}
      health.check: devices are asked while their wave soaks, and no wave does; write soak in [[waves]], or leave health out
    "#);
}

/// 2026-11-24T12:00Z.
const NOON: Time = Time::from_millis(1_795_521_600_000);

fn refused_at_noon(document: Value) -> String {
    let tree: Tree = serde_json::from_str(&with_release(document).to_string()).unwrap();
    Document::read_at(&tree, NOON).map_or_else(|error| error.to_string(), |_| "fine".to_owned())
}

#[test]
fn what_could_never_send_anything() {
    let documents = [
        json!({"deadline": "2026-11-24T11:59:00Z", "membership": "live"}),
        json!({"deadline": "2026-11-24T12:01:00Z"}),
        json!({"deadline": "2026-12-24T12:00:00Z", "freezes": ["2026-11-20..2027-01-10"]}),
        json!({"deadline": "14d", "freezes": ["2026-11-20..2027-01-10"]}),
        json!({"freezes": ["2026-11-20..2037-01-10"]}),
        json!({
            "deadline": "2026-11-24T13:00:00Z", "windows": ["02:00-04:00"],
            "time_zone": {"fixed": "UTC"},
        }),
        json!({
            "start_at": "2026-12-21T00:00:00Z", "deadline": "2026-12-31T00:00:00Z",
            "windows": ["Sat 02:00-04:00"], "freezes": ["2026-12-24..2026-12-27"],
        }),
        // By a window that could not be read nothing else is judged.
        json!({"deadline": "2026-11-24T13:00:00Z", "windows": ["2-4"], "time_zone": {"fixed": "UTC"}}),
    ];
    let lines = documents.into_iter().flat_map(|document| {
        let faults = refused_at_noon(document.clone()).replace('\n', "\n  ");
        [document.to_string(), format!("  {faults}")]
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r#"
    {"deadline":"2026-11-24T11:59:00Z","membership":"live"}
      membership: must be one of snapshot and dynamic, not "live"
      deadline: has passed: nothing would ever be sent; write a later one
    {"deadline":"2026-11-24T12:01:00Z"}
      fine
    {"deadline":"2026-12-24T12:00:00Z","freezes":["2026-11-20..2027-01-10"]}
      freezes: hold all the time until the deadline: nothing would ever be sent; write a later deadline, or shorter freezes
    {"deadline":"14d","freezes":["2026-11-20..2027-01-10"]}
      fine
    {"freezes":["2026-11-20..2037-01-10"]}
      freezes: hold for two years and longer: nothing would ever be sent; write shorter ones
    {"deadline":"2026-11-24T13:00:00Z","time_zone":{"fixed":"UTC"},"windows":["02:00-04:00"]}
      windows: none opens before the deadline: nothing would ever be sent; write a later deadline, or other windows
    {"deadline":"2026-12-31T00:00:00Z","freezes":["2026-12-24..2026-12-27"],"start_at":"2026-12-21T00:00:00Z","windows":["Sat 02:00-04:00"]}
      windows: none opens outside of the freezes before the deadline: nothing would ever be sent; write a later deadline, other windows or shorter freezes
    {"deadline":"2026-11-24T13:00:00Z","time_zone":{"fixed":"UTC"},"windows":["2-4"]}
      windows[1]: `2` is no time of day; write hours and minutes from 00:00 to 24:00, as in 02:00-04:00
    "#);
}
