//! Rollouts that are written down and not begun: what they would do, and what is wrong with specs.

use groundswell::{clock::Clock, operate};

use super::{Desk, assert_told};

#[test]
fn a_dry_run_says_who_would_be_in_which_wave_and_writes_nothing() {
    let desk = Desk::set();
    assert_told!(desk.told(&["rollout", "create", "spec.toml", "--dry-run"]), @"
    exit 0
    --- out
    dry run, nothing is written: pos-app 2.0.0, progressive
      select   tag.region==north
      devices  6 match now (1 without an address); who is in it is settled at its start

      wave  devices  gate               first
         1        1  >= 100 % after 1h  pos-03
         2        5  >= 95 %            pos-05, pos-04, pos-01, ...

    warning: release: 1 of 6 devices runs 3.0.0, newer than 2.0.0, and would be skipped; allow_downgrade = true sends to them as well
    ");
    assert_told!(desk.told(&["rollout", "list"]), @"
    exit 0
    --- err
    note: no rollout yet: `groundswell rollout create SPEC` makes one
    ");
}

#[test]
fn a_draft_is_shown_with_what_it_would_do() {
    let desk = Desk::set();
    assert_told!(desk.told(&["rollout", "create", "spec.toml"]), @"
    exit 0
    --- out
    rollout 1 is a draft: pos-app 2.0.0, progressive
      id       ID
      select   tag.region==north
      devices  6 match now (1 without an address); who is in it is settled at its start

      wave  devices  gate               first
         1        1  >= 100 % after 1h  pos-03
         2        5  >= 95 %            pos-05, pos-04, pos-01, ...

    warning: release: 1 of 6 devices runs 3.0.0, newer than 2.0.0, and would be skipped; allow_downgrade = true sends to them as well
    `groundswell rollout start 1` begins it
    ");
    assert_told!(desk.told(&["rollout", "list"]), @"
    exit 0
    --- out
      n  release        strategy     state  devices  ended  failed  created
      1  pos-app 2.0.0  progressive  draft        0      0       0  TIME
    ");
    assert_told!(desk.told(&["rollout", "show", "1"]), @"
    exit 0
    --- out
    rollout 1: pos-app 2.0.0, progressive, draft
      id       ID
      select   tag.region==north
      created  TIME
      devices  6 match now (1 without an address); who is in it is settled at its start

      wave  devices  gate
         1        1  >= 100 % after 1h
         2        5  >= 95 %

    not started
    `groundswell rollout start 1` begins it
    ");
    let id = desk.well(&["rollout", "show", "1", "--output", "json"]).json()["id"].clone();
    let by_id = desk.well(&["rollout", "show", id.as_str().unwrap(), "--output", "json"]).json();
    assert_eq!(by_id["number"], 1);
    let begins = &id.as_str().unwrap()[..8];
    assert_eq!(desk.well(&["rollout", "show", begins, "--output", "json"]).json()["number"], 1);
}

#[test]
fn why_nothing_happens_in_a_draft() {
    let desk = Desk::drafted();
    assert_told!(desk.told(&["rollout", "why", "1"]), @"
    exit 0
    --- out
    rollout 1: pos-app 2.0.0, progressive, draft

    not started
    `groundswell rollout start 1` begins it
    ");
    assert_told!(desk.told(&["rollout", "why", "1", "pos-03"]), @"
    exit 0
    --- out
    pos-03 would be in rollout 1 (pos-app 2.0.0); its wave is drawn at the start
      not started
    ");
    assert_told!(desk.told(&["rollout", "why", "1", "pos-07"]), @"
    exit 0
    --- out
    pos-07 is not in rollout 1 (pos-app 2.0.0), which selects tag.region==north
    ");
    assert_told!(desk.told(&["rollout", "why", "1", "pos-77"]), @"
    exit 2
    --- err
    error: there is no device `pos-77`; did you mean `pos-07`?
    ");
}

#[test]
fn of_waves_that_are_drawn_from_a_draft_knows_the_sizes_and_nobody() {
    let desk = Desk::set();
    let spec = |waves: &str| {
        let waves = waves.replace("wave: ", "\n[[waves]]\n");
        format!(
            "release = 'pos-app 2.0.0'\nselect = 'tag.region==north'\nsalt = 'fixed'\n\
             windows = ['02:00-04:00']\n{waves}\n[[waves]]\npercent = 100"
        )
    };
    let led = "wave: select = 'version>=3.0.0'wave: select = 'id=in=(pos-01,pos-04,pos-09)'\
               wave: count = 1wave: percent = 50";
    let drawn_first = "wave: count = 2wave: select = 'id==pos-01'";
    for (waves, sizes) in [
        (led, vec![Some(1), Some(1), Some(1), Some(0), Some(3)]),
        (drawn_first, vec![Some(2), None, None]),
    ] {
        desk.keep("drawn.toml", &spec(waves));
        let created = desk.well(&["rollout", "create", "drawn.toml", "--output", "json"]).json();
        let number = created["number"].to_string();
        let state = operate::State::look(&desk.state()).unwrap();
        let spec = state.find_rollout(&number).unwrap().spec;
        let now = Clock::System.now();
        let told = state.outline(&spec, now).unwrap();
        assert_eq!(told.waves.iter().map(|wave| wave.devices).collect::<Vec<_>>(), sizes);
        // All else is as a draw has it.
        let drawn = state.forecast(&spec, now).unwrap();
        assert_eq!((told.devices, told.without_address), (drawn.devices, drawn.without_address));
        let zones = |forecast: &operate::Forecast| {
            let zones = forecast.zones.iter().map(|zone| (zone.zone.clone(), zone.devices));
            zones.collect::<Vec<_>>()
        };
        assert_eq!(zones(&told), zones(&drawn));
        for (told, drawn) in told.waves.iter().zip(&drawn.waves) {
            assert!(told.devices.is_none() || told.devices == drawn.devices, "{told:?} {drawn:?}");
        }
    }
    let mut settings = super::filters();
    settings.add_filter(r"opens .*|open until .*", "HOURS");
    let told = desk.told(&["rollout", "show", "2"]);
    settings.bind(|| {
        insta::assert_snapshot!(told, @"
    exit 0
    --- out
    rollout 2: pos-app 2.0.0, progressive, draft
      id       ID
      select   tag.region==north
      created  TIME
      devices  6 match now (1 without an address); who is in it is settled at its start

      wave  devices  gate
         1        2  none
         2    drawn  none
         3    drawn  none

      time zone    devices  hours
      Europe/Oslo        1  HOURS
      UTC                5  HOURS

    not started
    `groundswell rollout start 2` begins it
    ");
    });
    assert_told!(desk.told(&["rollout", "why", "1", "pos-04"]), @"
    exit 0
    --- out
    pos-04 would be in wave 1 of 5 of rollout 1 (pos-app 2.0.0)
      not started
    ");
    assert_told!(desk.told(&["rollout", "why", "1", "pos-02"]), @"
    exit 0
    --- out
    pos-02 would be in rollout 1 (pos-app 2.0.0); its wave is drawn at the start
      not started
    ");
    assert_told!(desk.told(&["rollout", "why", "1", "pos-09"]), @"
    exit 0
    --- out
    pos-09 is not in rollout 1 (pos-app 2.0.0), which selects tag.region==north
    ");
}

#[test]
fn by_hours_the_next_opening_of_every_zone_is_told() {
    let desk = Desk::set();
    desk.keep(
        "night.toml",
        "release = 'pos-app 2.0.0'\nselect = 'tag.region==north'\nstrategy = 'scheduled'\n\
         start_at = '2040-01-10T12:00:00Z'\nwindows = ['02:00-04:00']\n\
         freezes = ['2040-01-11..2040-01-13']",
    );
    let mut settings = super::filters();
    settings.add_filter(r"in \d+ d( \d+ h)?", "in DAYS");
    let told = desk.told(&["rollout", "create", "night.toml", "--dry-run"]);
    settings.bind(|| insta::assert_snapshot!(told, @"
    exit 0
    --- out
    dry run, nothing is written: pos-app 2.0.0, scheduled
      select   tag.region==north
      devices  6 match now (1 without an address): pos-01, pos-02, pos-05, ...; who is in it is settled at its start
      starts   TIME

      time zone    devices  hours
      Europe/Oslo        1  opens Sat 2040-01-14 02:00, in DAYS
      UTC                5  opens Sat 2040-01-14 02:00, in DAYS

    warning: release: 1 of 6 devices runs 3.0.0, newer than 2.0.0, and would be skipped; allow_downgrade = true sends to them as well
    warning: freezes[1]: 2040-01-11..2040-01-13 begins in Europe/Oslo at Wed 2040-01-11 00:00, and it ends at Sat 2040-01-14 02:00 at the soonest: what has had no turn by then waits until the freeze is over
    "));
}

#[test]
fn every_mistake_of_a_spec_is_told_at_once() {
    let desk = Desk::set();
    desk.keep(
        "bad.toml",
        "release = 'pos-app 2.0.0'\nselekt = 'a'\nselect = 'version<2 an id==x'\n\
         [[waves]]\npercent = 200\n[[waves]]\npercent = 50\nmin_success = 'x'",
    );
    assert_told!(desk.told(&["rollout", "create", "bad.toml"]), @r#"
    exit 2
    --- err
    error: bad.toml: 4 mistakes
      unknown field "selekt"; did you mean "select"?
      select: expected `and`, `or` or the end, found `an`; a value with blanks or one of " ' ( ) ; , = ! < > goes in quotes
        version<2 an id==x
                  ^^
      waves[1].percent: must be a whole percentage from 1 to 100, not 200
      waves[2].min_success: must be a whole percentage from 0 to 100, not "x"
    "#);
    desk.keep("worse.toml", "release = 'pos-app 2.0.0'\nselect = tag");
    assert_told!(desk.told(&["rollout", "create", "worse.toml"]), @"
    exit 2
    --- err
    error: worse.toml: line 2, column 10: invalid boolean, expected `true` (read as TOML)
    ");
    assert_told!(desk.told(&["rollout", "create", "none.toml"]), @"
    exit 2
    --- err
    error: cannot read none.toml: No such file or directory (os error 2)
    ");
    assert_told!(desk.told(&["rollout", "list"]), @"
    exit 0
    --- err
    note: no rollout yet: `groundswell rollout create SPEC` makes one
    ");
}

#[test]
fn a_release_that_is_not_there_is_told_with_those_that_are() {
    let desk = Desk::set();
    desk.keep("other.toml", "release = 'pos-app 2.0.1'");
    assert_told!(desk.told(&["rollout", "create", "other.toml"]), @"
    exit 2
    --- err
    error: there is no release pos-app 2.0.1; there is pos-app 2.0.0
    ");
    desk.keep("other.toml", "release = 'pos-ap 2.0.0'");
    assert_told!(desk.told(&["rollout", "create", "other.toml"]), @"
    exit 2
    --- err
    error: there is no release pos-ap 2.0.0; there is pos-app 2.0.0
    ");
    desk.keep("other.toml", "release = 'signage 7'");
    assert_told!(desk.told(&["rollout", "create", "other.toml"]), @"
    exit 2
    --- err
    error: there is no release signage 7; `groundswell release create signage 7 FILE` makes it
    ");
}

#[test]
fn nobody_selected_is_no_mistake_but_is_said() {
    let desk = Desk::set();
    desk.keep("west.toml", "release = 'pos-app 2.0.0'\nselect = 'tag.region==west'");
    assert_told!(desk.told(&["rollout", "create", "west.toml"]), @"
    exit 0
    --- out
    rollout 1 is a draft: pos-app 2.0.0, immediate
      id       ID
      select   tag.region==west
      devices  none matches now; who is in it is settled at its start

    error: select: no device matches tag.region==west now; started like this, it would fail
    `groundswell rollout start 1` refuses it as things are now
    ");
}

#[test]
fn rollouts_that_are_not_there() {
    let desk = Desk::set();
    assert_told!(desk.told(&["rollout", "show", "1"]), @"
    exit 2
    --- err
    error: there is no rollout `1`: there are none yet; `groundswell rollout create SPEC` makes one
    ");
    desk.well(&["rollout", "create", "spec.toml"]);
    assert_told!(desk.told(&["rollout", "show", "7"]), @"
    exit 2
    --- err
    error: there is no rollout `7`: the only one is 1
    ");
    desk.well(&["rollout", "create", "spec.toml"]);
    assert_told!(desk.told(&["rollout", "start", "7"]), @"
    exit 2
    --- err
    error: there is no rollout `7`: they are numbered 1 to 2; `groundswell rollout list` has them
    ");
    let ambiguous = desk.run(&["rollout", "show", &id_of(&desk)[..4]]);
    assert_eq!(ambiguous.code, Some(2));
    assert!(ambiguous.err.contains("is the beginning of several"), "{ambiguous:?}");
}

fn id_of(desk: &Desk) -> String {
    let shown = desk.well(&["rollout", "show", "1", "--output", "json"]).json();
    shown["id"].as_str().unwrap().to_owned()
}

#[test]
fn the_guide_shows_what_its_example_does() {
    let desk = Desk::empty();
    for name in ["devices.json", "rollout.toml"] {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/pos");
        let text = std::fs::read_to_string(format!("{example}/{name}")).unwrap();
        desk.keep(name, &text);
    }
    desk.well(&["device", "import", "devices.json"]);
    desk.well(&["release", "create", "pos-app", "2.4.0", "pos.bin"]);
    let told = desk.well(&["rollout", "create", "rollout.toml", "--dry-run"]).out;
    let indented = told.lines().map(|line| format!("    {line}").trim_end().to_owned());
    let page = include_str!("../../../../docs/operate.md");
    assert!(page.contains(&indented.collect::<Vec<_>>().join("\n")), "{told}");
}

#[test]
fn budgets_by_which_nobody_could_ever_go_are_refused() {
    let desk = Desk::set();
    let budgets = "{ per = 'tag.region', max_percent = 2 }, { per = 'tag.store', max = 1 }";
    desk.keep("b.toml", &format!("release = 'pos-app 2.0.0'\nbudgets = [{budgets}]"));
    assert_told!(desk.told(&["rollout", "create", "b.toml"]), @"
    exit 2
    --- err
    error: b.toml: 2 mistakes
      budgets[1].max_percent: 2 % of the 1 device of tag.region: none is less than one, so none of them could ever be sent to (and so in 2 more domains); write max = 1, or max_percent = 100 or more
      budgets[2].per: 10 of the 10 devices chosen have no tag.store, and count as one domain: they would go as if they were one group; give them the tag, choose others, or leave this budget out
    ");
    assert!(
        desk.told(&["rollout", "list"]).contains("no rollout"),
        "{}",
        desk.told(&["rollout", "list"])
    );
}
